"""How a hook run ended, and how long to wait after one that failed."""

import msgspec

from functions.policy.clock import SLACK
from state.documents import HookKind

LONGEST_PAUSE = 300
"""Seconds, after a failed start or delete; a longer `start_delay` wins."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one hook run ended. Times are Unix seconds.

    `cut_off` is why the run did not end by itself (time limit, signal, too much output, ...); None when it did. `lost`:
    its supervisor vanished without a result. `output` is what the hook printed, `last_line` the last line of its log.
    `kind` is None for the hooks of agents. `seconds` is how long it ran by the monotonic clock, if known; the two
    times are those of the wall clock.
    """

    run: str
    kind: HookKind | None
    started_at: float
    ended_at: float
    exit: int | None = None
    cut_off: str | None = None
    lost: bool = False
    output: bytes | None = None
    last_line: str = ""
    seconds: float | None = None

    @property
    def took(self) -> float:
        """How many seconds it ran, by the best clock known."""
        return max(0.0, self.ended_at - self.started_at) if self.seconds is None else self.seconds

    @property
    def good(self) -> bool:
        """Whether the hook ended by itself, with exit status 0."""
        return self.by_itself and self.exit == 0

    @property
    def by_itself(self) -> bool:
        """Whether the hook was not cut off, so that its exit status is its own."""
        return self.exit is not None and self.cut_off is None and not self.lost

    @property
    def how(self) -> str:
        """How it ended, to be read after the name of the hook: "exited 3: no quota left"."""
        if self.by_itself:
            ending = f"exited {self.exit}"
        elif self.cut_off is not None:
            ending = f"was cut off ({self.cut_off})"
        else:
            ending = "left no result"
        return f"{ending}: {self.last_line}" if self.last_line else ending


def began_before(outcome: Outcome, at: float) -> bool:
    """Whether the run began before `at`, the time when another run ended.

    False also when `at` is later than the end of this run by more than the slack: then the clock was set back since.
    """
    return outcome.started_at < at <= outcome.ended_at + SLACK


def backoff(first: float, doublings: int) -> float:
    """The pause before the next attempt: `first` seconds, doubled so many times, at most `LONGEST_PAUSE`."""
    return min(LONGEST_PAUSE, first * 2.0 ** min(doublings, 20))
