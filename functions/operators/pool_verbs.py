"""What operators let a pool do: `POST /pools/NAME/pause`, `/drain`, `/resume` and `/retry`.

Reads the pool's record, and for a drain its resources and tickets. Writes an intent, which the next reconcile pass
decides. Each may be sent again and again.
"""

from flask import Response

from config.poolvalues import pool_name_fault
from functions.operators import times
from functions.operators import verbs as wishes
from functions.operators.pools import count
from functions.text import utc
from functions.web import replies as http
from functions.web.context import Context, current
from functions.web.errors import PoolDrains
from functions.web.offload import in_thread
from functions.web.requests import Body, Query
from state.documents import IntentKind, PoolMode, PoolRecord
from state.errors import NotFound

LONGEST_DRAIN = 366 * 86400.0
"""Seconds that the deadline of a drain may lie ahead."""


def pause(name: str) -> Response:
    """202: nothing starts in the pool any more. 409 while it drains, which must be ended first."""
    context, reason = _begin()
    record = in_thread(read_record, context, name)
    if record.mode is PoolMode.DRAINING:
        raise PoolDrains(name)
    _ask(context, IntentKind.PAUSE_POOL, name, reason)
    return _reply(name, "pause", "nothing starts in it; what is there is given, checked and deleted as ever")


def resume(name: str) -> Response:
    """202: the pool starts and gives again, after a pause or a drain."""
    context, reason = _begin()
    record = in_thread(read_record, context, name)
    _ask(context, IntentKind.RESUME_POOL, name, reason)
    before = {PoolMode.PAUSED: " and is not paused any more", PoolMode.DRAINING: " and does not drain any more"}
    return _reply(name, "resume", f"it starts and gives as its options say{before.get(record.mode, '')}")


def drain(name: str) -> Response:
    """202 with what is left in the pool: nothing starts and nothing is given, what is free goes at once, what is taken
    when its ticket is closed, or at the time `by`, when its ticket fails.
    """
    Query().finish()
    context, body = current(), Body()
    reason, by = wishes.read_reason(body), body.string("by")
    body.finish()
    until = None if by is None else times.read_moment("by", by, context.clock(), LONGEST_DRAIN)
    in_thread(read_record, context, name)
    counts = next((pool for pool in in_thread(count, context.store) if pool["name"] == name), {})
    _ask(context, IntentKind.DRAIN_POOL, name, reason, until)
    return _reply(name, "drain", _what_goes(counts, until))


def retry(name: str) -> Response:
    """202: the pool forgets its pause after failed starts, and tries at once."""
    context, reason = _begin()
    record = in_thread(read_record, context, name)
    _ask(context, IntentKind.RETRY_POOL, name, reason)
    if record.mode is not PoolMode.ACTIVE:
        return _reply(
            name, "retry", f"its failed starts are forgotten, but it starts nothing while it is {record.mode}"
        )
    if record.paused_until is None:
        return _reply(name, "retry", "it has no failed starts to forget")
    return _reply(name, "retry", "its failed starts are forgotten, it tries again at once")


def read_record(context: Context, name: str) -> PoolRecord:
    """What is remembered of the pool; raises NotFound."""
    record = None if pool_name_fault(name) else context.store.pools.get(name)
    if record is None:
        raise NotFound("pool", name)
    return record


def _begin() -> tuple[Context, str | None]:
    Query().finish()
    body = Body()
    reason = wishes.read_reason(body)
    body.finish()
    return current(), reason


def _ask(context: Context, kind: IntentKind, pool: str, reason: str | None, until: float | None = None) -> None:
    in_thread(wishes.ask, context, kind, pool=pool, reason=reason, until=until, by=wishes.who())


def _what_goes(counts: dict[str, int], until: float | None) -> str:
    free, taken = counts.get("ready", 0), counts.get("taken", 0)
    coming = counts.get("starting", 0) + counts.get("releasing", 0)
    going = counts.get("delete_requested", 0) + counts.get("deleting", 0)
    if not free + taken + coming + going:
        return "nothing starts in it, and it has no resources left"
    parts = [f"{free} free go now"]
    if coming:
        parts.append(f"{coming} go when they have started or are released")
    if going:
        parts.append(f"{going} are going")
    if taken:
        parts.append(f"{taken} taken go when their tickets are closed")
        parts.append("no deadline" if until is None else f"at {utc(until)} at the latest")
    return f"nothing starts in it and nothing is given: {', '.join(parts)}"


def _reply(name: str, verb: str, sentence: str) -> Response:
    if http.wants_json():
        return http.json_reply({"pool": name, "verb": verb, "message": sentence}, 202)
    return http.text_reply(f"pool {name}: {sentence}\n", 202)
