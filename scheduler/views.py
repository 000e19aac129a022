"""When the leader shows what to the web functions; and what the one before it has shown last."""

import logging
import os
from collections.abc import Callable

import msgspec

from functions.timed.leader import Leader
from functions.timed.metrics_view import METRICS_PAUSE, show_metrics
from functions.timed.waiting_view import SHORTEST_PAUSE, show
from scheduler.timing import Pace
from state.errors import StateError, StoreUnavailable
from state.files.boot import boot_id

log = logging.getLogger(__name__)


class Views:
    """Renews the views of one leader, which leads from now on. `monotonic` gives seconds."""

    def __init__(self, leader: Leader, monotonic: Callable[[], float]) -> None:
        self._leader = leader
        self._since = leader.clock()
        self._shown_leader = {"pid": os.getpid(), "since": self._since, "runs": _place_of_runs(leader)}
        self._pace = Pace(SHORTEST_PAUSE, monotonic)
        self._outdated_at = float("inf")
        self._metrics_pace = Pace(METRICS_PAUSE, monotonic)
        self._metrics_outdated = True
        self._metrics_refused = False

    @property
    def shown_at(self) -> float:
        """When `show` renewed the view last, by `monotonic`."""
        return self._pace.done_at

    def show(self) -> float:
        """Renew the view when it is outdated; returns when it may be renewed next (seconds from now)."""
        leader = self._leader
        if not leader.mirror.changed and leader.clock() < self._outdated_at:
            return float("inf")
        wait = self._pace.wait()
        if wait:
            return wait
        self._outdated_at = show(leader, self._shown_leader)
        self._pace.done()
        leader.mirror.changed = False
        return float("inf")

    def show_metrics(self) -> float:
        """Renew what is shown for Prometheus, if it is time; returns when it must be renewed next (seconds from now).

        Also when nothing changed: that a pass was made is told, but nobody is woken up for that.
        """
        self._metrics_outdated |= self._leader.mirror.changed
        wait = self._metrics_pace.wait()
        if wait:
            return wait if self._metrics_outdated else float("inf")
        self._metrics_pace.done()
        self._metrics_outdated = False
        try:
            show_metrics(self._leader, self._since)
        except StoreUnavailable as error:
            # The mirror is in no doubt for that: only a fact that cannot be written would be a reason to read all anew.
            if not self._metrics_refused:
                log.error("metrics cannot be shown: %s", error)
            self._metrics_refused = True
        else:
            self._metrics_refused = False
        return float("inf")


def runs_stayed(leader: Leader) -> bool:
    """Whether the runs are still where they were when a leader last showed what it knew.

    If so, every run that a document waits for was decided for this place: who leads first elsewhere, or after a boot,
    counts all others as lost before it shows anything.
    """
    try:
        last = msgspec.json.decode(leader.store.read_view("pools.json") or b"{}", type=_Shown).leader.runs
    except (StateError, msgspec.DecodeError):
        return False
    return last == _place_of_runs(leader)


def _place_of_runs(leader: Leader) -> str:
    """Tells this folder of runs, in this boot of the machine, from every other: a later one, or a copy."""
    status = leader.store.runs.stat()
    return f"{boot_id()} {status.st_dev} {status.st_ino}"


class _ShownLeader(msgspec.Struct):
    runs: str | None = None


class _Shown(msgspec.Struct):
    leader: _ShownLeader = msgspec.field(default_factory=_ShownLeader)
