"""Pools: `GET /pools` and `GET /pools/NAME` with counts, `GET /api/stats` for monitoring.

Reads pool records, resources and tickets.
"""

from typing import Any

from flask import Response

from functions.operators.counts import COUNTS, counted, in_order
from functions.operators.living import holders, read_living
from functions.text import iso
from functions.web import replies as http
from functions.web.context import current
from functions.web.offload import in_thread
from functions.web.requests import Query
from state.documents import PoolMode, PoolRecord
from state.errors import CorruptDocument, NotFound
from state.store import Store


def every() -> Response:
    """200 with each pool's limits and counts and their total, in the order of pools.yaml: lines or JSON."""
    Query().finish()
    pools = in_thread(count, current().store)
    total = {name: sum(pool[name] for pool in pools) for name in ("max", *COUNTS)}
    if http.wants_json():
        return http.json_reply({"pools": pools, "total": total})
    return http.text_reply("".join(map(_line, pools)))


def one(name: str) -> Response:
    """200 with the counts of one pool: a line, or JSON. 404 when it is not known."""
    Query().finish()
    found = next((pool for pool in in_thread(count, current().store) if pool["name"] == name), None)
    if found is None:
        raise NotFound("pool", name)
    return http.json_reply(found) if http.wants_json() else http.text_reply(_line(found))


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
    """Each pool with its counts; those that left the file are there while they have resources."""
    by_resource = holders(read_living(store.tickets))
    return counted(read_records(store), read_living(store.resources), by_resource)


def _line(pool: dict[str, Any]) -> str:
    """Its counts; at the end stands what is not as usual: bad and lost resources, and what operators want of it."""
    words = [pool["name"], *(f"{name}={pool[name]}" for name in ("max", *COUNTS))]
    if pool["bad_resources"]:
        words.append(f"bad={pool['bad_resources']}")
    if pool["lost_resources"]:
        words.append(f"lost={pool['lost_resources']}")
    if pool["mode"] is not PoolMode.ACTIVE:
        words.append(f"mode={pool['mode']}")
    for name in ("drain_until", "drained_at"):
        if pool[name] is not None:
            words.append(f"{name}={iso(pool[name])}")
    return " ".join(words) + "\n"


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
    return in_order(records)
