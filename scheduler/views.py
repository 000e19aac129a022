"""When the leader writes which view for the web functions; and what the leader before it wrote last."""

import logging
import os
from collections.abc import Callable

import msgspec

from functions import leader_view as shown
from functions.timed.leader import Leader
from functions.timed.metrics_view import METRICS_PAUSE, show_metrics
from functions.timed.waiting_view import SHORTEST_PAUSE, show
from scheduler.timing import Pace
from state.errors import StateError, StoreUnavailable

log = logging.getLogger(__name__)


class Views:
    """Writes the views of one leader, which leads from now on.

    `runs` is the place of its hook runs, `monotonic` gives seconds.
    """

    def __init__(self, leader: Leader, runs: str, monotonic: Callable[[], float]) -> None:
        self._leader = leader
        self._since = leader.clock()
        self._identity = shown.Leader(pid=os.getpid(), since=self._since, runs=runs)
        self._pace = Pace(SHORTEST_PAUSE, monotonic)
        self._outdated_at = float("inf")
        self._metrics_pace = Pace(METRICS_PAUSE, monotonic)
        self._metrics_outdated = True
        self._metrics_refused = False

    @property
    def shown_at(self) -> float:
        """When `show` wrote the view last, by `monotonic`."""
        return self._pace.done_at

    def show(self) -> float:
        """Write the view when it is outdated; returns when it may be written next (seconds from now)."""
        leader = self._leader
        if not leader.mirror.changed and leader.clock() < self._outdated_at:
            return float("inf")
        wait = self._pace.wait()
        if wait:
            return wait
        self._outdated_at = show(leader, self._identity)
        self._pace.done()
        leader.mirror.changed = False
        return float("inf")

    def show_metrics(self) -> float:
        """Write the metrics if it is time; returns when they must be written next (seconds from now).

        They are written also when nothing changed, to show that a pass ended; but that wakes no process up.
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
            # No document is concerned, so the mirror is still right.
            if not self._metrics_refused:
                log.error("metrics cannot be written: %s", error)
            self._metrics_refused = True
        else:
            self._metrics_refused = False
        return float("inf")


def missing_runs_never_started(leader: Leader, runs: str) -> bool:
    """Whether a hook run that a document names, but that has no file, certainly never started.

    That is certain if the leader that wrote the last view had its runs in the same place. `runs` is the place of this
    leader's runs: it differs after a boot and in a copied folder, where files of runs may be missing although the runs
    started. The first leader in a new place records all missing runs as lost before it writes a view.
    """
    try:
        view = leader.store.shown("pools.json")
        last = None if view is None else msgspec.json.decode(view.content or b"{}", type=shown.Pools).leader
    except (StateError, msgspec.DecodeError):
        return False
    return last is not None and last.runs == runs
