"""A model of the farm: anything happens in any order, many times over, and all promises are held against the documents.

Hypothesis chooses what happens, from a seed. The store, the policy and the timed functions are the real ones; hooks,
clock, crashes and boots are simulated, so that a run of a hundred steps takes a blink.
"""

import errno
import os
import shutil
import sys
import tempfile
import time
from enum import StrEnum
from functools import partial
from itertools import count
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from functions.timed.hooks import HookRun
from state.documents import IntentKind, ResourceState, Ticket, TicketState
from tests.chaos.children import WORKERS, side_by_side
from tests.chaos.model_farms import BROKEN, ON_DEMAND, PLAIN, Farm, as_file, farms, generous, tight
from tests.chaos.model_machine import Ending
from tests.chaos.model_promises import Promises
from tests.chaos.model_trouble import Trouble
from tests.chaos.model_world import World
from tests.chaos.report import Report
from tests.chaos.world import Tell

RUNS, STEPS = 80, 40
"""Of the quick form."""
BATCHES = ((50, 40), (10, 200))
"""Runs and steps of the batches of the long form, in turns: many short runs, and long ones."""


class Then(StrEnum):
    """What follows on something that happened."""

    NOTHING = "nothing, so far"
    TURN = "one turn of the scheduler"
    ALL_IS_BAD = "what runs then ends badly, until that is dealt with"
    ALL_IS_WELL = "hooks end well, and soon nothing is left to be done"


TAGS = st.sampled_from([("a",), ("b",), ("a", "b"), ("c",), ("x",), ("a", "x"), ("a",), (), ("nobody",)])
SANDBOXES = st.sampled_from(["s", "s", "t", None])
Wish = tuple[tuple[str, ...], str | None]
WISHES = st.lists(st.tuples(TAGS, SANDBOXES), min_size=1, max_size=3)
COUNTERS = st.sampled_from([None, b"", b"\0" * 80, b"boot-1 3 1000"])
"""What a boot leaves of a file that is never synced: all of it, or this."""
CHOSEN = st.integers(0, 20)
OPERATION = st.integers(1, 60)
THEN = st.sampled_from([Then.TURN, Then.ALL_IS_WELL, Then.ALL_IS_WELL, Then.ALL_IS_BAD, Then.NOTHING])
ENDINGS = st.sampled_from([Ending.WELL, Ending.WELL, Ending.WELL, *Ending])
Stir = tuple[str, int, Ending]
STIRRED = st.lists(st.tuples(st.sampled_from(["take", "close", "end", "end", "delete"]), CHOSEN, ENDINGS), max_size=4)
JUMPS = st.sampled_from([-90_000, -4000, -61, 61, 4000, 90_000, 40 * 86400])
SPANS = st.sampled_from([1, 20, 61, 400, 1000, 4000])
POOL = st.sampled_from([*PLAIN, *ON_DEMAND])
OF_POOLS = (
    IntentKind.PAUSE_POOL,
    IntentKind.DRAIN_POOL,
    IntentKind.RESUME_POOL,
    IntentKind.RESUME_POOL,
    IntentKind.RETRY_POOL,
)
REFUSALS = st.sampled_from([errno.ENOSPC, errno.EIO])


class FarmModel(RuleBasedStateMachine):
    """Each rule is something that happens, after which the scheduler takes a turn, or not yet."""

    steps = 0
    """Of all runs of this process."""
    machines = 0
    deaths = 0
    """Of schedulers."""

    def __init__(self) -> None:
        super().__init__()
        FarmModel.machines += 1
        place = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self._folder = tempfile.mkdtemp(prefix="resalloc-model-", dir=place)
        self.promises = Promises()
        self.world = World(Path(self._folder), self)

    def asked(self, run: HookRun) -> None:
        """A scheduler wants a hook to run."""
        self.promises.asked(self.world, run)

    def begins(self, run: HookRun) -> None:
        """A hook begins to run."""
        self.promises.begins(self.world, run)

    @initialize(farm=farms(all_pools=True))
    def begin(self, farm: Farm) -> None:
        self._configure(farm)
        self.world.turn()

    # Clients

    @rule(wishes=WISHES, then=THEN)
    def take(self, wishes: list[Wish], then: Then) -> None:
        for tags, sandbox in wishes:
            ticket = self.world.take(tags, sandbox)
            assert ticket is not None
            self.promises.took(ticket)
        self._go_on(then)

    @rule(wishes=WISHES, then=THEN)
    def come_and_go(self, wishes: list[Wish], then: Then) -> None:
        """One after the other: take a ticket, be served, close it."""
        for wish in wishes:
            self.take([wish], Then.ALL_IS_WELL)
            self._close(max(self.promises.tickets))
            self._go_on(then)

    @rule(tags=TAGS, sandbox=SANDBOXES, at=OPERATION, refusal=REFUSALS | st.none())
    def take_in_trouble(self, tags: tuple[str, ...], sandbox: str | None, at: int, refusal: int | None) -> None:
        trouble = Trouble(1 + at % 12, refusal)
        ticket = self.world.take(tags, sandbox, trouble)
        if ticket is not None:
            self.promises.took(ticket)
        else:
            self.promises.lost_answers += 1
        self.promises.in_order &= not trouble.struck

    @precondition(lambda self: self.promises.tickets)
    @rule(which=CHOSEN)
    def wait(self, which: int) -> None:
        self.promises.saw(self.world.web.tickets.read_durable(self._ticket(which)))

    @precondition(lambda self: self.promises.tickets)
    @rule(several=st.lists(CHOSEN, min_size=1, max_size=3), then=THEN)
    def close(self, several: list[int], then: Then) -> None:
        for number in [self._ticket(which) for which in several]:
            self._close(number)
        self._go_on(then)

    @precondition(lambda self: self.promises.tickets)
    @rule(which=CHOSEN, at=OPERATION, refusal=REFUSALS | st.none())
    def close_in_trouble(self, which: int, at: int, refusal: int | None) -> None:
        closed = self.world.close(self._ticket(which), Trouble(1 + at % 6, refusal))
        if closed is not None:
            self._saw(closed)

    # Hooks

    @precondition(lambda self: self.world.machine.alive())
    @rule(which=CHOSEN, how=ENDINGS, then=THEN)
    def hook_ends(self, which: int, how: Ending, then: Then) -> None:
        alive = self.world.machine.alive()
        self.world.machine.end(alive[which % len(alive)].run.id, how)
        self._go_on(then)

    @precondition(lambda self: self.world.machine.alive())
    @rule(how=ENDINGS)
    def all_hooks_end(self, how: Ending) -> None:
        for started in self.world.machine.alive():
            self.world.machine.end(started.run.id, how)
        self.world.turn()

    @rule(how_many=st.integers(1, 3))
    def hooks_cannot_be_started(self, how_many: int) -> None:
        self.world.machine.refusals = how_many

    @rule(name=st.sampled_from(["p_00000000_20200101_000000", "q_00009999_20200101_000000", "mine"]))
    def something_strange_exists(self, name: str) -> None:
        self.world.machine.things[name] = name[0] if name != "mine" else "p"

    # Time

    @rule(seconds=SPANS, then=THEN)
    def time_passes(self, seconds: float, then: Then) -> None:
        self.world.pass_time(seconds)
        self._go_on(then)

    @rule(seconds=JUMPS, then=THEN)
    def clock_jumps(self, seconds: float, then: Then) -> None:
        self.world.set_clock(self.world.wall + seconds)
        self._go_on(then)

    @rule(seconds=SPANS)
    def all_goes_well(self, seconds: float) -> None:
        self.world.live(seconds)
        self.promises.check(self.world, at_rest=True)

    # Crashes

    @rule(stirred=STIRRED, at=OPERATION)
    def scheduler_dies(self, stirred: list[Stir], at: int) -> None:
        """In the middle of its next turn; right after it when that has fewer operations."""
        self._stir(stirred)
        self.world.turn(Trouble(at))
        FarmModel.deaths += 1
        self.world.kill()

    @rule(stirred=STIRRED, at=OPERATION)
    def scheduler_dies_at_its_start(self, stirred: list[Stir], at: int) -> None:
        self.world.kill()
        self.scheduler_dies(stirred, at)

    @rule(stirred=STIRRED, at=OPERATION, refusal=REFUSALS)
    def disk_refuses(self, stirred: list[Stir], at: int, refusal: int) -> None:
        self._stir(stirred)
        self.world.turn(Trouble(at, refusal))

    @rule(counters=COUNTERS, runs_lost=st.booleans(), at=OPERATION, refusal=st.none() | REFUSALS)
    def machine_boots(self, counters: bytes | None, runs_lost: bool, at: int, refusal: int | None) -> None:
        """With something going wrong in the first turn after it, unless that has fewer operations."""
        self.world.reboot(counters, runs_lost)
        self.promises.in_order = False
        self.world.turn(Trouble(at, refusal))

    # Races

    @rule(stirred=STIRRED, at=OPERATION, then=STIRRED)
    def much_happens_meanwhile(self, stirred: list[Stir], at: int, then: list[Stir]) -> None:
        """In the middle of a turn, between two operations of the scheduler."""
        self._stir(stirred)
        self.world.turn(Trouble(at, meanwhile=partial(self._stir, then)))

    @rule(wishes=WISHES, at=OPERATION)
    def clients_leave_while_they_are_served(self, wishes: list[Wish], at: int) -> None:
        self.take(wishes, Then.NOTHING)
        numbers = sorted(self.promises.tickets)[-len(wishes) :]

        def leave() -> None:
            for number in numbers:
                self._close(number)

        self.world.turn(Trouble(1 + at % 20, meanwhile=leave))

    # Operators

    @rule(farm=farms(), then=THEN)
    def pools_are_edited(self, farm: Farm, then: Then) -> None:
        self._configure(farm)
        self._go_on(then)

    @rule(text=BROKEN, then=THEN)
    def pools_are_broken(self, text: str | None, then: Then) -> None:
        self.world.write_pools(text)
        self._go_on(then)

    @rule(which=CHOSEN, unused_only=st.booleans(), then=THEN)
    def operator_deletes(self, which: int, unused_only: bool, then: Then) -> None:
        self._delete_one(which, unused_only)
        self._go_on(then)

    @rule(pool=POOL, kind=st.sampled_from(OF_POOLS), then=THEN)
    def operator_stops_or_resumes_a_pool(self, pool: str, kind: IntentKind, then: Then) -> None:
        self.world.ask_of_pool(kind, pool)
        self._go_on(then)

    # What holds

    @invariant()
    def promises_are_kept(self) -> None:
        FarmModel.steps += 1
        self.promises.check(self.world)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.finish()
        finally:
            self.world.end()
            shutil.rmtree(self._folder)

    def finish(self) -> None:
        """See that all who wait are served when hooks are good and time passes, and that everything can be removed."""
        world = self.world
        world.machine.refusals = 0
        for pool in (*PLAIN, *ON_DEMAND):
            world.ask_of_pool(IntentKind.RESUME_POOL, pool)
        world.live(7200)
        self.promises.check(world, at_rest=True)
        self._nobody_waits_beside_what_fits()
        snapshot = world.scheduler.farm.snapshot
        farm = generous(len(snapshot.tickets) + len(snapshot.resources) + 1)
        self._configure(farm)
        world.live(7200)
        self.promises.check(world, at_rest=True)
        offers = [set(pool.offers) for pool in world.scheduler.farm.snapshot.pools.values()]
        for ticket in world.scheduler.farm.snapshot.tickets.values():
            served = any(offer.issuperset(ticket.tags) for offer in offers)
            assert not (ticket.waiting and served), f"ticket {ticket.id} waits for {ticket.tags}, and there is room"
        self._configure(tight(farm))
        for number in [*self.promises.tickets]:
            self._close(number)
        world.rest()
        for number in world.scheduler.farm.snapshot.resources:
            self._delete(number, unused_only=False)
        world.live(7200)
        self.promises.check(world, at_rest=True)
        self._nothing_is_left()

    def _nobody_waits_beside_what_fits(self) -> None:
        snapshot = self.world.scheduler.farm.snapshot
        for resource in snapshot.resources.values():
            assert resource.state is ResourceState.UP, f"resource {resource.id} is still {resource.state}"
            if snapshot.holder(resource.id) is not None or resource.check_failed_count:
                continue
            for ticket in snapshot.tickets.values():
                fits = set(ticket.tags) <= resource.tags.keys() and resource.sandbox in (None, ticket.sandbox)
                assert not (ticket.waiting and fits), f"ticket {ticket.id} waits, and resource {resource.id} is free"
        for pool in snapshot.pools.values():
            room = snapshot.living[pool.name] < pool.max and pool.max_starting > 0
            spares = len(snapshot.spares[pool.name])
            missing = not pool.on_demand and room and spares < pool.max_prealloc
            assert not missing, f"pool {pool.name} has {spares} spares of {pool.max_prealloc}, and room"

    def _nothing_is_left(self) -> None:
        world = self.world
        # A new scheduler cleans up after the one before it.
        world.kill()
        world.rest()
        store = world.web
        for collection in (store.tickets, store.resources, store.intents, store.agents):
            assert not [*collection.living()], f"left over in {collection.folder.name}: {[*collection.living()]}"
        assert not store.quarantine.list()
        assert not os.listdir(world.state / "tmp"), "left over in tmp"
        assert not world.machine.runs
        assert not world.scheduler.hooks.under_way()

    # Helpers

    def _stir(self, stirred: list[Stir]) -> None:
        """Give the scheduler something to do."""
        for what, which, how in stirred:
            alive = self.world.machine.alive()
            if what == "take":
                self.take([(("a",), "s" if which % 2 else None)], Then.NOTHING)
            elif what == "close" and self.promises.tickets:
                self._close(self._ticket(which))
            elif what == "end" and alive:
                self.world.machine.end(alive[which % len(alive)].run.id, how)
            elif what == "delete":
                self._delete_one(which, unused_only=False)

    def _ticket(self, which: int) -> int:
        """One of the tickets; the first are those in use, then the latest."""
        tickets = self.promises.tickets.values()
        in_use = [ticket.id for ticket in tickets if ticket.state is TicketState.OPEN and ticket.resource is not None]
        numbers = in_use + sorted(self.promises.tickets, reverse=True)
        return numbers[which % len(numbers)]

    def _close(self, number: int) -> None:
        closed = self.world.close(number)
        assert closed is not None
        assert closed.state is TicketState.CLOSED
        self._saw(closed)

    def _saw(self, ticket: Ticket) -> None:
        """A client is told about its ticket; what happened to it before is looked at with the rest."""
        self.promises.check(self.world)
        self.promises.saw(ticket)

    def _go_on(self, then: Then) -> None:
        if then is Then.TURN:
            self.world.turn()
        elif then is Then.ALL_IS_BAD:
            self.world.turn()
            self.all_hooks_end(Ending.BADLY)
        elif then is Then.ALL_IS_WELL:
            self.world.live(100)

    def _configure(self, farm: Farm) -> None:
        self.world.write_pools(as_file(farm))
        for name, options in farm.items():
            attempts = options.get("livecheck_attempts", 3)
            self.promises.attempts[name] = min(attempts, self.promises.attempts.get(name, attempts))

    def _delete_one(self, which: int, unused_only: bool) -> None:
        resources = sorted(self.world.web.resources.living())
        if resources:
            self._delete(resources[which % len(resources)], unused_only)

    def _delete(self, number: int, unused_only: bool) -> None:
        if not unused_only:
            self.promises.condemned.add(number)
        self.world.ask_delete(number, unused_only)


def check(seed: int, runs: int, steps: int, machine: type[FarmModel] = FarmModel, shrink: bool = True) -> None:
    """Let so many runs of so many steps happen; raises what the first broken promise raised, with how it came about."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    options = settings(
        max_examples=runs,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(hypothesis.seed(seed)(type(machine.__name__, (machine,), {})), settings=options)


def run(seconds: float, seed: int) -> Report:
    """Batches of runs side by side until the time is over; a fault tells its seed and how it came about."""
    report = Report("model")
    until = time.monotonic() + seconds
    for what, fact in side_by_side(_run_batches, range(WORKERS), until, seed):
        if what == "tried":
            report.count(*fact)
        else:
            report.faults.append(fact)
    return report


def _run_batches(tell: Tell, worker: int, until: float, seed: int) -> None:
    """Batches of the seeds from `seed * 1000 + worker` on, one in `WORKERS`; begins none that would end too late."""
    took: dict[int, float] = {}
    for batch in count(seed * 1000 + worker, WORKERS):
        kind = batch // WORKERS % len(BATCHES)
        began = time.monotonic()
        if began + took.get(kind, 0.0) > until:
            return
        machines, steps, deaths = FarmModel.machines, FarmModel.steps, FarmModel.deaths
        try:
            check(batch, *BATCHES[kind], shrink=False)
        except Exception as broken:
            notes = "\n".join(getattr(broken, "__notes__", []))
            fault = f"{type(broken).__name__}: {broken}\n{notes}"
            tell(("wrong", f"check({batch}, *BATCHES[{kind}]): {fault}"))
        for what, times in (
            ("runs", FarmModel.machines - machines),
            ("steps", FarmModel.steps - steps),
            ("deaths of the scheduler", FarmModel.deaths - deaths),
        ):
            tell(("tried", (what, times)))
        took[kind] = time.monotonic() - began
