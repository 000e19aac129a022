"""All living documents in memory, in the groups that the policy decides about."""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from config.pools import Pool
from functions.policy.order import order_key
from functions.policy.snapshot.groups import ByPool, BySandbox, Groups, Offer, Tags, can_cover, ready, tag_set
from functions.policy.snapshot.numbers import NumbersInUse, Reservation, Reservations
from state.documents import Intent, PoolMode, PoolRecord, Resource, ResourceState, Ticket, TicketState


class Snapshot:
    """Tickets of open/, resources that are not ENDED, pool records, intents and configured pools.

    Documents are put and dropped one by one, in any order; a document put again replaces its older version. The
    groups are updated at the same time, so that a plan costs what is to be done and not what exists. Only the methods
    change a snapshot; the policy reads the groups.
    """

    def __init__(self) -> None:
        self.tickets: dict[int, Ticket] = {}
        self.resources: dict[int, Resource] = {}
        self.records: dict[str, PoolRecord] = {}
        self.intents: dict[int, Intent] = {}
        self.pools: dict[str, Pool] = {}
        """The configured pools in the order of the file."""

        self.waiting: Groups[Tags] = Groups()
        """Order keys of waiting tickets by their tags."""
        self.closed: set[int] = set()
        """Ids of CLOSED tickets."""
        self.stranded: set[int] = set()
        """Ids of OPEN tickets whose resource is missing or about to be deleted."""
        self.by_pool = ByPool()
        self.by_sandbox = BySandbox()

        self.lost: frozenset[int] = frozenset()
        """Ids of resources that exist although their documents cannot be read."""
        self.doubtful: frozenset[int] = frozenset()
        """Ids of resources that a ticket with an unreadable document may have."""

        self._on_demand_tags: Tags = frozenset()
        self._draining: set[str] = set()
        self._claims: dict[int, set[int]] = {}
        """By id of a resource: ids of the tickets that name it and have not FAILED."""
        self._offers: dict[tuple[str, tuple[tuple[str, int], ...]], Offer] = {}
        self._numbers = NumbersInUse()
        self._reservations = Reservations(self.by_pool.living, self._numbers)
        self._last_good: dict[str, Pool | None] = {}

    # Documents

    def put_ticket(self, ticket: Ticket) -> None:
        """Add a ticket of open/, or replace its older version."""
        self._unclaim(self.tickets.get(ticket.id), ticket)
        self.tickets[ticket.id] = ticket
        waits = ticket.waiting
        tags, key = tag_set(ticket.tags), order_key(ticket)
        self.waiting.put(ticket.id, tags if waits else None, key)
        self.by_sandbox.put_ticket(ticket.id, ticket.sandbox if waits else None, tags, key)
        if ticket.state is TicketState.CLOSED:
            self.closed.add(ticket.id)
        else:
            self.closed.discard(ticket.id)
        claimed = _claim(ticket)
        if claimed is not None:
            self._claims.setdefault(claimed, set()).add(ticket.id)
            self._regroup(claimed)

    def drop_ticket(self, id: int) -> None:
        """Forget a ticket, if it is known."""
        ticket = self.tickets.pop(id, None)
        if ticket is None:
            return
        self.waiting.drop(id)
        self.by_sandbox.drop_ticket(id)
        self.closed.discard(id)
        self._unclaim(ticket, None)

    def put_resource(self, resource: Resource) -> None:
        """Add a resource, or replace its older version; one that is ENDED is forgotten."""
        self._uncount(resource.id)
        if resource.state is ResourceState.ENDED:
            self.resources.pop(resource.id, None)
        else:
            self.resources[resource.id] = resource
            self.by_pool.count(resource, 1)
            self._numbers.add(resource)
        self._regroup(resource.id)

    def drop_resource(self, id: int) -> None:
        """Forget a resource, if it is known."""
        self._uncount(id)
        self.resources.pop(id, None)
        self._regroup(id)

    def put_record(self, record: PoolRecord) -> None:
        """Add the record of a pool, or replace its older version."""
        old = self.records.get(record.name)
        if old is None or old.options != record.options:
            self._last_good.pop(record.name, None)
        self.records[record.name] = record
        if record.mode is PoolMode.DRAINING:
            self._draining.add(record.name)
        else:
            self._draining.discard(record.name)

    def set_pools(self, pools: Sequence[Pool]) -> None:
        """Replace the configured pools by these, in the order of the file."""
        self.pools = {pool.name: pool for pool in pools}
        self._on_demand_tags = frozenset(tag for pool in pools for tag in pool.tags_on_demand)

    def put_intent(self, intent: Intent) -> None:
        """Add an intent of an operator, or replace its older version."""
        self.intents[intent.id] = intent

    def drop_intent(self, id: int) -> None:
        """Forget an intent, if it is known."""
        self.intents.pop(id, None)

    def reserve(self, lost: Collection[int], reservations: Iterable[Reservation]) -> None:
        """Replace what an earlier call reserved for lost resources, whose documents cannot be read.

        Their tickets keep them: an OPEN ticket does not fail, a CLOSED one does not settle.
        """
        before, self.lost = self.lost, frozenset(lost)
        for id in before ^ self.lost:
            self._regroup(id)
        self._reservations.replace(reservations, self.pools, self.options_of)

    def doubt(self, resources: Collection[int]) -> None:
        """Replace the resources of an earlier call that a ticket with an unreadable document may have.

        They are not free: they are neither assigned nor deleted.
        """
        before, self.doubtful = self.doubtful, frozenset(resources)
        for id in before ^ self.doubtful:
            self._regroup(id)

    # Queries

    def is_free(self, resource_id: int) -> bool:
        """Whether no ticket has the resource, and no ticket with an unreadable document may have it."""
        return self.holder(resource_id) is None and resource_id not in self.doubtful

    def holder(self, resource_id: int) -> Ticket | None:
        """The ticket that has the resource: an OPEN one, or a CLOSED one that has not released it yet.

        If several claim it, which must not happen, an OPEN one wins, then the lowest id.
        """
        claims = self._claims.get(resource_id)
        if claims is None:
            return None
        resource = self.resources.get(resource_id)
        tickets = [self.tickets[id] for id in sorted(claims)]
        for ticket in tickets:
            if ticket.state is TicketState.OPEN:
                return ticket
        return next((ticket for ticket in tickets if resource is None or ticket.holds(resource)), None)

    def options_of(self, pool_name: str) -> Pool | None:
        """The options of a pool: the configured ones, or for a pool that vanished the last good ones, if known."""
        if pool_name in self.pools:
            return self.pools[pool_name]
        if pool_name not in self._last_good:
            self._last_good[pool_name] = _last_good(self.records.get(pool_name))
        return self._last_good[pool_name]

    def wants_on_demand(self, tags: Tags) -> bool:
        """Whether one of the tags is on-demand in any configured pool."""
        return not tags.isdisjoint(self._on_demand_tags)

    def draining(self) -> set[str]:
        """Names of the pools that drain."""
        return set(self._draining)

    def pool_names(self) -> list[str]:
        """The configured pools in the order of the file, then those that vanished but still have resources."""
        vanished = [name for name, number in self.by_pool.living.items() if number and name not in self.pools]
        return [*self.pools, *sorted(vanished, key=self._last_position)]

    def taken(self, pool_name: str) -> int:
        """How many UP resources of the pool a ticket has."""
        groups = self.by_pool
        held = (self.resources[id] for _, id in groups.held[pool_name])
        free_held = sum(resource.state is ResourceState.UP and self.is_free(resource.id) for resource in held)
        free = len(groups.spares[pool_name]) + len(groups.idle[pool_name]) + free_held
        return groups.states[pool_name, ResourceState.UP] - free

    def free_number(self, pool_name: str) -> int:
        """The smallest `id_in_pool` that no resource of the pool has."""
        return self._numbers.free_number(pool_name)

    def free_counter(self, name: str) -> int:
        """The smallest value of a named counter that no resource of any pool has."""
        return self._numbers.free_counter(name)

    def resources_in_run(self) -> list[Resource]:
        """The resources that wait for a hook run to end, by id."""
        return [self.resources[id] for id in self.by_pool.in_run()]

    def offer(self, resource: Resource) -> Offer:
        """The pool and tags that the resource has, as one object for all that have the same."""
        key = (resource.pool, tuple(sorted(resource.tags.items())))
        offer = self._offers.get(key)
        if offer is None:
            offer = self._offers[key] = Offer(resource.pool, dict(key[1]))
        return offer

    # Updating

    def _last_position(self, pool_name: str) -> tuple[int, str]:
        record = self.records.get(pool_name)
        return (record.position if record else 0, pool_name)

    def _unclaim(self, old: Ticket | None, new: Ticket | None) -> None:
        """Remove the claim of a ticket's older version, unless its new one claims the same resource."""
        claimed = _claim(old) if old else None
        if old is None or claimed is None or (new is not None and claimed == _claim(new)):
            return
        self._claims[claimed].discard(old.id)
        if not self._claims[claimed]:
            del self._claims[claimed]
        self.stranded.discard(old.id)
        self._regroup(claimed)

    def _uncount(self, id: int) -> None:
        """Stop counting the older version of a resource, and free its numbers."""
        resource = self.resources.get(id)
        if resource is not None:
            self.by_pool.count(resource, -1)
            self._numbers.remove(resource)

    def _regroup(self, id: int) -> None:
        """Put the resource into the groups where it belongs now, and note whether its OPEN tickets still have it."""
        resource = self.resources.get(id)
        if resource is None:
            self.by_pool.drop(id)
            self.by_sandbox.put_resource(id, None, None)
            is_lost = id not in self.lost
        else:
            free = self.is_free(id)
            self.by_pool.put(resource, free, id in self.doubtful)
            group = (self.offer(resource), ready(resource)) if can_cover(resource, free) else None
            self.by_sandbox.put_resource(id, resource.sandbox, group)
            is_lost = resource.state in (ResourceState.DELETE_REQUEST, ResourceState.DELETING)
        for ticket_id in self._claims.get(id, ()):
            if is_lost and self.tickets[ticket_id].state is TicketState.OPEN:
                self.stranded.add(ticket_id)
            else:
                self.stranded.discard(ticket_id)


def _claim(ticket: Ticket) -> int | None:
    """The id of the resource that the ticket has or had, None for a ticket that waits or FAILED."""
    return None if ticket.state is TicketState.FAILED else ticket.resource


def _last_good(record: PoolRecord | None) -> Pool | None:
    if record is None:
        return None
    try:
        return msgspec.convert(record.options, Pool)
    except msgspec.ValidationError:
        return None
