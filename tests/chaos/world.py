"""A farm whose pieces can be broken: one folder, a web function's store, and a scheduler that takes turns."""

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inotify_simple import INotify

from config.settings import load_settings
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.ticket import close_ticket
from functions.timed.archive import ARCHIVE_PAUSE
from functions.timed.leader import Leader
from scheduler.hooks import Hooks
from scheduler.process import Process
from scheduler.turns import EVENTS_PAUSE
from scheduler.watch import Watch
from state.documents import Intent, IntentKind, Ticket
from state.errors import StateError, StoreFrozen
from state.files.store import FileStore
from tests.chaos.simhooks import SimHooks

Send = Callable[[object], None]

LATER = 400.0
"""Seconds that the clock jumps once all is quiet, past every pause."""
MOST_TURNS = 80
TURN_TAKES = 0.05
"""Seconds by which the scheduler's pauses are nearer after each turn: what is finished is archived in some of them."""
# Finds its library by asking another process, once: not while operations are counted.
INotify().close()


class World:
    """The server of one folder, as one process. `ahead` seconds are added to the clock.

    `uptime` is the time (seconds) by which the scheduler measures pauses.

    With `pools`, the configuration is written; without, it is there already. With `real`, hooks are processes. Unless
    it is `opened`, nothing in the folder is touched.
    """

    def __init__(
        self,
        folder: Path,
        pools: str | None = None,
        options: str = "",
        real: bool = False,
        opened: bool = True,
        noted: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.folder = folder
        self.config = folder / "config"
        if pools is not None:
            self.config.mkdir(parents=True)
            (self.config / "server.yaml").write_text(options)
            self.set_pools(pools)
        self.real = real
        self.ahead = 0.0
        self.uptime = 0.0
        self.stopped_at: float | None = None
        """Unix seconds at which the clock is stopped, None when it goes on."""
        self._noted = noted
        self.settings = load_settings(
            {
                "CONFIG_DIR": str(self.config),
                "RESALLOC_STATE_DIR": str(folder / "state"),
                "RESALLOC_LOG_DIR": str(folder / "log"),
            }
        )
        self.sim = self._simulated()
        self.process: Process | None = None
        if opened:
            self.open()

    def _simulated(self) -> SimHooks:
        return SimHooks(self.folder / "farm", self.folder / "state", self.clock, self._noted)

    def open(self) -> None:
        """A store with no memory of what failed before, as a process has that was just started."""
        self.store = FileStore(self.folder / "state")
        self.keys = self.store.keys

    def set_pools(self, pools: str) -> None:
        (self.config / "pools.yaml").write_text(pools)

    def clock(self) -> float:
        return (time.time() if self.stopped_at is None else self.stopped_at) + self.ahead

    def pass_time(self, seconds: float) -> None:
        """Let so much time have passed, on the clock too."""
        self.ahead += seconds
        self.uptime += seconds

    # The web's part

    def take(self, *tags: str, sandbox: str | None = None) -> Ticket:
        return self.store.tickets.create(
            lambda number: Ticket(id=number, tags=tags, sandbox=sandbox, created_at=self.clock())
        )

    def take_once(self, key: str, *tags: str) -> Ticket:
        """A ticket whose sandbox shows the key that it was taken with."""
        made, _ = self.keys.create_once(
            key, repr(tags), lambda number: Ticket(id=number, tags=tags, sandbox=key, created_at=self.clock())
        )
        return made

    def close(self, ticket: int, bad: str | None = None) -> Ticket:
        return self.store.tickets.update(ticket, lambda found: close_ticket(found, self.clock(), bad=bad))

    def ask_delete(self, resource: int) -> Intent:
        return self.store.intents.create(
            lambda number: Intent(
                id=number, kind=IntentKind.DELETE_RESOURCE, resource=resource, created_at=self.clock()
            )
        )

    def ask_of_resource(self, kind: IntentKind, resource: int, until: float | None = None) -> Intent:
        return self.store.intents.create(
            lambda number: Intent(
                id=number, kind=kind, resource=resource, until=until, reason="chaos", created_at=self.clock()
            )
        )

    def ask_of_pool(self, kind: IntentKind, pool: str) -> Intent:
        return self.store.intents.create(
            lambda number: Intent(id=number, kind=kind, pool=pool, reason="chaos", created_at=self.clock())
        )

    def granted(self) -> list[Ticket]:
        """The open tickets that have a resource, as a client sees them: durable."""
        tickets = [self.store.tickets.get(number) for number in sorted(self.store.tickets.living())]
        with_resource = [ticket.id for ticket in tickets if ticket is not None and ticket.resource is not None]
        return [self.store.tickets.read_durable(number) for number in with_resource]

    # The scheduler's part

    def lead(self) -> None:
        """A new scheduler process; everything that it knows comes from the folder."""
        if self.process is not None:
            self.process.watch.close()
            self.process.lease.release()
            os.close(self.process.bell.fileno())
        lease = self.store.lead()
        lease.acquire()
        watch = Watch(self.store, self.store.root / "runs")
        environment = {"PATH": os.environ["PATH"]}
        if self.real:
            hooks = Hooks(self.store.root / "runs", self.settings.log_dir, self.config, environment, self.clock, 100)
            hooks.adopt()
            self.hooks = hooks
        else:
            self.hooks = self.sim = self._simulated()
        names = (f"random-{time.time_ns()}-{number}" for number in itertools.count())
        leader = Leader(self.store, self.settings, self.hooks, self.clock, lambda: next(names))
        self.process = Process(leader, self.hooks, watch, lease, lambda: self.uptime)

    @property
    def snapshot(self) -> Snapshot:
        """The scheduler's snapshot."""
        assert self.process is not None
        return self.process.leader.mirror.snapshot

    def turn(self, seconds: float = 0) -> bool:
        """One turn of the scheduler's loop, after waiting for a change; returns whether there is nothing more to do.

        What the store refuses is treated as the loop does it, and what ends the process starts a new one.
        """
        if self.process is None:
            self.lead()
        process = self.process
        assert process is not None
        changes = process.inbox.take(seconds)
        self.uptime += TURN_TAKES
        process.turns.request_probe()
        # Simulated time passes faster than the one in which they are synced.
        process.turns._written_events.synced_at = float("-inf")
        try:
            pause = process.turns.turn(changes)
        except StoreFrozen:
            self.open()
            self.lead()
            return False
        except StateError:
            process.turns.in_doubt = True
            return False
        return pause > 0 and not changes and not self.hooks.under_way()

    def quiet(self) -> None:
        """Turn until nothing is left to be done now; fails when that never comes."""
        still = 0
        for _ in range(MOST_TURNS):
            waits = self.real and self.process is not None and bool(self.hooks.under_way())
            still = still + 1 if self.turn(seconds=0.2 if waits else 0) else 0
            if still and self._has_put_off():
                self.uptime += max(ARCHIVE_PAUSE, EVENTS_PAUSE)
                still = 0
            if still == 2:
                return
        raise AssertionError(f"after {MOST_TURNS} turns there is still something to be done")

    def _has_put_off(self) -> bool:
        """Whether the scheduler left something for the end of a pause."""
        assert self.process is not None
        mirror, journal = self.process.leader.mirror, self.process.leader.journal
        return any((mirror.finished_tickets, mirror.finished_resources, journal.documents, journal.events))

    def rest(self) -> None:
        """Start again, run to quiet, let every pause pass, and again."""
        self.lead()
        self.quiet()
        self.pass_time(LATER)
        self.quiet()
