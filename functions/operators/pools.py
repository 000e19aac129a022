"""Pools: `GET /pools` and `GET /pools/NAME` with counts, `GET /api/stats` for monitoring. Reads the read model."""

from typing import Any

from flask import Response

from functions.operators.read_model import COUNTS, pool_records, read_model
from functions.text import iso
from functions.web import replies
from functions.web.context import Context, current
from functions.web.offload import in_thread
from functions.web.requests import NoFields, parse_query
from state.documents import PoolMode
from state.errors import NotFound


def list_pools() -> Response:
    """200 with each pool's limits and counts and their total, in the order of pools.yaml: lines or JSON."""
    parse_query(NoFields)
    counts = in_thread(read_counts, current())
    if replies.wants_json():
        total = {name: sum(pool[name] for pool in counts) for name in ("max", *COUNTS)}
        return replies.json_reply({"pools": counts, "total": total})
    return replies.text_reply("".join(map(_line, counts)))


def show_pool(name: str) -> Response:
    """200 with the counts of one pool: a line, or JSON. 404 when it is unknown."""
    parse_query(NoFields)
    counts = next((pool for pool in in_thread(read_counts, current()) if pool["name"] == name), None)
    if counts is None:
        raise NotFound("pool", name)
    return replies.json_reply(counts) if replies.wants_json() else replies.text_reply(_line(counts))


def show_stats() -> Response:
    """200 with JSON: the start statistics of each configured pool."""
    parse_query(NoFields)
    records = in_thread(pool_records, current().store)
    return replies.json_reply(
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


def read_counts(context: Context) -> list[dict[str, Any]]:
    """Each pool with its counts, in the order of pools.yaml; see `read_model.count_pools`."""
    return read_model(context).pool_counts


def _line(pool: dict[str, Any]) -> str:
    """The counts of a pool, then what is unusual: bad and abandoned resources, and a mode set by operators."""
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
