"""The rules of the model: what happens to the farm, in which order Hypothesis chooses."""

import errno
import sys
from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from functions.policy.transitions.resource import LONGEST_HOLD
from state.documents import IntentKind
from tests.chaos.model_deeds import Deeds, Then
from tests.chaos.model_farms import BROKEN, ON_DEMAND, PLAIN, Farm, farms
from tests.chaos.model_machine import Ending
from tests.chaos.model_trouble import Trouble

TAGS = st.sampled_from([("a",), ("b",), ("a", "b"), ("c",), ("x",), ("a", "x"), ("a",), (), ("nobody",)])
SANDBOXES = st.sampled_from(["s", "s", "t", None])
Request = tuple[tuple[str, ...], str | None]
REQUESTS = st.lists(st.tuples(TAGS, SANDBOXES), min_size=1, max_size=3)
COUNTERS = st.sampled_from([None, b"", b"\0" * 80, b"boot-1 3 1000"])
"""The rest of a file that is never synced, after a boot: all of it, or this."""
CHOSEN = st.integers(0, 20)
OPERATION = st.integers(1, 60)
THEN = st.sampled_from([Then.TURN, Then.ALL_IS_WELL, Then.ALL_IS_WELL, Then.ALL_IS_BAD, Then.NOTHING])
ENDINGS = st.sampled_from([Ending.WELL, Ending.WELL, Ending.WELL, *Ending])
Stir = tuple[str, int, Ending]
STIRRED = st.lists(
    st.tuples(st.sampled_from(["take", "close", "end", "end", "delete", "hold"]), CHOSEN, ENDINGS), max_size=4
)
JUMPS = st.sampled_from([-90_000, -4000, -61, 61, 4000, 90_000, 40 * 86400])
SPANS = st.sampled_from([1, 20, 61, 400, 1000, 4000])
HOLD_SPANS = st.sampled_from([30, 400, 4000, LONGEST_HOLD])
BAD = st.sampled_from([None, None, None, "it is bad"])
"""The reason with which a client calls its resource bad when it closes its ticket."""
POOL = st.sampled_from([*PLAIN, *ON_DEMAND])
OF_POOLS = (
    IntentKind.PAUSE_POOL,
    IntentKind.DRAIN_POOL,
    IntentKind.RESUME_POOL,
    IntentKind.RESUME_POOL,
    IntentKind.RETRY_POOL,
)
REFUSALS = st.sampled_from([errno.ENOSPC, errno.EIO])


class FarmModel(Deeds, RuleBasedStateMachine):
    """Each rule is an event, after which the scheduler takes a turn, or not yet."""

    steps = 0
    """Counts over all runs of this process."""
    machines = 0
    deaths = 0
    """Of schedulers."""

    def __init__(self) -> None:
        super().__init__()
        FarmModel.machines += 1

    @initialize(farm=farms(all_pools=True))
    def begin(self, farm: Farm) -> None:
        self._configure(farm)
        self.world.turn()

    # Clients

    @rule(requests=REQUESTS, then=THEN)
    def take(self, requests: list[Request], then: Then) -> None:
        for tags, sandbox in requests:
            ticket = self.world.take(tags, sandbox)
            assert ticket is not None
            self.promises.took(ticket)
        self._go_on(then)

    @rule(requests=REQUESTS, bad=BAD, then=THEN)
    def come_and_go(self, requests: list[Request], then: Then, bad: str | None = None) -> None:
        """One after the other: take a ticket, be served, close it."""
        for request in requests:
            self.take([request], Then.ALL_IS_WELL)
            self._close(max(self.promises.tickets), bad)
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
    @rule(several=st.lists(CHOSEN, min_size=1, max_size=3), bad=BAD, then=THEN)
    def close(self, several: list[int], then: Then, bad: str | None = None) -> None:
        for number in [self._ticket(which) for which in several]:
            self._close(number, bad)
        self._go_on(then)

    @precondition(lambda self: self.promises.tickets)
    @rule(which=CHOSEN, bad=BAD, at=OPERATION, refusal=REFUSALS | st.none())
    def close_in_trouble(self, which: int, bad: str | None, at: int, refusal: int | None) -> None:
        closed = self.world.close(self._ticket(which), Trouble(1 + at % 6, refusal), bad)
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
        self.end_all_hooks(how)

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
        self.world.archive()
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

    @rule(requests=REQUESTS, at=OPERATION)
    def clients_leave_while_they_are_served(self, requests: list[Request], at: int) -> None:
        self.take(requests, Then.NOTHING)
        numbers = sorted(self.promises.tickets)[-len(requests) :]

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

    @rule(which=CHOSEN, seconds=HOLD_SPANS, then=THEN)
    def operator_holds(self, which: int, seconds: float, then: Then) -> None:
        self._hold(which, seconds)
        self._go_on(then)

    @rule(which=CHOSEN, then=THEN)
    def operator_ends_a_hold(self, which: int, then: Then) -> None:
        self._end_hold(which)
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
            self.leave_nothing_behind()

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
            elif what == "hold":
                self._hold(which, 400)
