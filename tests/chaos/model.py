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
from collections.abc import Callable
from functools import partial
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from state.documents import ResourceState, TicketState
from tests.chaos.model_farms import BROKEN, Farm, as_file, farms, generous, tight
from tests.chaos.model_machine import Ending
from tests.chaos.model_promises import Promises
from tests.chaos.model_trouble import Trouble
from tests.chaos.model_world import World
from tests.chaos.report import Report

RUNS, STEPS = 200, 60
"""Of the quick form."""
LONG_RUNS, LONG_STEPS = 25, 150
"""Of each batch of the long form."""

TAGS = st.sampled_from([("a",), ("b",), ("a", "b"), ("c",), ("x",), ("a", "x"), (), ("nobody",)])
SANDBOXES = st.sampled_from(["s", "t", None])
CHOSEN = st.integers(0, 20)
OPERATION = st.integers(1, 60)
TURNS = st.sampled_from([True, True, False])
ENDINGS = st.sampled_from([Ending.WELL, Ending.WELL, Ending.WELL, *Ending])
JUMPS = st.sampled_from([-90_000, -4000, -61, 61, 4000, 90_000, 40 * 86400])
SPANS = st.sampled_from([1, 20, 61, 400, 1000, 4000])
REFUSALS = st.sampled_from([errno.ENOSPC, errno.EIO])


class FarmModel(RuleBasedStateMachine):
    """Each rule is something that happens, after which the scheduler takes a turn, or not yet."""

    steps = 0
    """Of all runs of this process."""
    machines = 0
    kills = 0
    """How often a process really died."""

    def __init__(self) -> None:
        super().__init__()
        FarmModel.machines += 1
        place = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self._folder = tempfile.mkdtemp(prefix="resalloc-model-", dir=place)
        self.promises = Promises()
        self.world = World(Path(self._folder), lambda run: self.promises.begins(self.world, run))

    @initialize(farm=farms())
    def begin(self, farm: Farm) -> None:
        self._configure(farm)
        self.world.turn()

    # Clients

    @rule(tags=TAGS, sandbox=SANDBOXES, turns=TURNS)
    def take(self, tags: tuple[str, ...], sandbox: str | None, turns: bool) -> None:
        ticket = self.world.take(tags, sandbox)
        assert ticket is not None
        self.promises.took(ticket)
        self._go_on(turns)

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
    @rule(which=CHOSEN, turns=TURNS)
    def close(self, which: int, turns: bool) -> None:
        closed = self.world.close(self._ticket(which))
        assert closed is not None
        assert closed.state is TicketState.CLOSED
        self._saw(closed)
        self._go_on(turns)

    @precondition(lambda self: self.promises.tickets)
    @rule(which=CHOSEN, at=OPERATION, refusal=REFUSALS | st.none())
    def close_in_trouble(self, which: int, at: int, refusal: int | None) -> None:
        closed = self.world.close(self._ticket(which), Trouble(1 + at % 6, refusal))
        if closed is not None:
            self._saw(closed)

    # Hooks

    @precondition(lambda self: self.world.machine.alive())
    @rule(which=CHOSEN, how=ENDINGS, turns=TURNS)
    def hook_ends(self, which: int, how: Ending, turns: bool) -> None:
        alive = self.world.machine.alive()
        self.world.machine.end(alive[which % len(alive)].run.id, how)
        self._go_on(turns)

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

    @rule(seconds=SPANS, turns=TURNS)
    def time_passes(self, seconds: float, turns: bool) -> None:
        self.world.pass_time(seconds)
        self._go_on(turns)

    @rule(seconds=JUMPS, turns=TURNS)
    def clock_jumps(self, seconds: float, turns: bool) -> None:
        self.world.wall += seconds
        self._go_on(turns)

    @rule(seconds=SPANS)
    def all_goes_well(self, seconds: float) -> None:
        self.world.live(seconds)
        self.promises.check(self.world, at_rest=True)

    # Crashes

    @rule(at=OPERATION)
    def scheduler_dies(self, at: int) -> None:
        """In the middle of its next turn; right after it when that has fewer operations."""
        self.world.turn(Trouble(at))
        FarmModel.kills += 1
        self.world.kill()

    @rule(at=OPERATION)
    def scheduler_dies_at_its_start(self, at: int) -> None:
        self.world.kill()
        self.scheduler_dies(at)

    @rule(at=OPERATION, refusal=REFUSALS)
    def disk_refuses(self, at: int, refusal: int) -> None:
        self.world.turn(Trouble(at, refusal))

    @rule(counters=st.sampled_from([None, b"", b"\0" * 80, b"boot-1 3 1000"]))
    def machine_boots(self, counters: bytes | None) -> None:
        self.world.reboot(counters)
        self.promises.in_order = False

    # Races: what others do in the middle of a turn

    @precondition(lambda self: self.promises.tickets)
    @rule(at=OPERATION, which=CHOSEN)
    def close_meanwhile(self, at: int, which: int) -> None:
        number = self._ticket(which)

        def close() -> None:
            closed = self.world.close(number)
            assert closed is not None
            self._saw(closed)

        self.world.turn(Trouble(at, meanwhile=close))

    @rule(at=OPERATION, tags=TAGS, sandbox=SANDBOXES)
    def take_meanwhile(self, at: int, tags: tuple[str, ...], sandbox: str | None) -> None:
        self.world.turn(Trouble(at, meanwhile=partial(self.take, tags, sandbox, turns=False)))

    @precondition(lambda self: self.world.machine.alive())
    @rule(at=OPERATION, which=CHOSEN, how=ENDINGS)
    def hook_ends_meanwhile(self, at: int, which: int, how: Ending) -> None:
        def end() -> None:
            alive = self.world.machine.alive()
            if alive:
                self.world.machine.end(alive[which % len(alive)].run.id, how)

        self.world.turn(Trouble(at, meanwhile=end))

    # Operators

    @rule(farm=farms(), turns=TURNS)
    def pools_are_edited(self, farm: Farm, turns: bool) -> None:
        self._configure(farm)
        self._go_on(turns)

    @rule(text=BROKEN, turns=TURNS)
    def pools_are_broken(self, text: str | None, turns: bool) -> None:
        self.world.write_pools(text)
        self._go_on(turns)

    @precondition(lambda self: [*self.world.web.resources.living()])
    @rule(which=CHOSEN, unused_only=st.booleans(), turns=TURNS)
    def operator_deletes(self, which: int, unused_only: bool, turns: bool) -> None:
        resources = sorted(self.world.web.resources.living())
        self._delete(resources[which % len(resources)], unused_only)
        self._go_on(turns)

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
        for number in self.promises.tickets:
            self._saw(world.close(number))
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
        store = world.web
        for collection in (store.tickets, store.resources, store.intents, store.agents):
            assert not [*collection.living()], f"left over in {collection.folder.name}: {[*collection.living()]}"
        assert not store.quarantine.list()
        assert not os.listdir(world.state / "tmp"), "left over in tmp"
        assert not world.machine.runs
        assert not world.scheduler.hooks.under_way()

    # Helpers

    def _ticket(self, which: int) -> int:
        """One of the tickets, mostly one of the latest."""
        numbers = sorted(self.promises.tickets, reverse=True)
        return numbers[which % len(numbers)]

    def _saw(self, ticket) -> None:
        """A client is told about its ticket; what happened to it before is looked at with the rest."""
        self.promises.check(self.world)
        self.promises.saw(ticket)

    def _go_on(self, turns: bool) -> None:
        if turns:
            self.world.turn()

    def _configure(self, farm: Farm) -> None:
        self.world.write_pools(as_file(farm))
        for name, options in farm.items():
            attempts = options.get("livecheck_attempts", 3)
            self.promises.attempts[name] = min(attempts, self.promises.attempts.get(name, attempts))

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
    )
    run_state_machine_as_test(hypothesis.seed(seed)(type(machine.__name__, (machine,), {})), settings=options)


def run(seconds: float, seed: int) -> Report:
    """Batches of runs from `seed` on until the time is over; a fault tells the seed of its batch and how it came about."""
    report = Report("model")
    until = time.monotonic() + seconds
    took = 0.0
    while time.monotonic() + took < until:
        began = time.monotonic()
        machines, steps, kills = FarmModel.machines, FarmModel.steps, FarmModel.kills
        try:
            check(seed, LONG_RUNS, LONG_STEPS, shrink=False)
        except Exception as broken:
            notes = "\n".join(getattr(broken, "__notes__", []))
            report.faults.append(f"seed {seed}: {type(broken).__name__}: {broken}\n{notes}")
        report.count("runs", FarmModel.machines - machines)
        report.count("steps", FarmModel.steps - steps)
        report.count("deaths of the scheduler", FarmModel.kills - kills)
        took = time.monotonic() - began
        seed += 1
    return report
