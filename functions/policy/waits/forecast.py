"""When resources are expected for waiting tickets, from what a pool does now and from its history.

A pool is simulated as if each start took its average time and each ticket kept its resource for the average time:
current starts end, then a start follows whenever there is a place, a slot of `max_starting`, and `start_delay` and
pauses allow it. Places become free when deletes end, when idle resources of sandboxes expire, and when tickets are
closed.
"""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush, merge
from itertools import islice
from typing import NamedTuple

from config.pools import Pool
from functions.policy.plan.draft import Draft
from functions.policy.plan.starts import Limit, Reason, delayed_until, paused_until, places
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.waits.estimate import Arrival, Confidence, Forecast
from state.documents import PoolMode, PoolRecord, ResourceState

MOST = 64
"""How many arrivals are forecast one by one."""
_SAMPLE = 200
"""How many resources are sampled at most for the rate of reuse."""
_PLACE, _RELEASE = 0, 1
_OVERDUE = 0.2
"""An overdue start is expected to take this part of the average time more."""
_LEVELS = (Confidence.NONE, Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)
_KNOWN_WELL, _KNOWN = 20, 5
"""How many samples make an average reliable, and usable."""
_STEADY = 0.6
"""Starts whose deviation is at most this part of their average are predictable."""


class Coming(NamedTuple):
    """A resource expected at this time: how likely it is, as starts may fail (`worth`), how reliable the time is, and
    by how many seconds starts of the pool usually miss theirs.
    """

    at: float
    worth: float
    level: int
    spread: float = 0.0


def reuse_rate(snapshot: Snapshot) -> float:
    """Which part of the taken resources would, once released, serve a waiting ticket of the same sandbox (0 to 1).

    Judged by a sample, so that the cost is the same for any number of resources.
    """
    step = 1 + len(snapshot.resources) // _SAMPLE
    found = taken = 0
    for resource in islice(snapshot.resources.values(), 0, None, step):
        ticket = snapshot.holder(resource.id) if resource.state is ResourceState.UP else None
        if ticket is not None:
            taken += 1
            waiting = snapshot.by_sandbox.waiting_in[ticket.sandbox or ""]
            found += any(tags <= resource.tags.keys() for tags in waiting)
    return found / taken if taken else 0.0


def coming_to(draft: Draft, pool: Pool, limits: Iterable[Limit], reused: float) -> list[Coming]:
    """The next resources that a pool may have for waiting tickets, soonest first; `reused` is the `reuse_rate`.

    Empty if no start in it ever succeeded, or if it drains.
    """
    record = draft.record(pool.name)
    if record is None or record.startup_time_avg is None or record.mode is PoolMode.DRAINING:
        return []
    starts = all(limit.reason in _FORESEEN for limit in limits)
    ahead = _Ahead(draft, pool, record, record.startup_time_avg, starts, reused if pool.reuse_opportunity_time else 0.0)
    return sorted(islice(ahead.coming(), MOST))


def forecast(pools: Iterable[list[Coming]]) -> Forecast:
    """The forecast for several pools together; starts that often fail count as less than one resource."""
    arrivals: list[Arrival] = []
    expected, least = 0.0, len(_LEVELS) - 1
    for at, worth, level, spread in merge(*pools):
        expected, least = expected + worth, min(least, level)
        while expected >= len(arrivals) + 0.5 and len(arrivals) < MOST:
            arrivals.append(Arrival(at, _LEVELS[least], spread))
        if len(arrivals) == MOST:
            half = arrivals[MOST // 2].at
            return Forecast(arrivals=tuple(arrivals), each=(arrivals[-1].at - half) / (MOST - MOST // 2 - 1))
    return Forecast(arrivals=tuple(arrivals))


_FORESEEN = (Reason.FAILING, Reason.AT_MAX, Reason.MAX_STARTING, Reason.START_DELAY, Reason.ENOUGH_SPARES)
"""Limits that end without an operator, sooner or later."""


class _Ahead:
    """The simulation of one pool: places become free, starts take them, tickets take resources and release them.

    Events are (time, what, how reliable the time is); a slot is when the pool may start one more beside the others.
    """

    def __init__(self, draft: Draft, pool: Pool, record: PoolRecord, took: float, starts: bool, reused: float) -> None:
        self._took = took
        self._spread = record.startup_time_deviation or 0.0
        self._kept = record.taken_time_avg
        self._starts = starts
        self._reused = reused
        self._pool = pool
        self._worth, self._level = record.startup_success_rate or 0.0, _level_of_starts(record)
        self._level_of_uses = min(self._level, 2 if record.taken_samples >= _KNOWN_WELL else 1)
        snapshot, now, name = draft.snapshot, draft.now, pool.name
        began = [snapshot.resources[id].created_at for id in snapshot.by_pool.starting[name]]
        self._ends = sorted(max(at + took, now + _OVERDUE * took) for at in began)
        most = pool.max_starting
        if not pool.on_demand:
            # Free resources that were not assigned to waiting tickets are of no use to them.
            most = min(most, pool.max_prealloc - len(snapshot.by_pool.spares[name]))
        self._slots = ([now] * most + self._ends)[-most:] if most > 0 else []
        heapify(self._slots)
        self._allowed = max(now, paused_until(record, pool, now), delayed_until(record, pool, now))
        self._events = [(at, _PLACE, self._level) for at in _free_places(draft, pool)]
        taken = snapshot.taken(name)
        first = range(1, min(taken, MOST) + 1)
        self._events += self._releases([now + number * (self._kept or 0.0) / taken for number in first])
        self._events += self._releases([end + (self._kept or 0.0) for end in self._ends])
        heapify(self._events)

    def coming(self) -> Iterator[Coming]:
        """What comes, without end if tickets release their resources; not strictly in order."""
        for end in self._ends:
            yield Coming(end, self._worth, self._level, self._spread)
        share = 0.5
        while self._events:
            at, what, level = heappop(self._events)
            if what == _PLACE:
                if self._starts and self._slots:
                    end = self._start(at)
                    yield Coming(end, self._worth, level, self._spread)
                    self._later(self._releases([end + (self._kept or 0.0)]))
                continue
            share += self._reused
            if share >= 1.0:
                share -= 1.0
                yield Coming(at, 1.0, level)
                self._later(self._releases([at + (self._kept or 0.0)]))
            else:
                self._later([(at + self._pool.reuse_opportunity_time, _PLACE, level)])

    def _start(self, at: float) -> float:
        begin = max(at, heappop(self._slots), self._allowed)
        self._allowed = begin + self._pool.start_delay
        heappush(self._slots, begin + self._took)
        return begin + self._took

    def _releases(self, times: Iterable[float]) -> list[tuple[float, int, int]]:
        return [(at, _RELEASE, self._level_of_uses) for at in times] if self._kept is not None else []

    def _later(self, events: Iterable[tuple[float, int, int]]) -> None:
        for event in events:
            heappush(self._events, event)


def _free_places(draft: Draft, pool: Pool) -> list[float]:
    """When the pool may have one more resource, as far as known now, at most `MOST` times."""
    snapshot, now, name = draft.snapshot, draft.now, pool.name
    deleting = (
        snapshot.by_pool.states[name, ResourceState.DELETING]
        + snapshot.by_pool.states[name, ResourceState.DELETE_REQUEST]
    )
    releasing = snapshot.by_pool.states[name, ResourceState.RELEASING]
    return [
        *[now] * min(max(0, places(draft, pool)) + deleting, MOST),
        *[now + pool.reuse_opportunity_time] * min(releasing, MOST),
        *(max(now, at + pool.reuse_opportunity_time) for at, _ in islice(snapshot.by_pool.idle[name], MOST)),
    ]


def _level_of_starts(record: PoolRecord) -> int:
    samples, success = record.startup_samples, record.startup_success_rate or 0.0
    average, deviation = record.startup_time_avg or 0.0, record.startup_time_deviation
    steady = deviation is not None and deviation <= _STEADY * average
    if samples >= _KNOWN_WELL and success >= 0.9 and steady:
        return 3
    return 2 if samples >= _KNOWN and success >= 0.7 else 1
