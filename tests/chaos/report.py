"""The report of a piece of the chaos run."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """The outcome of one module: what was tried how often, and every fault that was found, in words.

    `figures` are what was measured, with units. `skipped` says why nothing could be tried here; that is no fault, but
    must not be overlooked.
    """

    name: str
    tried: dict[str, int] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    skipped: str | None = None

    def count(self, what: str, times: int = 1) -> None:
        """Note that something was tried."""
        self.tried[what] = self.tried.get(what, 0) + times
