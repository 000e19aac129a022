"""Why a ticket waits: its place in the queue, what limits the pools, how long it may take. From the leader's view."""

import time
from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from functions.leader_view import Group, Prospect, Waiting
from functions.policy.order import OrderKey, Queue, before, order_key, rivals
from functions.policy.waits.estimate import Confidence, Estimate, estimate
from functions.text import ordinal, plural, rough_span
from functions.tickets.validation import nearest_known
from functions.web import lifetime
from functions.web.context import Context
from state.documents import Ticket

NO_PASS_YET = "the scheduler has not looked at it yet"
NO_SCHEDULER = "no scheduler is running"
FRESH = 2.0
"""Age in seconds up to which an explanation of a new ticket waits for the next pass."""
PATIENCE = 1.2
"""Seconds that it waits at most: a little more than the least pause between two views of the leader."""
_POLL_PERIOD = 0.05


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a ticket's wait.

    `place` is its place among those with the same tags (1 is next), `before` the number of all tickets that come
    before it and that the same pools could serve. `why` is a clause on what limits the pools; `summary` is everything
    in one line. `pools` are those that could serve it, each with its limits. `nearest_tags` maps tags that no pool
    has to the nearest tag that a pool has, or null. `own` is a clause on resources of its own sandbox. `as_of` is when
    (Unix seconds) the scheduler reported this; `outdated` says that this is longer ago than usual.
    """

    place: int | None = None
    before: int | None = None
    why: str
    summary: str
    own: str | None = None
    pools: tuple[Prospect, ...] = ()
    nearest_tags: dict[str, str | None] = {}
    estimate: Estimate = Estimate()
    as_of: float | None = None
    outdated: bool = False


def fields_of(wait: Wait) -> dict[str, Any]:
    """The fields of a wait in JSON, beside those of its ticket."""
    return msgspec.structs.asdict(wait)


def lines_of(wait: Wait, ticket: Ticket, now: float) -> list[str]:
    """A wait for people: the ticket's place in the queue, then what limits each pool."""
    age = rough_span(now - ticket.created_at)
    lines = [f"Ticket {ticket.id} has waited for {age} for a resource with these tags: {', '.join(ticket.tags)}"]
    if not wait.pools:
        return [*lines, f"It waits because {wait.why}."]
    if wait.before is not None:
        lines += [_ahead(wait.before), _how_long(wait.estimate)]
    if wait.own:
        lines.append(f"{wait.own[0].upper()}{wait.own[1:]}.")
    lines += ["", *(f"pool {pool.pool} {pool.sentence}" for pool in wait.pools)]
    if wait.outdated:
        lines += ["", f"The scheduler reported this {rough_span(now - (wait.as_of or now))} ago."]
    return lines


def wait_of(context: Context, ticket: Ticket) -> Wait:
    """What the leader's view says about a waiting ticket."""
    if not context.view.has_leader():
        return Wait(why=NO_SCHEDULER, summary=NO_SCHEDULER)
    waiting = context.view.waiting()
    queues = _queues(waiting) if waiting is not None else None
    group = queues.group_of(ticket) if queues is not None else None
    if waiting is None or queues is None or group is None:
        return Wait(why=NO_PASS_YET, summary=NO_PASS_YET)
    case = waiting.cases[group.case]
    place = bisect_left(group.ids, order_key(ticket)) + 1
    if not case.pools:
        nearest = nearest_known(case.missing, context.view.pools())
        why = _with_nearest(case.why, nearest)
        return Wait(place=place, before=0, why=why, summary=why, nearest_tags=nearest, as_of=waiting.at)
    now = context.clock()
    ahead = queues.before(group, order_key(ticket))
    expected = estimate(case.forecast, ahead, now)
    own = queues.own.get((group.tags, ticket.sandbox or ""))
    if own and expected.seconds is not None:
        expected = msgspec.structs.replace(expected, low=0.0, confidence=Confidence.LOW)
    summary = _summary(ahead, case.brief, expected, own)
    outdated = now - waiting.at > _longest_age(context)
    if outdated:
        summary = f"{summary} (as the scheduler reported {rough_span(now - waiting.at)} ago)"
    return Wait(
        place=place,
        before=ahead,
        why=f"{own}; {case.why}" if own else case.why,
        summary=summary,
        own=own,
        pools=case.pools,
        estimate=expected,
        as_of=waiting.at,
        outdated=outdated,
    )


def wait_for_pass(context: Context, ticket: Ticket) -> bool:
    """Wait until the scheduler has considered a new ticket, at most `PATIENCE` seconds; returns whether it waited.

    It waits only while the ticket is younger than `FRESH` seconds and the leader's view does not contain it.
    """
    if not ticket.waiting or not 0 <= context.clock() - ticket.created_at < FRESH or not context.view.has_leader():
        return False
    if _is_considered(context, ticket):
        return False
    until = time.monotonic() + PATIENCE
    with context.parking.park(ticket.id) as parked:
        while ticket.waiting and not _is_considered(context, ticket) and not lifetime.stopping():
            left = until - time.monotonic()
            if left <= 0:
                break
            parked.wait(min(left, _POLL_PERIOD))
            ticket = context.store.tickets.read(ticket.id)
    return True


def _is_considered(context: Context, ticket: Ticket) -> bool:
    waiting = context.view.waiting()
    return waiting is not None and _queues(waiting).group_of(ticket) is not None


def _summary(before: int, what: str, expected: Estimate, own: str | None) -> str:
    """The wait in one line: place in the queue, what limits the pools, how long it may take.

    A ticket whose sandbox has a resource of its own on its way may be served earlier than the others.
    """
    parts = [f"{ordinal(before + 1)} in line", own or what]
    if expected.seconds is not None:
        most = "at most " if own else ""
        parts.append("any moment now" if expected.seconds < 1 else f"{most}about {rough_span(expected.seconds)}")
    return "; ".join(parts)


def _with_nearest(why: str, nearest: Mapping[str, str | None]) -> str:
    meant = [known for known in nearest.values() if known is not None]
    return f"{why} (did you mean {', '.join(meant)}?)" if meant else why


def _ahead(before: int) -> str:
    if not before:
        return "No other ticket is ahead of it."
    return f"{plural(before, 'ticket')} {'is' if before == 1 else 'are'} ahead of it."


def _how_long(expected: Estimate) -> str:
    if expected.seconds is None or expected.low is None or expected.high is None:
        return "How long it will take is unknown: its pools have not done enough yet to estimate it."
    between = f"{rough_span(expected.low)} to {rough_span(expected.high)}"
    return f"It should take about {rough_span(expected.seconds)} more ({between}; {_CERTAINTY[expected.confidence]})."


_CERTAINTY = {
    Confidence.HIGH: "fairly sure",
    Confidence.MEDIUM: "not very sure",
    Confidence.LOW: "a guess",
    Confidence.NONE: "unknown",
}


class _Queues:
    """The order of the waiting tickets in one view."""

    def __init__(self, waiting: Waiting) -> None:
        # A group without a case is corrupt: its tickets count as not yet considered.
        groups = [group for group in waiting.groups if 0 <= group.case < len(waiting.cases)]
        self._groups = {group.tags: group for group in groups}
        self._pools = [frozenset(pool.pool for pool in case.pools) for case in waiting.cases]
        self._cases = waiting.cases
        self._all = [self._queue(group) for group in groups]
        self._rivals: dict[int, list[Queue]] = {}
        self.own = {(own.tags, own.sandbox): own.sentence for own in waiting.own}

    def group_of(self, ticket: Ticket) -> Group | None:
        """The group in which the ticket waits, None if it is in no group."""
        group = self._groups.get(tuple(sorted(ticket.tags)))
        if group is None:
            return None
        key = order_key(ticket)
        index = bisect_left(group.ids, key)
        return group if index < len(group.ids) and group.ids[index] == key else None

    def before(self, group: Group, key: OrderKey) -> int:
        """How many tickets come before the ticket of the group with this key, and could be served by the same pools."""
        queue = self._queue(group)
        if group.case not in self._rivals:
            self._rivals[group.case] = rivals(queue, self._all)
        return before(key, queue, self._rivals[group.case])

    def _queue(self, group: Group) -> Queue:
        return Queue(group.ids, self._pools[group.case], self._cases[group.case].on_demand)


@lru_cache(maxsize=2)
def _queues(waiting: Waiting) -> _Queues:
    return _Queues(waiting)


def _longest_age(context: Context) -> float:
    """Seconds after which a view is outdated: the scheduler renews it each `sleeptime` while pools work for tickets."""
    return 30.0 + 2 * context.settings.sleeptime
