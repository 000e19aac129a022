"""The living documents in one place, in the groups that the policy decides about."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import msgspec

from config.pools import Pool
from functions.policy.snapshot.by_pool import ByPool
from functions.policy.snapshot.by_sandbox import Pairs
from functions.policy.snapshot.groups import Groups
from functions.policy.snapshot.numbers import NumbersInUse, Reservation, Reservations
from functions.policy.snapshot.offers import Offer, Tags, covers, ready, tag_set
from state.documents import Intent, PoolMode, PoolRecord, Resource, ResourceState, Ticket, TicketState


class Snapshot:
    """Tickets of open/, resources that are not ENDED, pool records, intents and configured pools.

    Documents are put and dropped one by one, in any order; a document put again replaces its older version. The
    groups below are kept up meanwhile, so that a plan costs what is to be done and not what exists. Only the methods
    change it; the policy reads the groups.
    """

    def __init__(self) -> None:
        self.tickets: dict[int, Ticket] = {}
        self.resources: dict[int, Resource] = {}
        self.records: dict[str, PoolRecord] = {}
        self.intents: dict[int, Intent] = {}
        self.pools: dict[str, Pool] = {}
        """The configured pools in the order of the file."""

        self.draining: set[str] = set()
        """Names of pools that operators let drain."""
        self.on_demand_tags: Tags = frozenset()
        """Tags that are on-demand in any configured pool."""
        self.waiting: Groups[Tags] = Groups()
        """Ids of waiting tickets by their tags."""
        self.closed: set[int] = set()
        """Ids of CLOSED tickets."""
        self.stranded: set[int] = set()
        """Ids of OPEN tickets whose resource is gone or on its way to deletion."""
        self.lost: frozenset[int] = frozenset()
        """Ids of resources that exist, although nobody can read their documents."""
        self.doubtful: frozenset[int] = frozenset()
        """Ids of resources that a ticket may have whose document nobody can read."""
        self.kept_taken: frozenset[int] = frozenset()
        """Ids of resources that no closed ticket can let go for now."""

        self.living: Counter[str] = Counter()
        """Number of resources by pool."""
        self.states: Counter[tuple[str, ResourceState]] = Counter()
        """Number of resources by pool and state."""
        # What stands in each of these is told where it is kept up: in `ByPool` and in `Pairs`.
        self._by_pool = groups = ByPool()
        self.starting, self.spares, self.to_delete = groups.starting, groups.spares, groups.to_delete
        self.idle, self.bound, self.reused = groups.idle, groups.bound, groups.reused
        self.failing, self.held = groups.failing, groups.held
        self._pairs = pairs = Pairs()
        self.waiting_in, self.covers, self.kept = pairs.waiting_in, pairs.covers, pairs.kept

        self._claims: dict[int, set[int]] = {}
        self._offers: dict[tuple[str, tuple[tuple[str, int], ...]], Offer] = {}
        self._numbers = NumbersInUse()
        self._reservations = Reservations(self.living, self._numbers)
        self._last_good: dict[str, Pool | None] = {}

    # Documents

    def put_ticket(self, ticket: Ticket) -> None:
        """Add a ticket of open/, or replace its older version."""
        self._unclaim(self.tickets.get(ticket.id), ticket)
        self.tickets[ticket.id] = ticket
        waits = ticket.waiting
        tags = tag_set(ticket.tags)
        self.waiting.put(ticket.id, tags if waits else None, ticket.id)
        self._pairs.wait(ticket.id, ticket.sandbox if waits else None, tags)
        if ticket.state is TicketState.CLOSED:
            self.closed.add(ticket.id)
        else:
            self.closed.discard(ticket.id)
        claimed = _claim(ticket)
        if claimed is not None:
            self._claims.setdefault(claimed, set()).add(ticket.id)
            self._index(claimed)

    def drop_ticket(self, id: int) -> None:
        """Forget a ticket, if it is known."""
        ticket = self.tickets.pop(id, None)
        if ticket is None:
            return
        self.waiting.drop(id)
        self._pairs.wait(id, None, frozenset())
        self.closed.discard(id)
        self._unclaim(ticket, None)

    def put_resource(self, resource: Resource) -> None:
        """Add a resource, or replace its older version; one that is ENDED is forgotten."""
        self._uncount(resource.id)
        if resource.state is ResourceState.ENDED:
            self.resources.pop(resource.id, None)
        else:
            self.resources[resource.id] = resource
            self.living[resource.pool] += 1
            self.states[resource.pool, resource.state] += 1
            self._numbers.take(resource)
        self._index(resource.id)

    def drop_resource(self, id: int) -> None:
        """Forget a resource, if it is known."""
        self._uncount(id)
        self.resources.pop(id, None)
        self._index(id)

    def put_record(self, record: PoolRecord) -> None:
        """Add what is remembered of a pool, or replace it."""
        old = self.records.get(record.name)
        if old is None or old.options != record.options:
            self._last_good.pop(record.name, None)
        self.records[record.name] = record
        if record.mode is PoolMode.DRAINING:
            self.draining.add(record.name)
        else:
            self.draining.discard(record.name)

    def set_pools(self, pools: Sequence[Pool]) -> None:
        """Take these pools, in the order of the file, for the configured ones."""
        self.pools = {pool.name: pool for pool in pools}
        self.on_demand_tags = frozenset(tag for pool in pools for tag in pool.tags_on_demand)

    def put_intent(self, intent: Intent) -> None:
        """Add what an operator asked for."""
        self.intents[intent.id] = intent

    def drop_intent(self, id: int) -> None:
        """Forget an intent, if it is known."""
        self.intents.pop(id, None)

    def reserve(self, lost: Collection[int], reservations: Iterable[Reservation]) -> None:
        """Take these, instead of those of an earlier call, for occupied by lost resources, which nobody can read.

        Their tickets keep them: an OPEN one does not fail, a CLOSED one does not settle.
        """
        before, self.lost = self.lost, frozenset(lost)
        for id in before ^ self.lost:
            self._index(id)
        self._reservations.replace(reservations, self.pools, self.options_of)

    def doubt(self, resources: Collection[int]) -> None:
        """Take these, instead of those of an earlier call, for resources that a ticket may have which nobody can read.

        They are not free: nobody gets them and nothing deletes them.
        """
        before, self.doubtful = self.doubtful, frozenset(resources)
        for id in before ^ self.doubtful:
            self._index(id)

    def keep_taken(self, resources: Iterable[int]) -> None:
        """Let closed tickets keep these resources, instead of those of an earlier call, until further notice."""
        self.kept_taken = frozenset(resources)

    # Questions

    def is_free(self, resource_id: int) -> bool:
        """Whether no ticket has the resource, and none that cannot be read may have it."""
        return self.holder(resource_id) is None and resource_id not in self.doubtful

    def holder(self, resource_id: int) -> Ticket | None:
        """The ticket that has the resource: an OPEN one, or a CLOSED one that has not let it go yet.

        Should several claim it, which must not happen, an OPEN one wins, then the lowest id.
        """
        claims = self._claims.get(resource_id)
        if claims is None:
            return None
        resource = self.resources.get(resource_id)
        released = resource.released_ticket if resource else None
        tickets = [self.tickets[id] for id in sorted(claims)]
        for ticket in tickets:
            if ticket.state is TicketState.OPEN:
                return ticket
        return next((ticket for ticket in tickets if ticket.id != released), None)

    def options_of(self, pool_name: str) -> Pool | None:
        """The options of a pool: the configured ones, or for a pool that vanished the last good ones, if known."""
        if pool_name in self.pools:
            return self.pools[pool_name]
        if pool_name not in self._last_good:
            self._last_good[pool_name] = _last_good(self.records.get(pool_name))
        return self._last_good[pool_name]

    def wants_on_demand(self, tags: Tags) -> bool:
        """Whether one of the tags is on-demand in any configured pool."""
        return not tags.isdisjoint(self.on_demand_tags)

    def pool_names(self) -> list[str]:
        """The configured pools in the order of the file, then those that vanished but still have resources."""
        vanished = [name for name, number in self.living.items() if number and name not in self.pools]
        return [*self.pools, *sorted(vanished, key=self._last_position)]

    def taken(self, pool_name: str) -> int:
        """How many UP resources of the pool some ticket has."""
        held = (self.resources[id] for _, id in self.held[pool_name])
        free_held = sum(resource.state is ResourceState.UP and self.is_free(resource.id) for resource in held)
        free = len(self.spares[pool_name]) + len(self.idle[pool_name]) + free_held
        return self.states[pool_name, ResourceState.UP] - free

    def free_number(self, pool_name: str) -> int:
        """The smallest `id_in_pool` that no resource of the pool has."""
        return self._numbers.free_number(pool_name)

    def free_counter(self, name: str) -> int:
        """The smallest value of a named counter that no resource of any pool has."""
        return self._numbers.free_counter(name)

    def resources_in_run(self) -> list[Resource]:
        """The resources that wait for a hook run to end, by id."""
        return [self.resources[id] for id in sorted(self._by_pool.in_run)]

    def offer(self, resource: Resource) -> Offer:
        """The pool and tags that the resource has, as one object for all that have the same."""
        key = (resource.pool, tuple(sorted(resource.tags.items())))
        offer = self._offers.get(key)
        if offer is None:
            offer = self._offers[key] = Offer(resource.pool, dict(key[1]))
        return offer

    # Keeping up

    def _last_position(self, pool_name: str) -> tuple[int, str]:
        record = self.records.get(pool_name)
        return (record.position if record else 0, pool_name)

    def _unclaim(self, old: Ticket | None, new: Ticket | None) -> None:
        claimed = _claim(old) if old else None
        if old is None or claimed is None or (new is not None and claimed == _claim(new)):
            return
        self._claims[claimed].discard(old.id)
        if not self._claims[claimed]:
            del self._claims[claimed]
        self.stranded.discard(old.id)
        self._index(claimed)

    def _uncount(self, id: int) -> None:
        resource = self.resources.get(id)
        if resource is not None:
            self.living[resource.pool] -= 1
            self.states[resource.pool, resource.state] -= 1
            self._numbers.give_back(resource)

    def _index(self, id: int) -> None:
        """Put the resource into the groups where it belongs now, and see whether its tickets still have it."""
        resource = self.resources.get(id)
        if resource is None:
            self._by_pool.drop(id)
            self._pairs.cover(id, None, None)
            gone = id not in self.lost
        else:
            free = self.is_free(id)
            self._by_pool.place(resource, free, id in self.doubtful)
            group = (self.offer(resource), ready(resource)) if covers(resource, free) else None
            self._pairs.cover(id, resource.sandbox, group)
            gone = resource.state in (ResourceState.DELETE_REQUEST, ResourceState.DELETING)
        for ticket_id in self._claims.get(id, ()):
            if gone and self.tickets[ticket_id].state is TicketState.OPEN:
                self.stranded.add(ticket_id)
            else:
                self.stranded.discard(ticket_id)


def _claim(ticket: Ticket) -> int | None:
    return None if ticket.state is TicketState.FAILED else ticket.resource


def _last_good(record: PoolRecord | None) -> Pool | None:
    if record is None:
        return None
    try:
        return msgspec.convert(record.options, Pool)
    except msgspec.ValidationError:
        return None
