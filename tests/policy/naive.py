"""Steps 2 and 6 of a pass, written down as plainly as their description: what the fast ones must agree with."""

from collections.abc import Mapping, Sequence

from functions.policy.snapshot.snapshot import Snapshot
from state.documents import PoolMode, PoolRecord, Resource, ResourceState, Ticket

Records = Mapping[str, PoolRecord]


def free_after(snapshot: Snapshot, resources: dict[int, Resource], freed: set[int]) -> list[Resource]:
    """These resources without those that are UP and taken, by id; `freed` are released in this plan."""
    return [
        r
        for _, r in sorted(resources.items())
        if r.state is not ResourceState.UP or r.id in freed or snapshot.holder(r.id) is None
    ]


def waiting(snapshot: Snapshot) -> list[Ticket]:
    return [ticket for _, ticket in sorted(snapshot.tickets.items()) if ticket.waiting]


def on_demand(snapshot: Snapshot, ticket: Ticket) -> bool:
    return any(tag in pool.tags_on_demand for pool in snapshot.pools.values() for tag in ticket.tags)


def mode(records: Records, pool: str) -> PoolMode:
    return records[pool].mode if pool in records else PoolMode.ACTIVE


def assignments(snapshot: Snapshot, free: Sequence[Resource], records: Records) -> list[tuple[int, int]]:
    """(ticket, resource) in the order in which they are assigned; `free` holds no resource that is to be deleted."""
    left = [r for r in free if r.state is ResourceState.UP and r.check_failed_count == 0]
    left = [r for r in left if r.held_until is None and r.delete_after_run is None]
    left = [r for r in left if mode(records, r.pool) is not PoolMode.DRAINING]
    given = []
    for ticket in sorted(waiting(snapshot), key=lambda ticket: (not on_demand(snapshot, ticket), ticket.id)):
        eligible = [r for r in left if r.sandbox in (None, ticket.sandbox) and set(ticket.tags) <= set(r.tags)]
        if eligible:
            best = max(eligible, key=lambda r: (_score(r, ticket), -r.id))
            left.remove(best)
            given.append((ticket.id, best.id))
    return given


def _score(resource: Resource, ticket: Ticket) -> int:
    own = resource.sandbox is not None and resource.sandbox == ticket.sandbox
    return sum(resource.tags[tag] for tag in set(ticket.tags)) + (500 if own else 0)


def on_demand_starts(
    snapshot: Snapshot, free: Sequence[Resource], all_resources: Sequence[Resource], records: Records, now: float
) -> dict[str, list[int]]:
    """The tickets for which a start is planned, by pool; `free` holds no resource that is to be deleted."""
    coming = (ResourceState.STARTING, ResourceState.RELEASING, ResourceState.UP)
    covers = [r for r in free if r.state in coming and r.delete_after_run is None]
    covers = [r for r in covers if r.held_until is None]
    covers = [r for r in covers if mode(records, r.pool) is not PoolMode.DRAINING]
    pools = sorted((pool for pool in snapshot.pools.values() if pool.tags_on_demand), key=lambda pool: pool.name)
    planned: dict[str, list[int]] = {}
    for ticket in waiting(snapshot):
        if not on_demand(snapshot, ticket):
            continue
        tags = set(ticket.tags)
        capable = [pool for pool in pools if tags <= set(pool.tags) | set(pool.tags_on_demand)]
        names = [pool.name for pool in capable]
        serving = [r for r in covers if r.pool in names and r.sandbox in (None, ticket.sandbox) and tags <= set(r.tags)]
        if serving:
            covers.remove(min(serving, key=lambda r: (r.pool, r.sandbox is None, sorted(r.tags.items()))))
            continue
        with_room = []
        for pool in capable:
            number = len(planned.get(pool.name, ()))
            living = [r for r in all_resources if r.pool == pool.name]
            starting = [r for r in living if r.state is ResourceState.STARTING]
            paused_until = records.get(pool.name, PoolRecord(name=pool.name)).paused_until or 0
            if mode(records, pool.name) is not PoolMode.ACTIVE:
                continue
            if len(living) + number < pool.max and len(starting) + number < pool.max_starting and paused_until <= now:
                priority = sum((pool.tags | pool.tags_on_demand)[tag] for tag in tags)
                with_room.append((-priority, pool.name))
        if with_room:
            planned.setdefault(min(with_room)[1], []).append(ticket.id)
    return planned
