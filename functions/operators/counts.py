"""How many resources each pool has, by what they are used for."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from functions.operators.living import holder
from state.documents import PoolRecord, Resource, ResourceState, Ticket

COUNTS = ("up", "ready", "taken", "starting", "delete_requested", "deleting", "releasing")
_BY_STATE = {
    ResourceState.UP: "up",
    ResourceState.STARTING: "starting",
    ResourceState.DELETE_REQUEST: "delete_requested",
    ResourceState.DELETING: "deleting",
    ResourceState.RELEASING: "releasing",
}


def counted(
    records: Sequence[PoolRecord], resources: Iterable[Resource], by_resource: Mapping[int, Ticket]
) -> list[dict[str, Any]]:
    """Each pool with its counts; those that left the file are there while they have resources.

    `up` are all UP resources, of which `taken` have a ticket and `ready` have none and are not held.
    """
    known = {record.name for record in records}
    held: Counter[str] = Counter()
    found = {record.name: dict.fromkeys(COUNTS, 0) for record in records}
    for resource in resources:
        if resource.state not in _BY_STATE:
            continue
        counts = found.setdefault(resource.pool, dict.fromkeys(COUNTS, 0))
        counts[_BY_STATE[resource.state]] += 1
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


def in_order(records: Iterable[PoolRecord]) -> list[PoolRecord]:
    """As pools.yaml has them, those that left it last."""
    return sorted(records, key=lambda record: (not record.configured, record.position, record.name))
