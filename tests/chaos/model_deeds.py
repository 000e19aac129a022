"""Actions of clients and operators on a farm, the promises they give, and the orderly end of a run."""

import os
import shutil
import tempfile
from enum import StrEnum
from pathlib import Path

from functions.policy.transitions.resource import HOLDABLE
from functions.timed.hook_runs import HookRun
from state.documents import IntentKind, ResourceState, Ticket, TicketState
from tests.chaos.model_farms import ON_DEMAND, PLAIN, Farm, as_file, generous, tight
from tests.chaos.model_machine import Ending
from tests.chaos.model_promises import Promises
from tests.chaos.model_world import World


class Then(StrEnum):
    """The next step after an action."""

    NOTHING = "nothing, so far"
    TURN = "one turn of the scheduler"
    ALL_IS_BAD = "what runs then ends badly, until that is dealt with"
    ALL_IS_WELL = "hooks end well, and soon nothing is left to be done"


class Deeds:
    """A farm in simulated time, and what it promised. Each deed fails when a promise turns out to be broken."""

    def __init__(self) -> None:
        super().__init__()
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

    def clock_says(self, now: float) -> None:
        """The wall clock of the model moved."""
        self.promises.holds.clock_says(now)

    # The end

    def finish(self) -> None:
        """Check that good hooks and time serve all waiting tickets, and that everything can be removed."""
        world = self.world
        world.machine.refusals = 0
        for pool in (*PLAIN, *ON_DEMAND):
            world.ask_of_pool(IntentKind.RESUME_POOL, pool)
        for number in world.web.resources.living():
            self.promises.holds.asked(world.ask_of_resource(IntentKind.RELEASE_RESOURCE, number))
        self._come_to_rest()
        self._no_ticket_waits_beside_a_fitting_resource()
        snapshot = world.scheduler.leader.mirror.snapshot
        farm = generous(len(snapshot.tickets) + len(snapshot.resources) + 1)
        self._configure(farm)
        self._come_to_rest()
        offers = [set(pool.offers) for pool in world.scheduler.leader.mirror.snapshot.pools.values()]
        for ticket in world.scheduler.leader.mirror.snapshot.tickets.values():
            served = any(offer.issuperset(ticket.tags) for offer in offers)
            assert not (ticket.waiting and served), f"ticket {ticket.id} waits for {ticket.tags}, and there is room"
        self._configure(tight(farm))
        for number in [*self.promises.tickets]:
            self._close(number)
        world.rest()
        for number in world.scheduler.leader.mirror.snapshot.resources:
            self._delete(number, unused_only=False)
        self._come_to_rest()
        self._nothing_is_left()

    def _come_to_rest(self) -> None:
        self.world.live(7200)
        self.world.archive()
        self.promises.check(self.world, at_rest=True)

    def _no_ticket_waits_beside_a_fitting_resource(self) -> None:
        snapshot = self.world.scheduler.leader.mirror.snapshot
        for resource in snapshot.resources.values():
            assert resource.state is ResourceState.UP, f"resource {resource.id} is still {resource.state}"
            if snapshot.holder(resource.id) is not None or resource.check_failed_count:
                continue
            for ticket in snapshot.tickets.values():
                fits = set(ticket.tags) <= resource.tags.keys() and resource.sandbox in (None, ticket.sandbox)
                assert not (ticket.waiting and fits), f"ticket {ticket.id} waits, and resource {resource.id} is free"
        for pool in snapshot.pools.values():
            room = snapshot.by_pool.living[pool.name] < pool.max and pool.max_starting > 0
            spares = len(snapshot.by_pool.spares[pool.name])
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

    def leave_nothing_behind(self) -> None:
        """Remove all that this farm has outside of it."""
        self.world.end()
        shutil.rmtree(self._folder)

    def _ticket(self, which: int) -> int:
        """One of the tickets; the first are those in use, then the latest."""
        tickets = self.promises.tickets.values()
        in_use = [ticket.id for ticket in tickets if ticket.state is TicketState.OPEN and ticket.resource is not None]
        numbers = in_use + sorted(self.promises.tickets, reverse=True)
        return numbers[which % len(numbers)]

    def _close(self, number: int, bad: str | None = None) -> None:
        was_closed = self.world.web.tickets.read(number).state is TicketState.CLOSED
        closed = self.world.close(number, bad=bad)
        assert closed is not None
        assert closed.state is TicketState.CLOSED
        assert was_closed or closed.bad == bad, f"ticket {number} does not say that its resource was called bad"
        self._saw(closed)

    def _saw(self, ticket: Ticket) -> None:
        """A client reads its ticket; what happened to it before is checked with the rest."""
        self.promises.check(self.world)
        self.promises.saw(ticket)

    def _go_on(self, then: Then) -> None:
        if then is Then.TURN:
            self.world.turn()
        elif then is Then.ALL_IS_BAD:
            self.world.turn()
            self.end_all_hooks(Ending.BADLY)
        elif then is Then.ALL_IS_WELL:
            self.world.live(100)

    def end_all_hooks(self, how: Ending) -> None:
        """Let all that runs end, and a turn see to that."""
        for started in self.world.machine.alive():
            self.world.machine.end(started.run.id, how)
        self.world.turn()

    def _configure(self, farm: Farm) -> None:
        self.world.write_pools(as_file(farm))
        for name, options in farm.items():
            attempts = options.get("livecheck_attempts", 3)
            self.promises.attempts[name] = min(attempts, self.promises.attempts.get(name, attempts))

    def _delete_one(self, which: int, unused_only: bool) -> None:
        resources = sorted(self.world.web.resources.living())
        if resources:
            self._delete(resources[which % len(resources)], unused_only)

    def _hold(self, which: int, seconds: float) -> None:
        """Hold a resource as the web lets an operator do it, which reads it first."""
        resources = {resource.id: resource for resource in self.world.documents.resources().values()}
        holdable = sorted(number for number, resource in resources.items() if resource.state in HOLDABLE)
        if holdable:
            number, until = holdable[which % len(holdable)], self.world.wall + seconds
            self.promises.holds.asked(self.world.ask_of_resource(IntentKind.HOLD_RESOURCE, number, until))

    def _end_hold(self, which: int) -> None:
        held = {resource.id for resource in self.world.documents.resources().values() if resource.held}
        wanted = {intent.resource or 0 for intent in self.world.documents.intents().values()}
        numbers = sorted(held | (wanted & {*self.world.web.resources.living()}))
        if numbers:
            number = numbers[which % len(numbers)]
            self.promises.holds.asked(self.world.ask_of_resource(IntentKind.RELEASE_RESOURCE, number))

    def _delete(self, number: int, unused_only: bool) -> None:
        if not unused_only:
            self.promises.condemned.add(number)
        self.world.ask_delete(number, unused_only)
