"""What is to be seen at a glance: full, failing, idle, leaking. Pure: documents and a time in, signs out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from functions.operators.living import holder
from functions.text import plural, span
from state.documents import PoolMode, PoolRecord, Resource, ResourceState, Ticket

TAKEN_LONG = 86400.0
"""Seconds after which it is told that somebody still has a resource."""
LOSS_SHOWN = 86400.0
"""Seconds for which it is told that a delete was given up."""


class Sign(NamedTuple):
    """`level` is bad, warn, note or good; `word` stands in a list, `sentence` tells more, `place` shows it."""

    level: str
    word: str
    sentence: str
    place: str = ""


def signs_of_pool(
    record: PoolRecord,
    counts: Mapping[str, Any],
    resources: Sequence[Resource],
    by_resource: Mapping[int, Ticket],
    waiting: int,
    now: float,
) -> tuple[Sign, ...]:
    """The signs of one pool, the most urgent first; never none."""
    found = sorted(_signs(record, counts, resources, by_resource, waiting, now), key=lambda sign: _URGENCY[sign.level])
    return tuple(found) or (Sign("good", "working", "Nothing is wrong here."),)


_URGENCY = {"bad": 0, "warn": 1, "note": 2, "good": 3}


def _signs(
    record: PoolRecord,
    counts: Mapping[str, Any],
    resources: Sequence[Resource],
    by_resource: Mapping[int, Ticket],
    waiting: int,
    now: float,
) -> Iterator[Sign]:
    if record.mode is not PoolMode.ACTIVE:
        yield _stopped(record, len(resources), now)
    if record.paused_until is not None and record.paused_until > now:
        again = span(record.paused_until - now)
        yield Sign("bad", "failing", f"Starts fail; the next try is in {again}: {record.pause_reason or 'unknown'}")
    elif record.start_failures:
        failed = "start" if record.start_failures == 1 else f"{record.start_failures} starts"
        yield Sign("warn", "failing", f"The last {failed} failed: {record.pause_reason or 'unknown'}")
    leaking = sum(resource.delete_failures > 0 for resource in resources)
    if leaking:
        trouble = _list(record.name, "TROUBLE")
        yield Sign("bad", "leaking", f"{plural(leaking, 'resource')} could not be deleted so far.", trouble)
    if record.last_abandoned_at is not None and now - record.last_abandoned_at < LOSS_SHOWN:
        ago = span(now - record.last_abandoned_at)
        lost = f"The delete of {plural(record.abandoned_resources, 'resource')} was given up, of the last one {ago} ago"
        yield Sign("bad", "leaking", f"{lost}: still there, perhaps.", f"/events?{urlencode({'pool': record.name})}")
    sick = sum(resource.check_failed_count > 0 and resource.state is ResourceState.UP for resource in resources)
    if sick:
        yield Sign("warn", "sick", f"The livecheck of {plural(sick, 'resource')} fails.", _list(record.name, "TROUBLE"))
    if not record.configured:
        yield Sign("note", "left", "It is no longer in pools.yaml, and empties.")
    elif counts["max"] and len(resources) >= counts["max"]:
        # What is ready may be kept for another sandbox.
        full = f"It is at its max of {counts['max']}"
        if waiting:
            wait = f"{full}, and {plural(waiting, 'ticket')} {'waits' if waiting == 1 else 'wait'}."
            yield Sign("warn", "full", wait, f"/tickets?{urlencode({'state': 'WAITING', 'pool': record.name})}")
        elif not counts["ready"]:
            yield Sign("note", "full", f"{full}.")
    long = sum(_taken_long(resource, by_resource, now) for resource in resources)
    if long:
        words = f"{plural(long, 'resource')} taken for more than {span(TAKEN_LONG)}."
        yield Sign("note", "taken long", words, _list(record.name, "TAKEN"))
    if counts["held"]:
        words = f"{plural(counts['held'], 'resource')} kept by operators."
        yield Sign("note", "held", words, _list(record.name, "HELD"))
    if not (counts["taken"] or waiting or counts["starting"] or counts["releasing"] or counts["deleting"]):
        yield Sign("note", "idle", "Nobody uses it.")


def _stopped(record: PoolRecord, left: int, now: float) -> Sign:
    because = f": {record.mode_reason}" if record.mode_reason else "."
    since = f"for {span(now - (record.mode_since or now))}, by {record.mode_by or 'an operator'}{because}"
    if record.mode is PoolMode.PAUSED:
        return Sign("warn", "paused", f"Nothing starts, {since}")
    if not left:
        return Sign("note", "drained", f"Nothing is left in it; drained {since}")
    end = "" if record.drain_until is None else f" All ends in {span(record.drain_until - now)}."
    return Sign("warn", "draining", f"Nothing is given any more, {plural(left, 'resource')} left, {since}{end}")


def _taken_long(resource: Resource, by_resource: Mapping[int, Ticket], now: float) -> bool:
    ticket = holder(resource, by_resource)
    return ticket is not None and ticket.assigned_at is not None and now - ticket.assigned_at > TAKEN_LONG


def _list(pool: str, state: str) -> str:
    return f"/resources?{urlencode({'pool': pool, 'state': state})}"
