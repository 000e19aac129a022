"""Pools: `GET /pools` with counts, `GET /api/stats` for monitoring. Reads pool records, resources and tickets."""

from typing import Any

from flask import Response

from functions import http
from functions.context import current
from functions.fields import Query
from functions.offload import in_thread
from functions.operators.living import holder, holders, read_living
from state.documents import PoolRecord, ResourceState
from state.errors import CorruptDocument
from state.store import Store

COUNTS = ("up", "ready", "taken", "starting", "delete_requested", "deleting", "releasing")
_BY_STATE = {
    ResourceState.UP: "up",
    ResourceState.STARTING: "starting",
    ResourceState.DELETE_REQUEST: "delete_requested",
    ResourceState.DELETING: "deleting",
    ResourceState.RELEASING: "releasing",
}


def every() -> Response:
    """200 with each pool's limits and counts and their total, in the order of pools.yaml: lines or JSON."""
    Query().finish()
    pools = in_thread(count, current().store)
    total = {name: sum(pool[name] for pool in pools) for name in ("max", *COUNTS)}
    if http.wants_json():
        return http.json_reply({"pools": pools, "total": total})
    lines = [" ".join([pool["name"], *(f"{name}={pool[name]}" for name in total)]) for pool in pools]
    return http.text_reply("".join(f"{line}\n" for line in lines))


def stats() -> Response:
    """200 with JSON: the start statistics of each configured pool."""
    Query().finish()
    records = in_thread(read_records, current().store)
    return http.json_reply(
        {
            record.name: {
                "startup_success_rate": record.startup_success_rate,
                "startup_time_avg": record.startup_time_avg,
                "last_successful_start": record.last_successful_start,
                "last_attempt_to_start": record.last_attempt_to_start,
            }
            for record in records
            if record.configured
        }
    )


def count(store: Store) -> list[dict[str, Any]]:
    """Each pool with its counts; those that left the file are there while they have resources.

    `up` are all UP resources, of which `taken` have a ticket and `ready` have none.
    """
    by_resource = holders(read_living(store.tickets))
    records = read_records(store)
    known = {record.name for record in records}
    counted = {record.name: dict.fromkeys(COUNTS, 0) for record in records}
    for resource in read_living(store.resources):
        if resource.state not in _BY_STATE:
            continue
        counts = counted.setdefault(resource.pool, dict.fromkeys(COUNTS, 0))
        counts[_BY_STATE[resource.state]] += 1
        if resource.state is ResourceState.UP:
            counts["taken" if holder(resource, by_resource) else "ready"] += 1
    unrecorded = [PoolRecord(name=name, configured=False) for name in counted if name not in known]
    return [
        {
            "name": record.name,
            "description": record.options.get("description"),
            "configured": record.configured,
            "max": record.options.get("max", 0),
            **counted[record.name],
            "paused_until": record.paused_until,
            "pause_reason": record.pause_reason,
        }
        for record in [*records, *unrecorded]
        if record.configured or any(counted[record.name].values())
    ]


def read_records(store: Store) -> list[PoolRecord]:
    """The records of all pools that were ever seen, in the order of the file, those that left it last."""
    records = []
    for name in store.pools.living():
        try:
            record = store.pools.get(name)
        except CorruptDocument:
            continue
        if record is not None:
            records.append(record)
    return sorted(records, key=lambda record: (not record.configured, record.position, record.name))
