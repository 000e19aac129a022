"""The scheduler process: leads, calls the timed functions when something changed or is due, stops cleanly.

The main thread runs every timed function, so none meets another. It sleeps in poll(2) until a document changes
(inotify) or the bell rings; APScheduler rings it when something is due.
"""

import logging
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from types import FrameType

from apscheduler.schedulers.background import BackgroundScheduler

from functions.logfields import of_place
from functions.timed.agents import Groups, agents
from functions.timed.archive import Archivist
from functions.timed.cleanup import Unknown, cleanup, fold_unknown, start_lists
from functions.timed.events import Chronicle, write_events
from functions.timed.leader import Changes, Leader
from functions.timed.livecheck import Checks, livecheck
from functions.timed.outcomes import start_missing_runs
from functions.timed.pool_records import RECORDS_PAUSE, write_records
from functions.timed.reconcile import reconcile
from functions.timed.samples import take_samples
from scheduler.hooks import PROBE_PERIOD, Hooks
from scheduler.timing import Alarm, Bell, Pace
from scheduler.views import Views, runs_stayed
from scheduler.watch import Watch
from state.errors import LockTimeout, StateError, StoreFrozen, StoreUnavailable, UnknownFormat
from state.sample import PERIOD
from state.store import ChangedKeys, Lease

log = logging.getLogger(__name__)

CLEANUP_PERIOD = 60
"""Seconds between two cleanups."""
RETRY_PAUSE = 1.0
"""Seconds before trying again when the state folder could not be used."""
EVENTS_PAUSE = 0.2
"""Least seconds between two writings of events: a file is opened for however many there are."""
LONGEST_SHOW_PAUSE = 3.0
"""Seconds for which the view may wait for hooks to be started; under full load there are always some."""


class Process:
    """One scheduler process. `farm` and `hooks` may only be touched while its lease is held.

    `monotonic` gives the seconds by which pauses are measured.
    """

    def __init__(
        self, leader: Leader, hooks: Hooks, watch: Watch, lease: Lease, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.lease = lease
        self.leader = leader
        self.hooks = hooks
        self.watch = watch
        self.bell = Bell()
        self.stopping = False
        self.failed = False
        self._monotonic = monotonic
        self._archivist = Archivist(monotonic)
        self._checks = Checks()
        self._unknown = Unknown()
        self._groups = Groups()
        self._chronicle = Chronicle()
        runs = hooks.place()
        self._views = Views(leader, runs, monotonic)
        leader.journal.add("leader", "leads", f"process {os.getpid()} on {os.uname().nodename}")
        self._no_run_is_lost = runs_stayed(leader, runs)
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )
        self._reconcile_alarm = Alarm(self._scheduler, self.bell, "reconcile due")
        self._livecheck_alarm = Alarm(self._scheduler, self.bell, "livecheck due")
        self._agents_alarm = Alarm(self._scheduler, self.bell, "agents due")
        self._lists_alarm = Alarm(self._scheduler, self.bell, "lists due")
        self._lists_due: float | None = None
        self._samples_due = True
        self._probe_pace = Pace(PROBE_PERIOD, monotonic)
        self._cleanup_pace = Pace(CLEANUP_PERIOD, monotonic)
        self._records_pace = Pace(RECORDS_PAUSE, monotonic)
        self._events_pace = Pace(EVENTS_PAUSE, monotonic)
        self._in_doubt = True
        self._heard: ChangedKeys = {}
        """What changed and was not taken in yet."""

    def run(self) -> int:
        """Lead until a signal stops it; returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        sleep_time = self.leader.settings.sleeptime
        self._scheduler.add_job(self.bell.ring, "interval", seconds=sleep_time, id="reconcile")
        self._scheduler.add_job(self._ask_for_cleanup, "interval", seconds=CLEANUP_PERIOD, id="cleanup")
        self._scheduler.add_job(self._ask_for_samples, "interval", seconds=PERIOD, id="samples")
        self._scheduler.start()
        try:
            self._loop(sleep_time)
        finally:
            self._scheduler.shutdown(wait=False)
        return 1 if self.failed else 0

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True
        self.bell.ring()

    def _ask_for_cleanup(self) -> None:
        self._cleanup_pace.hurry()
        self.bell.ring()

    def _ask_for_samples(self) -> None:
        self._samples_due = True
        self.bell.ring()

    def _loop(self, sleep_time: float) -> None:
        poll = select.poll()
        for descriptor in (*self.watch.descriptors(), self.bell.fileno()):
            poll.register(descriptor, select.POLLIN)
        pause = 0.0
        while not self.stopping:
            poll.poll(pause * 1000)
            self.bell.silence()
            changes = self.changes()
            try:
                self._keep_leading()
                pause = min(sleep_time, self._turn(changes))
            except (StoreFrozen, UnknownFormat, LockTimeout) as error:
                log.critical("%s", error)
                self.failed = True
                return
            except StateError as error:
                about = of_place(error.place) if isinstance(error, StoreUnavailable) else {}
                log.error("%s; trying again in %g s", error, RETRY_PAUSE, extra=about)
                self._in_doubt = True
                pause = RETRY_PAUSE
        with suppress(StateError):
            # What cannot be written any more is a moment's statistics, and what the next scheduler will tell.
            write_records(self.leader)
            self._write_all_events()

    def _keep_leading(self) -> None:
        """Take the leader's role again when it was lost; raises LockTimeout when another scheduler was faster."""
        if self.lease.held_until() <= self._monotonic():
            log.error("%s: this scheduler lost the leader's role, and takes it again", self.leader.store.name)
            self.lease.release()
            self.lease.acquire()
            self._in_doubt = True

    def _turn(self, changes: Changes) -> float:
        """Do all that is to be done now; returns the longest pause (seconds) until the next turn."""
        leader = self.leader
        reloaded = self._take_in(changes)
        agents_due = agents(leader, self._groups, self._write_all_events)
        began = self._monotonic()
        due = reconcile(leader, self._take_in_tickets)
        leader.measures.passed(leader.clock(), self._monotonic() - began)
        archive_pause = self._archivist.archive(leader)
        # Not before the runs that a boot may have lost are written down as lost.
        self._no_run_is_lost = True
        for resource in leader.mirror.touched():
            self._checks.plan(leader, resource)
        if reloaded:
            self._checks.plan_all(leader)
        check_due = livecheck(leader, self._checks)
        fold_unknown(leader, self._unknown)
        if not self._cleanup_pace.wait():
            self._cleanup_pace.done()
            # What is removed now must have told its events.
            self._write_all_events()
            self._lists_due = cleanup(leader, self._unknown)
        elif reloaded or (self._lists_due is not None and self._lists_due <= leader.clock()):
            self._lists_due = start_lists(leader, self._unknown)
        now = leader.clock()
        self._reconcile_alarm.set(due, now)
        self._livecheck_alarm.set(check_due, now)
        self._agents_alarm.set(agents_due, now)
        self._lists_alarm.set(self._lists_due, now)
        more = self.hooks.launch(self._take_in_tickets)
        if more and not leader.journal.crowded and self._monotonic() < self._views.shown_at + LONGEST_SHOW_PAUSE:
            return 0.0
        pause = min(
            archive_pause, self._write_records(), self._write_events(), self._views.show_metrics(), self._views.show()
        )
        if self._samples_due:
            self._samples_due = False
            take_samples(leader)
        # What was heard during this turn wakes nobody any more.
        if more or self._heard or any(at is not None and at <= now for at in (due, agents_due)):
            return 0.0
        return min(pause, PROBE_PERIOD) if self.hooks.needs_probe() else pause

    def _write_records(self) -> float:
        """Write statistics of pools, if it is time; returns when that is to be done next (seconds from now)."""
        if not self.leader.mirror.written_records:
            return float("inf")
        wait = self._records_pace.wait()
        if wait:
            return wait
        self._records_pace.done()
        write_records(self.leader)
        return float("inf")

    def _write_events(self) -> float:
        """Write what is new to the files of events, if it is time; returns when that is to be done next (seconds from
        now).
        """
        if self.leader.journal.documents or self.leader.journal.events:
            wait = self._events_pace.wait()
            if wait and not self.leader.journal.crowded:
                return wait
            self._events_pace.done()
        return write_events(self.leader, self._chronicle)

    def _write_all_events(self) -> None:
        write_events(self.leader, self._chronicle, sync=True)

    def changes(self, seconds: float = 0.0) -> Changes:
        """What changed since the last turn began; waits up to `seconds` for the first."""
        self._hear(0.0 if self._heard else seconds)
        changes, self._heard = self._heard, {}
        return changes

    def _hear(self, seconds: float = 0.0) -> None:
        """Gather what changed, for the next turn."""
        for kind, keys in self.watch.wait(seconds).items():
            known = self._heard.setdefault(kind, set())
            self._heard[kind] = None if keys is None or known is None else known | keys

    def _take_in_tickets(self) -> bool:
        """Take in the tickets that came since this turn began, and nothing else; tells whether there are any."""
        self._hear()
        heard = self._heard.get("tickets")
        if not heard:
            return False
        new = heard - self.leader.mirror.snapshot.tickets.keys()
        heard -= new
        if not heard:
            # Nothing is left that is worth another turn.
            del self._heard["tickets"]
        return self.leader.refresh({"tickets": new})

    def _take_in(self, changes: Changes) -> bool:
        leader = self.leader
        reloaded = self._in_doubt
        if self._in_doubt:
            leader.load()
            self._in_doubt = False
            if self._no_run_is_lost:
                start_missing_runs(leader)
        else:
            leader.refresh({kind: keys for kind, keys in changes.items() if kind not in ("runs", "config")})
            reloaded |= any(keys is None for keys in changes.values())
        reloaded |= leader.reload_pools()
        results = changes.get("runs")
        if results:
            self.hooks.notice({str(name) for name in results})
        if not self._probe_pace.wait() or ("runs" in changes and results is None):
            self._probe_pace.done()
            self.hooks.probe()
        return reloaded
