"""The read model: resources, tickets and pools at one moment, for operators' requests and for pages.

Start with `read_model`, which makes a `ReadModel` of the store's cached documents. Takes no lock, writes nothing.
"""

import functools
import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.leader_view import Pools
from functions.web.context import Context
from state.documents import PoolRecord, Resource, ResourceState, Ticket, TicketState
from state.errors import CorruptDocument, NewerDocument, NotFound
from state.store import Store

COUNTS = ("up", "ready", "taken", "starting", "delete_requested", "deleting", "releasing")
"""Names of the counts of a pool, in the order in which lists show them."""
MOST_ENDED = 10_000
"""How many ended resources are searched for a name from which their id cannot be read."""
_COUNT_OF_STATE = {
    ResourceState.UP: "up",
    ResourceState.STARTING: "starting",
    ResourceState.DELETE_REQUEST: "delete_requested",
    ResourceState.DELETING: "deleting",
    ResourceState.RELEASING: "releasing",
}


@dataclass(frozen=True)
class PoolStatus:
    """One pool: its counts by the names in `COUNTS`, its resources, and the waiting tickets that it could serve."""

    record: PoolRecord
    counts: Mapping[str, Any]
    resources: Sequence[Resource]
    waiting: Sequence[Ticket]

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def options(self) -> Mapping[str, Any]:
        return self.record.options

    @property
    def offers(self) -> Mapping[str, int]:
        """All tags that a ticket may ask of this pool, with their priorities."""
        return {**self.options.get("tags", {}), **self.options.get("tags_on_demand", {})}


@dataclass(frozen=True)
class ReadModel:
    """All resources that are not ENDED and all tickets that are not settled, at one time (`at`, Unix seconds).

    `records` are those of all pools ever seen, `leader_pools` what the leader shows of the pools in force (None
    without any), `has_leader` whether a scheduler leads.
    """

    at: float
    resources: tuple[Resource, ...]
    tickets: tuple[Ticket, ...]
    records: list[PoolRecord]
    leader_pools: Pools | None
    has_leader: bool

    @functools.cached_property
    def ticket_by_resource(self) -> dict[int, Ticket]:
        return tickets_by_resource(self.tickets)

    def holder(self, resource: Resource) -> Ticket | None:
        """The ticket that has the resource."""
        return holder(resource, self.ticket_by_resource)

    @property
    def with_holders(self) -> list[tuple[Resource, Ticket | None]]:
        """Each resource with the ticket that has it."""
        return [(resource, self.holder(resource)) for resource in self.resources]

    @functools.cached_property
    def waiting(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.waiting]

    @functools.cached_property
    def waiting_by_tags(self) -> dict[frozenset[str], list[Ticket]]:
        groups: defaultdict[frozenset[str], list[Ticket]] = defaultdict(list)
        for ticket in self.waiting:
            groups[frozenset(ticket.tags)].append(ticket)
        return dict(groups)

    @functools.cached_property
    def pool_counts(self) -> list[dict[str, Any]]:
        """The counts of each pool, in the order of pools.yaml; pools that left the file come last."""
        return count_pools(self.records, self.resources, self.ticket_by_resource)

    @functools.cached_property
    def pools(self) -> list[PoolStatus]:
        """In the order of pools.yaml; pools that left the file come last."""
        by_pool: defaultdict[str, list[Resource]] = defaultdict(list)
        for resource in self.resources:
            by_pool[resource.pool].append(resource)
        records = {record.name: record for record in self.records}
        pools = []
        for counts in self.pool_counts:
            record = records.get(counts["name"]) or PoolRecord(name=counts["name"], configured=False)
            pools.append(PoolStatus(record, counts, by_pool[record.name], self._waiting_for(record)))
        return pools

    @functools.cached_property
    def total(self) -> dict[str, int]:
        """The sums of the counts over all pools."""
        return {name: sum(pool[name] for pool in self.pool_counts) for name in ("max", *COUNTS, "held")}

    @functools.cached_property
    def _on_demand(self) -> frozenset[str]:
        """Tags that are on-demand in any configured pool."""
        records = (record for record in self.records if record.configured)
        return frozenset(tag for record in records for tag in record.options.get("tags_on_demand", ()))

    def _waiting_for(self, record: PoolRecord) -> list[Ticket]:
        """The tickets that the pool could serve, as `policy.waits.demand` counts them.

        An on-demand pool serves only tickets that have an on-demand tag.
        """
        options = record.options if record.configured else {}
        on_demand = options.get("tags_on_demand", ())
        offers = {*options.get("tags", ()), *on_demand}
        groups = [
            tickets
            for tags, tickets in self.waiting_by_tags.items()
            if tags <= offers and not (on_demand and tags.isdisjoint(self._on_demand))
        ]
        return sorted((ticket for tickets in groups for ticket in tickets), key=lambda ticket: ticket.id)


def read_model(context: Context) -> ReadModel:
    """The read model as of now: it shows everything that was durable before this call. Blocks on the disk.

    The store parses only documents that changed since the last call. Corrupt ones are left out: the leader reports and
    quarantines them. Raises StoreUnavailable.
    """
    store, view = context.store, context.view
    # Tickets last: a resource that a ticket names is older than the ticket, so it is found.
    resources, records = living_resources(store), pool_records(store)
    tickets = store.tickets.all()
    return ReadModel(context.clock(), resources, tickets, records, view.pools(), view.has_leader())


def living_resources(store: Store) -> tuple[Resource, ...]:
    """The resources that are not ENDED, by id."""
    return tuple(one for one in store.resources.all() if one.state is not ResourceState.ENDED)


def pool_records(store: Store) -> list[PoolRecord]:
    """The records of all pools ever seen, in the order of pools.yaml; pools that left the file come last."""
    return sorted(store.pools.all(), key=lambda record: (not record.configured, record.position, record.name))


def find_resource(store: Store, id_or_name: str) -> Resource:
    """The resource with this id or name, a living one rather than an ended one; raises NotFound."""
    if id_or_name.isascii() and id_or_name.isdigit() and len(id_or_name) <= 17:
        return store.resources.read(int(id_or_name))
    for resource in living_resources(store):
        if resource.name == id_or_name:
            return resource
    for number in _ids_to_search(store, id_or_name):
        try:
            ended = store.resources.read(number)
        except (NotFound, CorruptDocument, NewerDocument):
            continue
        if ended.name == id_or_name:
            return ended
    raise NotFound("resource", id_or_name)


def _ids_to_search(store: Store, name: str) -> Iterable[int]:
    """The ids of ended resources that may have this name.

    Only where a pool's `name_pattern` has no `{id}`, which is written with at least 8 digits, must ended resources be
    searched one by one.
    """
    patterns = [record.options.get("name_pattern", "{id}") for record in store.pools.all()]
    if all("{id}" in pattern for pattern in patterns):
        ids = {int(digits) for length in (8, 9) for digits in re.findall(rf"(?=([0-9]{{{length}}}))", name)}
        return sorted(ids, reverse=True)
    return heapq.nlargest(MOST_ENDED, store.resources.archived())


def tickets_by_resource(tickets: Iterable[Ticket]) -> dict[int, Ticket]:
    """By resource id, the ticket that has or last had it: an OPEN one rather than a CLOSED one, the last turn first."""
    found: dict[int, Ticket] = {}
    for ticket in tickets:
        if ticket.resource is not None and ticket.state is not TicketState.FAILED:
            known = found.get(ticket.resource)
            if known is None or _is_later(ticket, known):
                found[ticket.resource] = ticket
    return found


def _is_later(ticket: Ticket, known: Ticket) -> bool:
    if TicketState.OPEN in (ticket.state, known.state):
        return known.state is not TicketState.OPEN
    return (ticket.turn or 0) > (known.turn or 0)


def holder(resource: Resource, by_resource: Mapping[int, Ticket]) -> Ticket | None:
    """The ticket that has the resource: a CLOSED one only until its resource is released."""
    ticket = by_resource.get(resource.id)
    return ticket if ticket is not None and ticket.holds(resource) else None


def count_pools(
    records: Sequence[PoolRecord], resources: Iterable[Resource], by_resource: Mapping[int, Ticket]
) -> list[dict[str, Any]]:
    """Each pool with its counts and what operators want of it; pools that left the file only while they have resources.

    `up` are all UP resources, of which `taken` have a ticket and `ready` have none and are not held.
    """
    known = {record.name for record in records}
    held: Counter[str] = Counter()
    found = {record.name: dict.fromkeys(COUNTS, 0) for record in records}
    for resource in resources:
        if resource.state not in _COUNT_OF_STATE:
            continue
        counts = found.setdefault(resource.pool, dict.fromkeys(COUNTS, 0))
        counts[_COUNT_OF_STATE[resource.state]] += 1
        taken = holder(resource, by_resource)
        if resource.state is ResourceState.UP and (taken or not resource.held):
            counts["taken" if taken else "ready"] += 1
        held[resource.pool] += resource.held
    unrecorded = [PoolRecord(name=name, configured=False) for name in found if name not in known]
    return [
        {
            "name": record.name,
            "description": record.options.get("description"),
            "configured": record.configured,
            "max": record.options.get("max", 0),
            **found[record.name],
            "held": held[record.name],
            "paused_until": record.paused_until,
            "pause_reason": record.pause_reason,
            "bad_resources": record.bad_resources,
            "lost_resources": record.abandoned_resources,
            "last_lost_at": record.last_abandoned_at,
            "mode": record.mode,
            "mode_since": record.mode_since,
            "mode_by": record.mode_by,
            "mode_reason": record.mode_reason,
            "drain_until": record.drain_until,
            "drained_at": record.drained_at,
        }
        for record in [*records, *unrecorded]
        if record.configured or any(found[record.name].values())
    ]
