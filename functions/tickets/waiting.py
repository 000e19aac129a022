"""Why a ticket waits: its place in the queue, what holds the pools, how long it may take. From the leader's view."""

from bisect import bisect_left
from functools import lru_cache
from typing import Any

import msgspec

from functions.leader_view import Group, Prospect, Waiting
from functions.policy.plan.turns import Queue, before, rivals
from functions.policy.waits.estimate import Confidence, Estimate, estimate
from functions.tickets import words
from functions.tickets.matching_pools import nearest_known
from functions.web.context import Context
from state.documents import Ticket

NOT_LOOKED_AT = "the scheduler has not looked at it yet"
NO_SCHEDULER = "no scheduler is running"


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a ticket's wait.

    `place` is its place among those with the same tags (1 is next), `before` the number of all tickets that come
    before it and that the same pools could serve. `why` says what holds the pools, a clause; `summary` all of it in
    one line. `pools` are those that could serve it, each with what holds it. `nearest_tags` maps tags that no pool
    has to the nearest that one has, or null. `as_of` is when (Unix seconds) the scheduler saw it so.
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
    """A wait for JSON, beside the fields of its ticket."""
    return msgspec.structs.asdict(wait)


def lines_of(wait: Wait, ticket: Ticket, now: float) -> list[str]:
    """A wait for people: where the ticket stands, then what holds each pool."""
    if not wait.pools:
        return [*words.queue_story(ticket, None, wait.estimate, now), f"It waits because {wait.why}."]
    lines = words.queue_story(ticket, wait.before, wait.estimate, now)
    if wait.own:
        lines.append(f"{wait.own[0].upper()}{wait.own[1:]}.")
    lines += ["", *(f"pool {pool.pool} {pool.sentence}" for pool in wait.pools)]
    if wait.outdated:
        lines += ["", f"This is as the scheduler saw it {words.span(now - (wait.as_of or now))} ago."]
    return lines


def wait_of(context: Context, ticket: Ticket) -> Wait:
    """What the leader's view tells about a waiting ticket."""
    if not context.view.has_leader():
        return Wait(why=NO_SCHEDULER, summary=NO_SCHEDULER)
    waiting = context.view.waiting()
    queues = _queues(waiting) if waiting is not None else None
    group = queues.group_of(ticket) if queues is not None else None
    if waiting is None or queues is None or group is None:
        return Wait(why=NOT_LOOKED_AT, summary=NOT_LOOKED_AT)
    case = waiting.cases[group.case]
    place = bisect_left(group.ids, ticket.id) + 1
    if not case.pools:
        nearest = nearest_known(case.missing, context.view.pools())
        why = words.with_nearest(case.why, nearest)
        return Wait(place=place, before=0, why=why, summary=why, nearest_tags=nearest, as_of=waiting.at)
    now = context.clock()
    ahead = queues.before(group, ticket.id)
    expected = estimate(case.forecast, ahead, now)
    own = queues.own.get((group.tags, ticket.sandbox or ""))
    if own and expected.seconds is not None:
        expected = msgspec.structs.replace(expected, low=0.0, confidence=Confidence.LOW)
    summary = words.summary(ahead, case.brief, expected, own)
    outdated = now - waiting.at > _longest_age(context)
    if outdated:
        summary = f"{summary} (as the scheduler saw it {words.span(now - waiting.at)} ago)"
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


class _Queues:
    """Who comes before whom in one view."""

    def __init__(self, waiting: Waiting) -> None:
        # One that names no case comes of damage: it is as if the scheduler had not looked at its tickets.
        groups = [group for group in waiting.groups if 0 <= group.case < len(waiting.cases)]
        self._groups = {group.tags: group for group in groups}
        self._pools = [frozenset(pool.pool for pool in case.pools) for case in waiting.cases]
        self._cases = waiting.cases
        self._all = [self._queue(group) for group in groups]
        self._rivals: dict[int, list[Queue]] = {}
        self.own = {(own.tags, own.sandbox): own.sentence for own in waiting.own}

    def group_of(self, ticket: Ticket) -> Group | None:
        """The group in which the ticket waits, if it does."""
        group = self._groups.get(tuple(sorted(ticket.tags)))
        if group is None:
            return None
        index = bisect_left(group.ids, ticket.id)
        return group if index < len(group.ids) and group.ids[index] == ticket.id else None

    def before(self, group: Group, ticket: int) -> int:
        """How many tickets come before this one of the group and could be served by the same pools."""
        queue = self._queue(group)
        if group.case not in self._rivals:
            self._rivals[group.case] = rivals(queue, self._all)
        return before(ticket, queue, self._rivals[group.case])

    def _queue(self, group: Group) -> Queue:
        return Queue(group.ids, self._pools[group.case], self._cases[group.case].on_demand)


@lru_cache(maxsize=2)
def _queues(waiting: Waiting) -> _Queues:
    return _Queues(waiting)


def _longest_age(context: Context) -> float:
    """The scheduler renews what it shows at each `sleeptime` while pools work for those who wait."""
    return 30.0 + 2 * context.settings.sleeptime
