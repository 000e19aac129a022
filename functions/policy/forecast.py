"""When resources can be expected for those who wait, from what a pool does now and what its history tells.

A pool is followed ahead as it would go on if each start took its average time and each ticket kept its resource for
the average time: what starts now ends, then a start follows whenever there is a place, a slot of `max_starting`, and
`start_delay` and pauses allow it. Places come free as deletes end, as what waits for its sandbox runs out of time, and
as tickets are closed.
"""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush, merge
from itertools import count, islice
from typing import NamedTuple

from config.pools import Pool
from functions.policy.draft import Draft
from functions.policy.estimate import Arrival, Confidence, Forecast
from functions.policy.holds import Hold, Reason, places
from functions.policy.snapshot import Snapshot
from state.documents import PoolMode, PoolRecord, ResourceState

MOST = 64
"""How many arrivals are foreseen one by one."""
_SAMPLE = 200
_OVERDUE = 0.2
"""Which part of the average a start that has taken longer than that is thought to take still."""
_LEVELS = (Confidence.NONE, Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)
_KNOWN_WELL, _KNOWN = 20, 5
"""How many samples make an average of much worth, and of some."""


class Coming(NamedTuple):
    """A start that should end at this time; `worth` is how likely it is to succeed, `level` how sure the time is."""

    at: float
    worth: float
    level: int


def reuse_rate(snapshot: Snapshot) -> float:
    """Which part of the resources that tickets have would go, once let go, to somebody of the same sandbox who waits.

    Judged by a sample, so that it costs the same for any number of resources.
    """
    step = 1 + len(snapshot.resources) // _SAMPLE
    found = taken = 0
    for resource in islice(snapshot.resources.values(), 0, None, step):
        ticket = snapshot.holder(resource.id) if resource.state is ResourceState.UP else None
        if ticket is not None:
            taken += 1
            waiting = snapshot.waiting_in[ticket.sandbox or ""]
            found += any(tags <= resource.tags.keys() for tags in waiting)
    return found / taken if taken else 0.0


def coming_to(draft: Draft, pool: Pool, holds: Iterable[Hold], reused: float) -> list[Coming]:
    """The next resources that may come to those who wait for a pool, soonest first; `reused` is the `reuse_rate`.

    None when no start in it has ever succeeded, or it drains.
    """
    record = draft.record(pool.name)
    if record is None or record.startup_time_avg is None or record.mode is PoolMode.DRAINING:
        return []
    took, worth, level = record.startup_time_avg, record.startup_success_rate or 0.0, _level_of_starts(record)
    resources = draft.snapshot.resources
    began = [resources[id].created_at for id in draft.snapshot.starting[pool.name]]
    ends = sorted(max(at + took, draft.now + _OVERDUE * took) for at in began)
    coming = [Coming(end, worth, level) for end in ends]
    reused = reused if pool.reuse_opportunity_time else 0.0
    releases = [*islice(_releases(draft, pool, record), MOST)]
    if reused:
        coming += [Coming(at, reused, _level_of_uses(record)) for at in releases]
    if all(hold.reason in _FORESEEN for hold in holds):
        coming += islice(_later_starts(draft, pool, record, ends, reused), MOST)
    return sorted(coming)[:MOST]


def forecast(pools: Iterable[list[Coming]]) -> Forecast:
    """What comes from all of these pools together; the more a start may fail, the more of them make one resource."""
    arrivals: list[Arrival] = []
    expected, least = 0.0, len(_LEVELS) - 1
    for at, worth, level in merge(*pools):
        expected, least = expected + worth, min(least, level)
        while expected >= len(arrivals) + 0.5 and len(arrivals) < MOST:
            arrivals.append(Arrival(at, _LEVELS[least]))
        if len(arrivals) == MOST:
            half = arrivals[MOST // 2].at
            return Forecast(arrivals=tuple(arrivals), each=(arrivals[-1].at - half) / (MOST - MOST // 2 - 1))
    return Forecast(arrivals=tuple(arrivals))


_FORESEEN = (Reason.FAILING, Reason.AT_MAX, Reason.MAX_STARTING, Reason.START_DELAY, Reason.ENOUGH_SPARES)
"""What ends by itself, sooner or later."""


def _later_starts(draft: Draft, pool: Pool, record: PoolRecord, ends: list[float], reused: float) -> Iterator[Coming]:
    """The starts that follow, without end if places come free without end."""
    most = pool.max_starting
    if not pool.on_demand:
        # What is free and not given to those who wait is of no use to them, and is no reason to start more.
        most = min(most, pool.max_prealloc - len(draft.snapshot.spares[pool.name]))
    slots = ends + [draft.now] * (most - len(ends))
    if len(ends) > most or not slots:
        return
    heapify(slots)
    took, worth, level = record.startup_time_avg or 0.0, record.startup_success_rate or 0.0, _level_of_starts(record)
    allowed = _allowed_at(record, pool)
    for at, is_known in _free_places(draft, pool, record, 1.0 - reused):
        begin = max(at, heappop(slots), allowed)
        allowed = begin + pool.start_delay
        heappush(slots, begin + took)
        yield Coming(begin + took, worth, level if is_known else min(level, _level_of_uses(record)))


def _allowed_at(record: PoolRecord, pool: Pool) -> float:
    delayed = (record.last_start or 0.0) + pool.start_delay if pool.start_delay else 0.0
    return max(record.paused_until or 0.0, delayed)


def _free_places(draft: Draft, pool: Pool, record: PoolRecord, not_reused: float) -> Iterator[tuple[float, bool]]:
    """When the pool may have one more, and whether that follows from what can be seen now.

    Of what is let go, the part `not_reused` makes place, once nobody of its sandbox came for it.
    """
    snapshot, now, name = draft.snapshot, draft.now, pool.name
    deleting = snapshot.states[name, ResourceState.DELETING] + snapshot.states[name, ResourceState.DELETE_REQUEST]
    known = [now] * (max(0, places(draft, pool)) + deleting)
    idle = [max(now, at + pool.reuse_opportunity_time) for at, _ in snapshot.idle[name]]
    later: Iterable[float] = ()
    if not_reused > 0:
        later = (at + pool.reuse_opportunity_time for at in _releases(draft, pool, record, not_reused))
    yield from merge(((at, True) for at in [*known, *idle]), ((at, False) for at in later))


def _releases(draft: Draft, pool: Pool, record: PoolRecord, part: float = 1.0) -> Iterator[float]:
    """When tickets let resources of the pool go, or this part of them do, one after another without end."""
    snapshot, name = draft.snapshot, pool.name
    taken = snapshot.states[name, ResourceState.UP] - len(snapshot.spares[name]) - len(snapshot.idle[name])
    if record.taken_time_avg and taken > 0:
        between = record.taken_time_avg / (taken * part)
        yield from (draft.now + number * between for number in count(1))


def _level_of_starts(record: PoolRecord) -> int:
    samples, success = record.startup_samples, record.startup_success_rate or 0.0
    if samples >= _KNOWN_WELL and success >= 0.9:
        return 3
    return 2 if samples >= _KNOWN and success >= 0.7 else 1


def _level_of_uses(record: PoolRecord) -> int:
    return 2 if record.taken_samples >= _KNOWN_WELL else 1
