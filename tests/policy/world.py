"""A farm in memory: documents made with few words."""

from collections.abc import Iterable
from typing import Any

import msgspec

from config.pools import Pool
from functions.policy.plan.plan import plan
from functions.policy.plan.steps import Step
from functions.policy.snapshot.snapshot import Snapshot
from state.documents import (
    HookKind,
    Intent,
    IntentKind,
    PoolRecord,
    Resource,
    ResourceState,
    Run,
    Ticket,
    TicketState,
)

NOW = 1_000_000.0
RUN_OF = {
    ResourceState.STARTING: HookKind.ALLOC,
    ResourceState.RELEASING: HookKind.RELEASE,
    ResourceState.DELETING: HookKind.TERMINATE,
}

Document = Ticket | Resource | PoolRecord | Intent


def a_pool(name: str = "vm", **options: Any) -> Pool:
    """A pool that prepares nothing unless set otherwise, and whose hooks do not matter."""
    return Pool(**{"name": name, "cmd_new": "new", "cmd_delete": "delete", "max_prealloc": 0, **options})


def a_ticket(id: int, *tags: str, **fields: Any) -> Ticket:
    return Ticket(id=id, tags=tags, **{"created_at": NOW - 100, **fields})


def an_assigned_ticket(id: int, resource: int, **fields: Any) -> Ticket:
    return a_ticket(id, resource=resource, **{"assigned_at": NOW - 50, "sandbox": f"sandbox of {id}", **fields})


def a_closed_ticket(id: int, resource: int | None, **fields: Any) -> Ticket:
    return Ticket(
        id=id,
        resource=resource,
        **{
            "state": TicketState.CLOSED,
            "assigned_at": NOW - 50,
            "sandbox": f"sandbox of {id}",
            "closed_at": NOW - 1,
            **fields,
        },
    )


def a_resource(id: int, pool: Pool | str = "vm", state: ResourceState = ResourceState.UP, **fields: Any) -> Resource:
    """A resource with the tags of its pool, UP unless set otherwise, never checked, never taken."""
    name, tags = (pool, {}) if isinstance(pool, str) else (pool.name, pool.offers)
    run = Run(id=f"run of {id}", kind=RUN_OF[state], started_at=NOW - 10) if state in RUN_OF else None
    defaults = {"name": f"{name}_{id}", "tags": tags, "id_in_pool": id, "created_at": NOW - 100, "run": run}
    return Resource(id=id, pool=name, state=state, **{**defaults, **fields})


def a_released_resource(id: int, pool: Pool | str = "vm", sandbox: str = "s", **fields: Any) -> Resource:
    """A resource that is UP, free, was released 10 s ago and first taken 100 s ago."""
    defaults = {
        "sandbox": sandbox,
        "sandboxed_since": NOW - 100,
        "released_at": NOW - 10,
        "releases_counter": 1,
        "released_ticket": 900_000 + id,
    }
    return a_resource(id, pool, **{**defaults, **fields})


def an_intent(id: int, resource: int, **fields: Any) -> Intent:
    return Intent(id=id, kind=IntentKind.DELETE_RESOURCE, resource=resource, **fields)


def a_pool_intent(id: int, kind: IntentKind, pool: str = "vm", **fields: Any) -> Intent:
    return Intent(id=id, kind=kind, pool=pool, **fields)


def a_hold(id: int, resource: int, until: float = NOW + 3600, **fields: Any) -> Intent:
    kind = IntentKind.HOLD_RESOURCE
    return Intent(id=id, kind=kind, resource=resource, until=until, by="alice", reason="look", **fields)


def an_end_of_hold(id: int, resource: int, **fields: Any) -> Intent:
    return Intent(id=id, kind=IntentKind.RELEASE_RESOURCE, resource=resource, by="bob", **fields)


def a_record(pool: Pool, **fields: Any) -> PoolRecord:
    return PoolRecord(name=pool.name, options=msgspec.to_builtins(pool), **fields)


def put(snapshot: Snapshot, document: Document) -> None:
    match document:
        case Ticket():
            snapshot.put_ticket(document)
        case Resource():
            snapshot.put_resource(document)
        case PoolRecord():
            snapshot.put_record(document)
        case Intent():
            snapshot.put_intent(document)


def a_snapshot(pools: Iterable[Pool], *documents: Document) -> Snapshot:
    snapshot = Snapshot()
    snapshot.set_pools(list(pools))
    for document in documents:
        put(snapshot, document)
    return snapshot


def steps_of(pools: Iterable[Pool], *documents: Document, now: float = NOW) -> list[Step]:
    """The steps of a plan for these documents."""
    return list(plan(a_snapshot(pools, *documents), now).steps)


def of_kind(steps: Iterable[Step], *kinds: type) -> list[Step]:
    return [step for step in steps if isinstance(step, kinds)]
