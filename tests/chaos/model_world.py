"""A farm in simulated time: the real store, policy and timed functions; hooks, clock and crashes as the model says."""

import itertools
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from unittest.mock import patch

from config.settings import Settings
from functions.policy.plan.plan import Plan, plan
from functions.policy.transitions.ticket import close_ticket
from functions.timed.archive import ARCHIVE_PAUSE
from functions.timed.leader import Leader
from scheduler.process import Process
from scheduler.watch import Watch
from state.documents import Intent, IntentKind, Ticket
from state.errors import StateError, StoreFrozen, UnknownFormat
from state.files import ids
from state.files.store import FileStore
from tests.chaos.model_documents import Documents
from tests.chaos.model_machine import Ending, Machine, SimulatedHooks, Witness
from tests.chaos.model_trouble import Killed, Trouble

START = float(int(time.time()))
"""Near the times that files have, for some of them count. Nothing else depends on it."""
SLEEP_TIME = 20.0
MOST_TURNS = 60
"""Turns after which a farm to which nothing happens must be at rest."""
MOST_ROUNDS = 2000
"""The same for turns after each of which all hooks end at once."""


class World:
    """One state folder, the process that writes it for clients (`web`), and a scheduler that may be dead.

    `witness` sees when hooks are wanted and begin.
    """

    def __init__(self, folder: Path, witness: Witness) -> None:
        self.state = folder / "state"
        config = folder / "config"
        config.mkdir()
        self.settings = Settings(
            config_dir=config,
            pools_file=config / "pools.yaml",
            state_dir=self.state,
            log_dir=folder / "log",
            livechecks_at_once=3,
        )
        self.machine = Machine(witness)
        self.wall = self.latest = START
        self.scheduler: Scheduler | None = None
        self.names = (f"random-{number}" for number in itertools.count(1))
        self.refused = False
        """Whether the disk ever refused anything to a scheduler."""
        self._stamps = itertools.count(1_000_000_000)
        self._trouble: Trouble | None = None
        self._patches = ExitStack()
        self._patches.enter_context(patch.object(ids, "boot_id", lambda: f"boot-{self.machine.boot}"))
        self.web = self.open()
        self.documents = Documents(self.state)
        # One for all schedulers, as closing it takes the kernel long; a new one reads everything anyhow.
        self.watch = Watch(self.web, self.state / "runs")

    def end(self) -> None:
        """Leave nothing of this world in the process."""
        self.kill()
        self.watch.close()
        self._patches.close()

    def open(self) -> FileStore:
        """A store as a process has it that was just started."""
        return FileStore(self.state)

    def clock(self) -> float:
        return self.wall

    def step(self) -> None:
        """Passes events that are no file operations, so that they can be a scheduler's last."""
        if self._trouble is not None:
            self._trouble.step()

    def write_pools(self, text: str | None) -> None:
        """Replace pools.yaml as an editor does; None removes it."""
        if text is None:
            self.settings.pools_file.unlink(missing_ok=True)
            return
        staged = self.settings.pools_file.with_name("pools.new")
        staged.write_text(text)
        stamp = next(self._stamps) * 10**9
        os.utime(staged, ns=(stamp, stamp))
        staged.rename(self.settings.pools_file)

    # Clients and operators

    def take(self, tags: tuple[str, ...], sandbox: str | None, trouble: Trouble | None = None) -> Ticket | None:
        """The ticket as it was acknowledged, None when its client got no answer or an error."""
        return self._ask(
            trouble,
            lambda: self.web.tickets.create(
                lambda number: Ticket(id=number, tags=tags, sandbox=sandbox, created_at=self.wall)
            ),
        )

    def close(self, number: int, trouble: Trouble | None = None, bad: str | None = None) -> Ticket | None:
        """The closed ticket as it was acknowledged, None when its client got no answer or an error."""
        return self._ask(
            trouble, lambda: self.web.tickets.update(number, lambda found: close_ticket(found, self.wall, bad=bad))
        )

    def ask_delete(self, resource: int, unused_only: bool) -> None:
        """Do what `resalloc-maint resource-delete` does."""
        self.web.intents.create(
            lambda number: Intent(
                id=number,
                kind=IntentKind.DELETE_RESOURCE,
                resource=resource,
                unused_only=unused_only,
                created_at=self.wall,
            )
        )

    def ask_of_resource(self, kind: IntentKind, resource: int, until: float | None = None) -> Intent:
        """Do what `resalloc-maint resource-hold` and `resource-release` do."""
        return self.web.intents.create(
            lambda number: Intent(id=number, kind=kind, resource=resource, until=until, created_at=self.wall)
        )

    def ask_of_pool(self, kind: IntentKind, pool: str) -> None:
        """Do what `resalloc-maint pool-pause` and its like do."""
        self.web.intents.create(lambda number: Intent(id=number, kind=kind, pool=pool, created_at=self.wall))

    def _ask(self, trouble: Trouble | None, request: Callable[[], Ticket]) -> Ticket | None:
        try:
            with trouble.below(self.state) if trouble else nullcontext():
                return request()
        except (Killed, StateError):
            if trouble is None or not trouble.struck:
                raise
            self._disown()
            self.web = self.open()
            return None

    # The scheduler

    def turn(self, trouble: Trouble | None = None) -> bool:
        """One turn of the scheduler, which is started if there is none; whether there is nothing more to do now."""
        self._trouble = trouble
        try:
            with trouble.below(self.state) if trouble else nullcontext():
                if self.scheduler is None:
                    self.scheduler = Scheduler(self)
                return self.scheduler.turn()
        except StoreFrozen:
            # What a refused sync may mean is only known to the process that was refused, so that one ends.
            refused_now = trouble is not None and trouble.struck and trouble.refuses
            assert self.refused or refused_now, "a sync failed, although the disk refused nothing"
            self.kill()
            return False
        except (Killed, StateError):
            if trouble is None or not trouble.struck:
                raise
            self.kill()
            return False
        finally:
            self._trouble = None
            if trouble is not None and trouble.struck:
                self.refused |= trouble.refuses

    def rest(self) -> None:
        """Turn until there is nothing more to do now; fails when that never comes."""
        for _ in range(MOST_TURNS):
            if self.turn() and self.scheduler is not None and not self.scheduler.plan().steps:
                return
        raise AssertionError(f"after {MOST_TURNS} turns there is still something to be done")

    def kill(self) -> None:
        """End the scheduler at once, as after SIGKILL."""
        if self.scheduler is not None:
            self.scheduler.end()
            self.scheduler = None
        self._disown()

    def reboot(self, counters: bytes | None, runs_lost: bool) -> None:
        """Boot the machine again. What is never synced may be lost: runs, and all but `counters` of the counters."""
        self.kill()
        self.machine.reboot(runs_lost)
        self.pass_time(60)
        if counters is not None:
            for path in (self.state / "ids").glob("*.next"):
                path.write_bytes(counters)
        self.web = self.open()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, on the clock too."""
        self.machine.uptime += seconds
        self.set_clock(self.wall + seconds)

    def set_clock(self, wall: float) -> None:
        """Set the wall clock."""
        self.wall = wall
        self.latest = max(self.latest, wall)
        self.machine.witness.clock_says(wall)

    def forgets(self) -> bool:
        """Whether anything can be past its retention."""
        return self.latest > START + self.settings.ticket_retention

    def live(self, seconds: float, how: Ending = Ending.WELL) -> None:
        """Let so much time pass at most, hooks ending at once, until nothing is due any more."""
        until = self.machine.uptime + seconds
        for _ in range(MOST_ROUNDS):
            for started in self.machine.alive():
                self.machine.end(started.run.id, how)
            self.rest()
            assert self.scheduler is not None
            if self.machine.runs:
                continue
            due = self.scheduler.plan().next_due
            if due is None or self.machine.uptime >= until:
                return
            self.pass_time(max(1.0, min(due - self.wall, SLEEP_TIME * 10)))
        raise AssertionError(f"hooks start and end without end: {[*self.machine.runs]}")

    def archive(self) -> None:
        """Let so much time pass that all that is finished is archived."""
        for _ in range(MOST_TURNS):
            assert self.scheduler is not None
            leader = self.scheduler.leader
            if not leader.mirror.finished_tickets and not leader.mirror.finished_resources:
                return
            self.pass_time(ARCHIVE_PAUSE)
            self.live(0)
        raise AssertionError(f"what is finished is not archived after {MOST_TURNS} times {ARCHIVE_PAUSE} s")

    def _disown(self) -> None:
        """Make files that a dead process staged look abandoned: the process of this test lives on."""
        staging = self.state / "tmp"
        for name in os.listdir(staging) if staging.is_dir() else ():
            if not name.startswith("0-"):
                os.rename(staging / name, staging / f"0-{name}")


class Scheduler:
    """One scheduler process, without its main loop: `turn` is one round of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.hooks = SimulatedHooks(world.machine, world.clock, world.step)
        self.hooks.adopt()
        self.leader = Leader(world.open(), world.settings, self.hooks, world.clock, lambda: next(world.names))
        self._process = Process(
            self.leader,
            self.hooks,  # type: ignore[arg-type]  # simulated
            world.watch,
            None,  # type: ignore[arg-type]  # there is no other leader
            lambda: world.machine.uptime,
        )

    def turn(self) -> bool:
        """Do all that is to be done now; whether that was nothing. Raises what ends the process."""
        process = self._process
        doubtful = process.turns.in_doubt
        process.turns.request_probe()
        changes = process.inbox.take()
        try:
            pause = process.turns.turn(changes)
        except (StoreFrozen, UnknownFormat):
            raise
        except StateError:
            process.turns.in_doubt = True
            return False
        return pause > 0 and not (changes or doubtful or self.hooks.finished())

    def plan(self) -> Plan:
        """The steps that it would do next."""
        return plan(self.leader.mirror.snapshot, self._world.wall)

    def end(self) -> None:
        """Release what a process has."""
        os.close(self._process.bell.fileno())
