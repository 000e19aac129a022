"""What the timed functions ask of whoever runs the hooks; the scheduler passes one in."""

from collections.abc import Collection
from typing import Protocol

import msgspec

from functions.policy.transitions.outcome import Outcome
from state.documents import HookKind


class HookRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run to start: `command` by /bin/sh with `environment`, ended after `limit` seconds.

    `log` is the name of its log file; with `output_limit` (bytes) its standard output is kept up to that size, and
    printing more ends the run. `pool` is told to whoever collects the outcome. `kind` is None for the hooks of agents,
    whose `pool` is their group.
    """

    id: str
    kind: HookKind | None
    pool: str
    command: str
    environment: dict[str, str]
    limit: float
    log: str
    output_limit: int | None = None


class HookRunner(Protocol):
    """Starts runs and tells how they ended."""

    def start(self, run: HookRun) -> None:
        """Start a run. A run that cannot be started has an outcome too."""

    def finished(self) -> list[tuple[HookRun, Outcome]]:
        """Runs that ended, each told until it is forgotten."""

    def forget(self, run: str) -> None:
        """Remove what is kept of a run: its outcome has been written down."""

    def under_way(self, kind: HookKind | None = None) -> Collection[str]:
        """Ids of the runs (of a kind) that were started and not forgotten."""
