"""The scheduler process: leads, takes a turn when something changed or is due, and stops cleanly.

The main thread takes all turns (`turns.py`), so that no timed function runs beside another. Between two turns it sleeps
in poll(2) until the watch or the bell becomes readable; APScheduler rings the bell at due times.
"""

import logging
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from functions.logfields import of_place
from functions.timed.leader import Leader
from scheduler.hooks import Hooks
from scheduler.timing import Alarms, Bell
from scheduler.turns import CLEANUP_PERIOD, Turns
from scheduler.watch import Inbox, Watch
from state.errors import LockTimeout, StateError, StoreFrozen, StoreUnavailable, UnknownFormat
from state.sample import PERIOD
from state.store import Lease

log = logging.getLogger(__name__)

RETRY_PAUSE = 1.0
"""Seconds before the next turn when the store could not be used."""


class Process:
    """One scheduler process. Its leader and its hooks may only be used while it holds the lease.

    `monotonic` gives the seconds by which pauses are measured.
    """

    def __init__(
        self, leader: Leader, hooks: Hooks, watch: Watch, lease: Lease, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.leader = leader
        self.lease = lease
        self.watch = watch
        self.inbox = Inbox(watch)
        self.bell = Bell()
        self.stopping = False
        self.failed = False
        self._alarms = Alarms(self.bell)
        self._monotonic = monotonic
        self.turns = Turns(leader, hooks, self.inbox, self._alarms, monotonic)

    def run(self) -> int:
        """Lead until a signal stops it; returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        sleep_time = self.leader.settings.sleeptime
        self._alarms.every(sleep_time, lambda: None)
        self._alarms.every(CLEANUP_PERIOD, self.turns.request_cleanup)
        self._alarms.every(PERIOD, self.turns.request_samples)
        self._alarms.start()
        try:
            self.loop(sleep_time)
        finally:
            self._alarms.stop()
        return 1 if self.failed else 0

    def stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Let the loop end after its present turn; a signal handler."""
        self.stopping = True
        self.bell.ring()

    def loop(self, sleep_time: float) -> None:
        """Take turns, at most `sleep_time` seconds apart, until it is stopped or has failed."""
        poll = select.poll()
        for descriptor in (*self.watch.descriptors(), self.bell.fileno()):
            poll.register(descriptor, select.POLLIN)
        pause = 0.0
        while not self.stopping:
            poll.poll(pause * 1000)
            self.bell.silence()
            changes = self.inbox.take()
            try:
                self._keep_leading()
                pause = min(sleep_time, self.turns.turn(changes))
            except (StoreFrozen, UnknownFormat, LockTimeout) as error:
                log.critical("%s", error)
                self.failed = True
                return
            except StateError as error:
                about = of_place(error.place) if isinstance(error, StoreUnavailable) else {}
                log.error("%s; trying again in %g s", error, RETRY_PAUSE, extra=about)
                self.turns.in_doubt = True
                pause = RETRY_PAUSE
        # If this fails, the statistics of a moment are lost; the next scheduler writes the events.
        with suppress(StateError):
            self.turns.write_all()

    def _keep_leading(self) -> None:
        """Take the leader's role again when it was lost; raises LockTimeout when another scheduler was faster."""
        if self.lease.held_until() <= self._monotonic():
            log.error("%s: this scheduler lost the leader's role, and takes it again", self.leader.store.name)
            self.lease.release()
            self.lease.acquire()
            self.turns.in_doubt = True
