"""Promises to clients, operators and hooks, compared with the documents in the state folder."""

from collections import Counter
from dataclasses import dataclass, field

from functions.integrity import invariants
from functions.integrity.invariants import Inventory
from functions.timed.hook_runs import HookRun
from state.documents import HookKind, Resource, ResourceState, Ticket, TicketState
from state.survey import GROUP_SIZE
from tests.chaos.model_holds import Holds
from tests.chaos.model_world import World

_ORDER = [TicketState.OPEN, TicketState.FAILED, TicketState.CLOSED]
_WAITS_FOR = {
    HookKind.ALLOC: ResourceState.STARTING,
    HookKind.RELEASE: ResourceState.RELEASING,
    HookKind.TERMINATE: ResourceState.DELETING,
}


@dataclass
class Promises:
    """All that was ever acknowledged or seen by a client. Each method fails with a sentence when one is broken."""

    tickets: dict[int, Ticket] = field(default_factory=dict)
    """By number, as a client read it last."""
    lost_answers: int = 0
    """The number of creates without a reply: their tickets may exist or not."""
    condemned: set[int] = field(default_factory=set)
    """Resources that an operator asked to delete, taken or not."""
    attempts: dict[str, int] = field(default_factory=dict)
    """By pool: the smallest `livecheck_attempts` that it ever had."""
    in_order: bool = True
    """Whether nothing happened that may leave a gap between the numbers of tickets."""
    holds: Holds = field(default_factory=Holds)
    _owners: dict[int, str | None] = field(default_factory=dict)
    _grants: Counter[int] = field(default_factory=Counter)
    _last: int = 0
    _seen_resources: set[int] = field(default_factory=set)

    def took(self, ticket: Ticket) -> None:
        """Note a ticket that was acknowledged."""
        last = self._last
        assert ticket.id > last, f"ticket {ticket.id} comes after ticket {last}"
        assert not self.in_order or ticket.id == last + 1, f"ticket {ticket.id} comes right after ticket {last}"
        self.in_order = True
        self._last = ticket.id
        self.tickets[ticket.id] = ticket

    def saw(self, ticket: Ticket) -> None:
        """Record what a client has read of its ticket: later reads may add to it, but not change it."""
        known = self.tickets[ticket.id]
        whose = f"ticket {ticket.id}"
        assert (ticket.tags, ticket.created_at) == (known.tags, known.created_at), f"{whose} is another now"
        assert known.sandbox in (None, ticket.sandbox), f"{whose} left its sandbox"
        back = f"{whose} was {known.state} and is {ticket.state}"
        assert _ORDER.index(ticket.state) >= _ORDER.index(known.state), back
        if known.resource is not None:
            same = (ticket.resource, ticket.output) == (known.resource, known.output)
            assert same, f"{whose} had resource {known.resource} and has {ticket.resource}, or its output changed"
        elif ticket.resource is not None:
            assert known.state is TicketState.OPEN, f"{whose} was {known.state}, and got resource {ticket.resource}"
        if ticket.state is not TicketState.OPEN:
            assert ticket.reason, f"{whose} is {ticket.state} without a reason"
        self.holds.saw(known, ticket)
        self.tickets[ticket.id] = ticket

    def check(self, world: World, at_rest: bool = False) -> None:
        """Hold all documents against what was promised; `at_rest`: also that nothing is left undone."""
        documents = world.documents
        living, done = documents.tickets(), documents.done()
        resources, ended = documents.resources(), documents.ended()
        tickets = {ticket.id: ticket for ticket in (*done.values(), *living.values())}
        known = {resource.id: resource for resource in (*ended.values(), *resources.values())}
        for number in self.tickets.keys() - tickets.keys():
            known_as = self.tickets.pop(number)
            past = ("tickets", number) in self._forgotten(world)
            forgotten = past and known_as.state is not TicketState.OPEN
            assert forgotten, f"ticket {number} was {known_as.state}, and is gone"
        self._adopt({number: ticket for number, ticket in tickets.items() if number not in self.tickets})
        for number, ticket in tickets.items():
            before = self.tickets[number]
            if ticket is not before:
                self._check_grant(world, before, ticket, known)
                self.saw(ticket)
        self._check_resources(world, known)
        intents = documents.intents()
        self.holds.check(known, {intent.id for intent in intents.values()}, world.wall, at_rest)
        machine = world.machine
        faults = invariants.check(
            Inventory(
                tickets=living,
                done=done,
                resources=resources,
                ended=ended,
                runs=dict.fromkeys(machine.runs, False) | {started.run.id: True for started in machine.alive()},
                intents=intents if at_rest else {},
                started=machine.started,
                known_to_clients=self.tickets.keys(),
                forgotten=self._forgotten(world),
            )
        )
        unsettled = (invariants.Kind.UNSETTLED, invariants.Kind.LEFTOVER)
        bad = [fault for fault in faults if not fault.is_note or (at_rest and fault.kind in unsettled)]
        assert not bad, "\n".join(map(str, bad))

    def _forgotten(self, world: World) -> "_Forgotten":
        return _Forgotten(world, {"tickets": self._last, "resources": max(self._seen_resources, default=0)})

    def _adopt(self, unknown: dict[int, Ticket]) -> None:
        """Take note of tickets whose clients got no answer."""
        assert len(unknown) <= self.lost_answers, f"no client took the tickets {sorted(unknown)}"
        self.lost_answers -= len(unknown)
        self._last = max(self._last, *unknown) if unknown else self._last
        self.tickets |= unknown

    def _check_grant(self, world: World, before: Ticket, ticket: Ticket, resources: dict[int, Resource]) -> None:
        number = ticket.resource
        if number is None:
            return
        resource, whose = resources.get(number), f"ticket {ticket.id}"
        if resource is None:
            gone = world.forgets() and ticket.state is not TicketState.OPEN
            assert gone, f"{whose} has resource {number}, which is not there"
            return
        if before.resource is None:
            assert set(ticket.tags) <= resource.tags.keys(), f"{whose} got a resource without its tags"
            assert ticket.output == world.machine.printed[number], f"{whose} got an output that no hook printed"
            assert number not in world.machine.unclean, f"{whose} got resource {number}, whose cmd_release failed"
            owner = self._owners.setdefault(number, ticket.sandbox)
            assert owner == ticket.sandbox, f"{whose} of {ticket.sandbox} got resource {number} of {owner}"
            self.holds.granted(resource, ticket)
            self._grants[number] += 1
        if ticket.state is TicketState.FAILED and before.state is TicketState.OPEN:
            attempts = self.attempts.get(resource.pool, 1)
            just = number in self.condemned or world.machine.failed_checks[number] >= attempts
            assert just, f"{whose} failed ({ticket.reason}), without any cause"

    def _check_resources(self, world: World, resources: dict[int, Resource]) -> None:
        machine = world.machine
        for number, resource in resources.items():
            releases, grants = resource.releases_counter, self._grants[number]
            assert releases in (grants, grants - 1), f"resource {number}: {grants} grants and {releases} releases"
            if resource.state is not ResourceState.ENDED:
                continue
            deleted = machine.deletes[number] or number in machine.failed
            # A delete that could not be started is one that failed.
            assert deleted or resource.delete_failures, f"resource {number} ended without its cmd_delete"
            if resource.name in machine.things:
                assert "is not tried again" in (resource.reason or ""), f"resource {number} ended and is still there"
        new = resources.keys() - self._seen_resources
        highest = max(self._seen_resources, default=0)
        assert min(new, default=highest + 1) > highest, f"resources {sorted(new)} come after resource {highest}"
        self._seen_resources |= new

    def begins(self, world: World, run: HookRun) -> None:
        """Compare the start of a hook with the documents as they are in this instant."""
        number = int(run.environment["RESALLOC_ID"])
        if number == 0:
            if run.kind is HookKind.TERMINATE:
                name = run.environment["RESALLOC_NAME"]
                resources = world.documents.resources().values()
                # One that was given up is unknown from then on, although it may not be archived yet.
                living = {found.name for found in resources if found.state is not ResourceState.ENDED}
                assert name not in living, f"{name} is deleted as unknown, and is known"
            return
        resource = world.documents.resource(number)
        assert resource is not None, f"{run.id} begins for a resource that is not there"
        if run.kind is HookKind.WATCH:
            return
        waits = resource.state is _WAITS_FOR[run.kind] and resource.run is not None and resource.run.id == run.id
        assert waits, f"{run.id} begins, and its resource is {resource.state} with {resource.run}"
        if run.kind is HookKind.TERMINATE:
            self.holds.deletes(resource)
        if run.kind is not HookKind.ALLOC:
            for ticket in world.documents.tickets().values():
                has = ticket.state is TicketState.OPEN and ticket.resource == number
                assert not has, f"{run.id} begins while ticket {ticket.id} has resource {number}"

    def asked(self, world: World, run: HookRun) -> None:
        """Hold a start that was just decided against the limits of its pool."""
        # One that was decided before is made up for after a crash, whatever the limits are by now.
        if run.kind is not HookKind.ALLOC or int(run.environment["RESALLOC_ID"]) in self._seen_resources:
            return
        assert world.scheduler is not None
        name = run.pool
        pool = world.scheduler.leader.mirror.snapshot.pools.get(name)
        living = [found for found in world.documents.resources().values() if found.pool == name]
        living = [found for found in living if found.state is not ResourceState.ENDED]
        starting = [found for found in living if found.state is ResourceState.STARTING]
        assert pool is not None, f"a start in pool {name}, which is not configured"
        assert len(living) <= pool.max, f"{len(living)} resources in pool {name}, whose max is {pool.max}"
        limit = pool.max_starting
        assert len(starting) <= limit, f"{len(starting)} start in pool {name}, whose max_starting is {limit}"


class _Forgotten:
    """The numbers whose documents may have been removed after their retention: none of the newest subfolder."""

    def __init__(self, world: World, highest: dict[str, int]) -> None:
        self._any = world.forgets()
        self._highest = highest

    def __contains__(self, document: tuple[str, int]) -> bool:
        kind, number = document
        return self._any and number // GROUP_SIZE < self._highest[kind] // GROUP_SIZE
