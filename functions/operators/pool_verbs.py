"""What operators do with a pool: `POST /pools/NAME/pause`, `/drain`, `/resume` and `/retry`.

Each reads the pool's record and writes an intent, which the next reconcile pass decides. Each may be repeated.
"""

from typing import Annotated

from flask import Response
from msgspec import Meta

from config.pools import pool_name_fault
from functions.operators.pools import read_counts
from functions.operators.verbs import Reason, checked_reason, read_operator, read_reason, write_intent
from functions.text import utc
from functions.web import replies, times
from functions.web.context import Context, current
from functions.web.errors import PoolDrains
from functions.web.offload import in_thread
from functions.web.requests import Fields, NoFields, parse_body, parse_query
from state.documents import IntentKind, PoolMode, PoolRecord
from state.errors import NotFound

LONGEST_DRAIN = 366 * 86400.0
"""Seconds that the deadline of a drain may be ahead."""


class Drain(Fields):
    """The body of `POST /pools/NAME/drain`."""

    reason: Reason | None = None
    by: Annotated[
        str | None,
        Meta(
            description="When resources that are still taken are deleted: like 23:59, 2h or 2026-03-01T18:00Z.",
            examples=["2h", "2026-03-01T18:00Z"],
        ),
    ] = None


def pause(name: str) -> Response:
    """202: nothing starts in the pool any more. 409 while it drains, which must be ended first."""
    context, reason = current(), read_reason()
    record = in_thread(read_record, context, name)
    if record.mode is PoolMode.DRAINING:
        raise PoolDrains(name)
    _write_intent(context, IntentKind.PAUSE_POOL, name, reason)
    return _reply(name, "pause", "nothing starts in it; its resources are assigned, checked and deleted as before")


def resume(name: str) -> Response:
    """202: the pool starts and assigns resources again, after a pause or a drain."""
    context, reason = current(), read_reason()
    record = in_thread(read_record, context, name)
    _write_intent(context, IntentKind.RESUME_POOL, name, reason)
    before = {PoolMode.PAUSED: " and is no longer paused", PoolMode.DRAINING: " and no longer drains"}
    return _reply(name, "resume", f"it starts and assigns resources as its options say{before.get(record.mode, '')}")


def drain(name: str) -> Response:
    """202 with what is left in the pool: nothing starts and nothing is assigned. Free resources are deleted at once,
    taken ones when their ticket is closed, or at the time `by`, and then that ticket fails.
    """
    parse_query(NoFields)
    context, body = current(), parse_body(Drain)
    reason = checked_reason(body.reason)
    until = None if body.by is None else times.read_future("by", body.by, context.clock(), LONGEST_DRAIN)
    in_thread(read_record, context, name)
    counts = next((pool for pool in in_thread(read_counts, context) if pool["name"] == name), {})
    _write_intent(context, IntentKind.DRAIN_POOL, name, reason, until)
    return _reply(name, "drain", _drain_sentence(counts, until))


def retry(name: str) -> Response:
    """202: the pool's pause after failed starts ends, and it tries to start at once."""
    context, reason = current(), read_reason()
    record = in_thread(read_record, context, name)
    _write_intent(context, IntentKind.RETRY_POOL, name, reason)
    if record.mode is not PoolMode.ACTIVE:
        return _reply(
            name, "retry", f"its failed starts are forgotten, but it starts nothing while it is {record.mode}"
        )
    if record.paused_until is None:
        return _reply(name, "retry", "it has no failed starts to forget")
    return _reply(name, "retry", "its failed starts are forgotten, it tries again at once")


def read_record(context: Context, name: str) -> PoolRecord:
    """The record of the pool; raises NotFound."""
    record = None if pool_name_fault(name) else context.store.pools.get(name)
    if record is None:
        raise NotFound("pool", name)
    return record


def _write_intent(
    context: Context, kind: IntentKind, pool: str, reason: str | None, until: float | None = None
) -> None:
    in_thread(write_intent, context, kind, pool=pool, reason=reason, until=until, by=read_operator())


def _drain_sentence(counts: dict[str, int], until: float | None) -> str:
    free, taken = counts.get("ready", 0), counts.get("taken", 0)
    coming = counts.get("starting", 0) + counts.get("releasing", 0)
    going = counts.get("delete_requested", 0) + counts.get("deleting", 0)
    if not free + taken + coming + going:
        return "nothing starts in it, and it has no resources left"
    parts = [f"{free} free are deleted now"]
    if coming:
        parts.append(f"{coming} are deleted when they have started or are released")
    if going:
        parts.append(f"{going} are already being deleted")
    if taken:
        parts.append(f"{taken} taken are deleted when their tickets are closed")
        parts.append("no deadline" if until is None else f"at {utc(until)} at the latest")
    return f"nothing starts in it and nothing is assigned: {', '.join(parts)}"


def _reply(name: str, verb: str, sentence: str) -> Response:
    if replies.wants_json():
        return replies.json_reply({"pool": name, "verb": verb, "message": sentence}, 202)
    return replies.text_reply(f"pool {name}: {sentence}\n", 202)
