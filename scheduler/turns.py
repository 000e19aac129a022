"""One turn of the leading scheduler: reads what changed, calls each timed function that is due, writes the views.

Grants come first: what a grant does not need is done behind it, in batches and at a limited pace.
"""

import logging
import math
import os
from collections.abc import Callable

from functions.timed.agents import Groups, agents
from functions.timed.archive import Archiver
from functions.timed.cleanup import CleanupMemory, cleanup, handle_list_results, start_lists
from functions.timed.events import WrittenEvents, write_events
from functions.timed.leader import Changes, Leader
from functions.timed.livecheck import Checks, livecheck
from functions.timed.outcomes import start_missing_runs
from functions.timed.pool_records import RECORDS_PAUSE, write_records
from functions.timed.reconcile import reconcile
from functions.timed.samples import take_samples
from scheduler.hooks import PROBE_PERIOD, Hooks
from scheduler.timing import Alarms, Pace
from scheduler.views import Views, missing_runs_never_started
from scheduler.watch import Inbox

log = logging.getLogger(__name__)

CLEANUP_PERIOD = 60
"""Seconds between two cleanups."""
EVENTS_PAUSE = 0.2
"""Least seconds between two writings of events: each opens a file, for however many events."""
LONGEST_SHOW_PAUSE = 3.0
"""Seconds for which the views may wait while hooks are started; under full load there are always some."""


class Turns:
    """What the leader does in each turn, and what the timed functions remember between two turns.

    `monotonic` gives the seconds by which pauses are measured.
    """

    def __init__(
        self, leader: Leader, hooks: Hooks, inbox: Inbox, alarms: Alarms, monotonic: Callable[[], float]
    ) -> None:
        self.in_doubt = True
        """Whether the mirror may be wrong, so that all documents must be read again."""
        runs = hooks.place()
        self.views = Views(leader, runs, monotonic)
        self._leader = leader
        self._hooks = hooks
        self._inbox = inbox
        self._alarms = alarms
        self._monotonic = monotonic
        self._missing_runs_never_started = missing_runs_never_started(leader, runs)
        """Whether runs without a file certainly never started, so that they are started after a load.

        Otherwise the first pass records them as lost; after that pass it is true.
        """
        self._archiver = Archiver(monotonic)
        self._checks = Checks()
        self._cleanup_memory = CleanupMemory()
        self._groups = Groups()
        self._written_events = WrittenEvents()
        self._lists_due: float | None = None
        self._samples_due = True
        self._probe_pace = Pace(PROBE_PERIOD, monotonic)
        self._cleanup_pace = Pace(CLEANUP_PERIOD, monotonic)
        self._records_pace = Pace(RECORDS_PAUSE, monotonic)
        self._events_pace = Pace(EVENTS_PAUSE, monotonic)
        leader.journal.add("leader", "leads", f"process {os.getpid()} on {os.uname().nodename}")

    def request_cleanup(self) -> None:
        """Have the next turn clean up."""
        self._cleanup_pace.hurry()

    def request_samples(self) -> None:
        """Have the next turn take samples."""
        self._samples_due = True

    def request_probe(self) -> None:
        """Have the next turn check every hook run."""
        self._probe_pace.hurry()

    def turn(self, changes: Changes) -> float:
        """Do everything that is due; returns the longest pause (seconds) until the next turn.

        Raises StateError; then the mirror is in doubt.
        """
        leader = self._leader
        reloaded = self._take_in(changes)
        agents_due = agents(leader, self._groups, self.write_events)
        began = self._monotonic()
        reconcile_due = reconcile(leader, self.take_in_tickets)
        leader.measures.passed(leader.clock(), self._monotonic() - began)
        archive_pause = self._archiver.archive(leader)
        self._missing_runs_never_started = True
        checks_due = self._check(reloaded)
        handle_list_results(leader, self._cleanup_memory)
        self._clean_up(reloaded)
        now = leader.clock()
        due_times = {
            "reconcile": reconcile_due,
            "livecheck": checks_due,
            "agents": agents_due,
            "lists": self._lists_due,
        }
        for name, due in due_times.items():
            self._alarms.set(name, due, now)
        more = self._hooks.launch(self.take_in_tickets)
        views_can_wait = self._monotonic() < self.views.shown_at + LONGEST_SHOW_PAUSE
        if more and views_can_wait and not leader.journal.crowded:
            # Start the other hooks before anything else is written.
            return 0.0
        pause = min(archive_pause, self._write_behind())
        # The inbox has taken these changes from the watch, so they do not wake the process.
        if more or self._inbox.is_filled() or any(at is not None and at <= now for at in (reconcile_due, agents_due)):
            return 0.0
        return min(pause, PROBE_PERIOD) if self._hooks.needs_probe() else pause

    def _take_in(self, changes: Changes) -> bool:
        """Read what changed into the mirror; returns whether everything was read again."""
        leader = self._leader
        reloaded = self.in_doubt
        if self.in_doubt:
            leader.load()
            self.in_doubt = False
            if self._missing_runs_never_started:
                start_missing_runs(leader)
        else:
            leader.refresh({kind: keys for kind, keys in changes.items() if kind not in ("runs", "config")})
            reloaded |= any(keys is None for keys in changes.values())
        reloaded |= leader.reload_pools()
        results = changes.get("runs")
        if results:
            self._hooks.notice({str(name) for name in results})
        if not self._probe_pace.wait() or ("runs" in changes and results is None):
            self._probe_pace.done()
            self._hooks.probe()
        return reloaded

    def take_in_tickets(self) -> bool:
        """Read the tickets that were created since this turn began, nothing else; returns whether there are any."""
        new = self._inbox.take_new("tickets", self._leader.mirror.snapshot.tickets)
        return bool(new) and self._leader.refresh({"tickets": new})

    def _check(self, reloaded: bool) -> float | None:
        """Start livechecks; returns when the next one is due (Unix seconds)."""
        for resource in self._leader.mirror.touched():
            self._checks.plan(self._leader, resource)
        if reloaded:
            self._checks.plan_all(self._leader)
        return livecheck(self._leader, self._checks)

    def _clean_up(self, reloaded: bool) -> None:
        if not self._cleanup_pace.wait():
            self._cleanup_pace.done()
            # Cleanup deletes documents, so their events must be written before.
            self.write_events()
            self._lists_due = cleanup(self._leader, self._cleanup_memory)
        elif reloaded or (self._lists_due is not None and self._lists_due <= self._leader.clock()):
            self._lists_due = start_lists(self._leader, self._cleanup_memory)

    def _write_behind(self) -> float:
        """Write what no grant waits for, if it is time; returns when that is due again (seconds from now)."""
        pause = min(self._write_records(), self._write_events(), self.views.show_metrics(), self.views.show())
        if self._samples_due:
            self._samples_due = False
            take_samples(self._leader)
        return pause

    def _write_records(self) -> float:
        if not self._leader.mirror.written_records:
            return math.inf
        wait = self._records_pace.wait()
        if wait:
            return wait
        self._records_pace.done()
        write_records(self._leader)
        return math.inf

    def _write_events(self) -> float:
        journal = self._leader.journal
        if journal.documents or journal.events:
            wait = self._events_pace.wait()
            if wait and not journal.crowded:
                return wait
            self._events_pace.done()
        return write_events(self._leader, self._written_events)

    def write_events(self) -> None:
        """Write and sync all events of the journal. Raises StoreFrozen."""
        write_events(self._leader, self._written_events, sync=True)

    def write_all(self) -> None:
        """Write what was left for later: the process ends. Raises StateError."""
        write_records(self._leader)
        self.write_events()
