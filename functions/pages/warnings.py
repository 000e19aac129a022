"""Conditions that operators should see at a glance: a pool that is full, failing, idle or leaking; a server without a
scheduler. Pure: the read model comes in, conditions come out.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from functions.operators.read_model import PoolStatus, ReadModel, holder
from functions.text import plural, span
from state.documents import PoolMode, PoolRecord, Resource, ResourceState, Ticket

TAKEN_LONG = 86400.0
"""Seconds after which a taken resource is reported as taken for long."""
ABANDONED_SHOWN = 86400.0
"""Seconds for which an abandoned resource (one that could not be deleted) is reported."""
_URGENCY = {"bad": 0, "warn": 1, "note": 2, "good": 3}


class Condition(NamedTuple):
    """`level` is bad, warn, note or good; `word` is for lists, `sentence` explains it, `link` shows more."""

    level: str
    word: str
    sentence: str
    link: str = ""


def conditions_by_pool(model: ReadModel) -> dict[str, tuple[Condition, ...]]:
    """The conditions of each pool by its name."""
    return {pool.name: conditions_of_pool(pool, model.ticket_by_resource, model.at) for pool in model.pools}


def conditions_of_pool(pool: PoolStatus, by_resource: Mapping[int, Ticket], now: float) -> tuple[Condition, ...]:
    """The conditions of one pool, the most urgent first; at least one."""
    found = sorted(_conditions(pool, by_resource, now), key=lambda condition: _URGENCY[condition.level])
    return tuple(found) or (Condition("good", "working", "No problems."),)


def conditions_of_server(model: ReadModel) -> list[Condition]:
    """What concerns the whole server."""
    found = []
    if not model.has_leader:
        sentence = "No scheduler is running: nothing is started, assigned or deleted."
        found.append(Condition("bad", "no scheduler", sentence))
    if (shown := model.leader_pools) is not None:
        found += [Condition("bad", "configuration", fault) for fault in shown.faults]
        found += [Condition("warn", "configuration", warning) for warning in shown.warnings]
        found += [Condition("bad", "quarantine", name) for name in shown.quarantine]
        archive = "Finished documents cannot be archived in {}."
        found += [Condition("warn", "archive", archive.format(folder)) for folder in shown.not_archived]
    return found


def _conditions(pool: PoolStatus, by_resource: Mapping[int, Ticket], now: float) -> Iterator[Condition]:
    record, counts, resources, waiting = pool.record, pool.counts, pool.resources, len(pool.waiting)
    if record.mode is not PoolMode.ACTIVE:
        yield _stopped(record, len(resources), now)
    if record.paused_until is not None and record.paused_until > now:
        again = span(record.paused_until - now)
        reason = record.pause_reason or "unknown reason"
        yield Condition("bad", "failing", f"Starts fail; next attempt in {again}: {reason}")
    elif record.start_failures:
        failed = "start" if record.start_failures == 1 else f"{record.start_failures} starts"
        yield Condition("warn", "failing", f"The last {failed} failed: {record.pause_reason or 'unknown reason'}")
    leaking = sum(resource.delete_failures > 0 for resource in resources)
    if leaking:
        sentence = f"{plural(leaking, 'resource')} could not be deleted so far; more attempts follow."
        yield Condition("bad", "leaking", sentence, _resources(record.name, "TROUBLE"))
    if record.last_abandoned_at is not None and now - record.last_abandoned_at < ABANDONED_SHOWN:
        count, ago = record.abandoned_resources, span(now - record.last_abandoned_at)
        they = "It may still exist." if count == 1 else "They may still exist."
        sentence = f"{plural(count, 'resource')} could not be deleted (last attempt {ago} ago). {they}"
        yield Condition("bad", "leaking", sentence, f"/events?{urlencode({'pool': record.name})}")
    sick = sum(resource.check_failed_count > 0 and resource.state is ResourceState.UP for resource in resources)
    if sick:
        sentence = f"{plural(sick, 'resource')} {'fails its' if sick == 1 else 'fail their'} livecheck."
        yield Condition("warn", "sick", sentence, _resources(record.name, "TROUBLE"))
    if not record.configured:
        yield Condition("note", "left", "It is no longer in pools.yaml and starts no new resources.")
    elif counts["max"] and len(resources) >= counts["max"]:
        full = f"It is at its max of {counts['max']}"
        if waiting:
            sentence = f"{full}, and {plural(waiting, 'ticket')} {'waits' if waiting == 1 else 'wait'}."
            link = f"/tickets?{urlencode({'state': 'WAITING', 'pool': record.name})}"
            yield Condition("warn", "full", sentence, link)
        elif not counts["ready"]:
            # With ready ones it is only full if they are reserved for other sandboxes.
            yield Condition("note", "full", f"{full}.")
    long = sum(_is_taken_long(resource, by_resource, now) for resource in resources)
    if long:
        sentence = f"{plural(long, 'resource')} taken for more than {span(TAKEN_LONG)}."
        yield Condition("note", "taken long", sentence, _resources(record.name, "TAKEN"))
    if counts["held"]:
        sentence = f"{plural(counts['held'], 'resource')} held by operators."
        yield Condition("note", "held", sentence, _resources(record.name, "HELD"))
    if not (counts["taken"] or waiting or counts["starting"] or counts["releasing"] or counts["deleting"]):
        yield Condition("note", "idle", "No ticket uses it.")


def _stopped(record: PoolRecord, left: int, now: float) -> Condition:
    because = f": {record.mode_reason}" if record.mode_reason else "."
    since = f"for {span(now - (record.mode_since or now))}, by {record.mode_by or 'an operator'}{because}"
    if record.mode is PoolMode.PAUSED:
        return Condition("warn", "paused", f"Paused {since}")
    if not left:
        return Condition("note", "drained", f"Drained, no resources are left; draining {since}")
    end = "" if record.drain_until is None else f" Deadline in {span(record.drain_until - now)}."
    return Condition("warn", "draining", f"Draining, {plural(left, 'resource')} left, {since}{end}")


def _is_taken_long(resource: Resource, by_resource: Mapping[int, Ticket], now: float) -> bool:
    ticket = holder(resource, by_resource)
    return ticket is not None and ticket.assigned_at is not None and now - ticket.assigned_at > TAKEN_LONG


def _resources(pool: str, state: str) -> str:
    return f"/resources?{urlencode({'pool': pool, 'state': state})}"
