"""Rows of the old database → documents. Pure, but for the time zone of the machine.

The old server kept fewer times than the documents have. What is not known stays empty, except for `created_at`
(the first time known of it, at the latest the import) and `failed_at` of FAILED tickets (the import, so that
they are kept for a whole retention).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from config.errors import quoted
from config.pools import pool_name_fault
from scheduler.importer.old_database import OldDatabase, OldPool, OldResource, OldTicket
from scheduler.importer.rules import BrokenRules, contradictions
from state.documents import PoolRecord, Resource, ResourceState, Ticket, TicketState
from state.store import Dump

_LOST_BY_A_RESTART = (ResourceState.STARTING, ResourceState.RELEASING, ResourceState.DELETING)


@dataclass(frozen=True)
class Converted(Dump):
    """All documents of the old database, and sentences about what was odd in it or could not be kept."""

    oddities: list[str]


def convert(old: OldDatabase, now: float) -> Converted:
    """All documents for these rows at `now` (Unix seconds); raises BrokenRules with every contradiction."""
    faults = contradictions(old)
    if faults:
        raise BrokenRules(faults)
    oddities: list[str] = []
    rows = {row.id: row for row in old.resources}
    resources = _resources(old, now, oddities)
    tags = _tags_by_ticket(old, oddities)
    tickets: list[Ticket] = []
    settled: list[Ticket] = []
    for row in old.tickets:
        resource = rows.get(row.resource_id) if row.resource_id is not None else None
        _note_odd_ticket(row, resource, oddities)
        ticket = _ticket(row, resource, tags.get(row.id, ()), now)
        (settled if _is_settled(row, resource) else tickets).append(ticket)
    return Converted(
        tickets=tickets,
        settled=settled,
        resources=[resource for resource in resources if resource.state is not ResourceState.ENDED],
        ended=[resource for resource in resources if resource.state is ResourceState.ENDED],
        records=_records(old.pools, now, oddities),
        oddities=oddities,
        highest_ticket=max([0, *tags, *(tag.ticket_id for tag in old.ticket_tags)]),
        highest_resource=max([0, *rows, *(row.resource_id or 0 for row in old.tickets)]),
    )


def _is_settled(row: OldTicket, resource: OldResource | None) -> bool:
    if row.state is not TicketState.CLOSED:
        return False
    held = resource is not None and resource.state is ResourceState.UP and resource.ticket_id == row.id
    return not held


def _ticket(row: OldTicket, resource: OldResource | None, tags: Iterable[str], now: float) -> Ticket:
    assigned_at = _assigned_at(row, resource)
    failed = row.state is TicketState.FAILED
    return Ticket(
        id=row.id,
        state=row.state,
        tags=tuple(sorted(tags)),
        sandbox=row.sandbox,
        created_at=now if assigned_at is None else assigned_at,
        resource=row.resource_id,
        resource_name=_name(resource) if resource else None,
        pool=resource.pool if resource else None,
        assigned_at=assigned_at,
        output=None if row.resource_id is None else (resource.data if resource else None) or b"",
        failed_at=now if failed else None,
        reason="it had failed before the import" if failed else None,
    )


def _assigned_at(row: OldTicket, resource: OldResource | None) -> float | None:
    """The best known: when the resource was first taken; for its present ticket not before its last release."""
    if resource is None:
        return None
    if resource.ticket_id == row.id and resource.released_at is not None:
        return max(resource.released_at, resource.sandboxed_since or 0.0)
    return resource.sandboxed_since


def _note_odd_ticket(row: OldTicket, resource: OldResource | None, oddities: list[str]) -> None:
    if row.resource_id is None:
        return
    if row.state is TicketState.OPEN and (resource is None or resource.state is not ResourceState.UP):
        state = resource.state if resource else "not in the database"
        oddities.append(f"ticket {row.id} is OPEN, but its resource {row.resource_id} is {state}: it will fail")
    elif resource is None:
        oddities.append(f"ticket {row.id} is {row.state}; its resource {row.resource_id} is not in the database")


def _tags_by_ticket(old: OldDatabase, oddities: list[str]) -> dict[int, list[str]]:
    tags: dict[int, list[str]] = {row.id: [] for row in old.tickets}
    orphans: Counter[int] = Counter()
    for row in old.ticket_tags:
        if row.ticket_id in tags:
            tags[row.ticket_id].append(row.name)
        else:
            orphans[row.ticket_id] += 1
    _note_orphans("ticket", orphans, oddities)
    return tags


def _resources(old: OldDatabase, now: float, oddities: list[str]) -> list[Resource]:
    states = {row.id: row.state for row in old.resources}
    tags: dict[int, dict[str, int]] = defaultdict(dict)
    orphans: Counter[int] = Counter()
    for tag in old.resource_tags:
        if tag.resource_id in states:
            tags[tag.resource_id][tag.name] = tag.priority or 0
        else:
            orphans[tag.resource_id] += 1
    _note_orphans("resource", orphans, oddities)
    counters: dict[int, dict[str, int]] = defaultdict(dict)
    for counter in old.named_counters:
        if states.get(counter.resource_id, ResourceState.ENDED) is ResourceState.ENDED:
            what = f"value {counter.value} of counter {quoted(counter.counter_name)}"
            oddities.append(f"{what} belongs to resource {counter.resource_id}, which is gone: it is free again")
        else:
            counters[counter.resource_id][counter.counter_name] = counter.value
    ids = _ids_in_pool(old, states, oddities)
    return [_resource(row, tags[row.id], counters[row.id], ids.get(row.id, 0), now, oddities) for row in old.resources]


def _ids_in_pool(old: OldDatabase, states: dict[int, ResourceState], oddities: list[str]) -> dict[int, int]:
    ids: dict[int, int] = {}
    taken: dict[str, set[int]] = defaultdict(set)
    for number in old.ids_within_pool:
        if states.get(number.resource_id, ResourceState.ENDED) is ResourceState.ENDED:
            what = f"id {number.id} within pool {quoted(number.pool_name)}"
            oddities.append(f"{what} belongs to resource {number.resource_id}, which is gone: it is free again")
        else:
            ids[number.resource_id] = number.id
            taken[number.pool_name].add(number.id)
    for row in old.resources:
        if row.state is not ResourceState.ENDED and row.id not in ids:
            free = next(id for id in range(len(taken[row.pool]) + 1) if id not in taken[row.pool])
            ids[row.id] = free
            taken[row.pool].add(free)
            oddities.append(f"resource {row.id} has no id within its pool {quoted(row.pool)}: it gets {free}")
    return ids


def _resource(
    row: OldResource, tags: dict[str, int], counters: dict[str, int], id_in_pool: int, now: float, oddities: list[str]
) -> Resource:
    state = row.state
    reason = None
    if row.name is None:
        oddities.append(f'resource {row.id} has no name: it gets the one that hooks have seen, "None"')
    if state in _LOST_BY_A_RESTART:
        oddities.append(f"resource {row.id} ({_name(row)}) is {state}: it will be deleted, as after a restart")
        reason = f"it was {state} when it was imported"
        state = ResourceState.DELETE_REQUEST
    elif state is ResourceState.DELETE_REQUEST:
        reason = "its deletion had been requested before the import"
    return Resource(
        id=row.id,
        name=_name(row),
        pool=row.pool,
        state=state,
        tags=tags,
        id_in_pool=id_in_pool,
        counters=counters,
        data=row.data,
        user=row.user,
        created_at=now if row.sandboxed_since is None else row.sandboxed_since,
        check_last_time=row.check_last_time,
        check_failed_count=row.check_failed_count or 0,
        sandbox=row.sandbox,
        sandboxed_since=row.sandboxed_since,
        released_at=row.released_at,
        releases_counter=row.releases_counter or 0,
        reason=reason,
    )


def _records(pools: list[OldPool], now: float, oddities: list[str]) -> list[PoolRecord]:
    records: list[PoolRecord] = []
    for row in pools:
        if fault := pool_name_fault(row.name):
            oddities.append(f"the statistics of pool {quoted(row.name)} are left out: a pool's name {fault}")
            continue
        record = PoolRecord(
            name=row.name,
            position=len(records),
            configured=False,
            first_seen_at=now,
            last_start=row.last_start or None,
            last_successful_start=row.last_successful_start,
            last_attempt_to_start=row.last_attempt_to_start,
            startup_success_rate=row.startup_success_rate,
            startup_time_avg=row.startup_time_avg,
            last_list_at=_unix_seconds(row.cleaning_unknown_resources, now),
        )
        records.append(record)
    return records


def _unix_seconds(local: datetime | None, now: float) -> float | None:
    """A local time as Unix seconds, at most `now`: a new row's time is in UTC, which may be ahead."""
    if local is None or local.year < 1970:
        return None
    return min(local.timestamp(), now)


def _name(row: OldResource) -> str:
    return "None" if row.name is None else row.name


def _note_orphans(kind: str, orphans: Counter[int], oddities: list[str]) -> None:
    if orphans:
        first = min(orphans)
        oddities.append(f"{orphans.total()} tags are left out: their {kind}s (the first is {first}) are not there")


def summary(converted: Converted) -> list[str]:
    """What an import brings over: lines with counts, and which pools pools.yaml must have."""
    tickets = Counter(_described(ticket) for ticket in converted.tickets)
    tickets["closed"] = len(converted.settled)
    resources = Counter(resource.state.value for resource in [*converted.resources, *converted.ended])
    lines = [
        _counts("tickets", tickets),
        _counts("resources", resources),
        f"pools: {len(converted.records)} with statistics",
        f"next ids: ticket {converted.highest_ticket + 1}, resource {converted.highest_resource + 1}",
    ]
    if converted.resources:
        lines.append(f"pools that pools.yaml must have, with their resources: {_counts_by_pool(converted.resources)}")
    return lines


def _described(ticket: Ticket) -> str:
    if ticket.state is TicketState.FAILED:
        return "failed"
    if ticket.state is TicketState.CLOSED:
        return "closed with a resource to release"
    return "waiting" if ticket.waiting else "open with a resource"


def _counts(what: str, counts: Counter[str]) -> str:
    parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)
    return f"{what}: {counts.total()}" + (f" ({parts})" if parts else "")


def _counts_by_pool(resources: Sequence[Resource]) -> str:
    counts = Counter(resource.pool for resource in resources)
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
