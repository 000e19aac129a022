"""Which pools start resources (steps 2 and 5 of a reconcile pass), and what limits a pool's starts.

The explanation of a wait uses the same limits.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from config.pools import Pool
from functions.policy.clock import due_at
from functions.policy.plan.draft import Draft
from functions.policy.plan.match import serve_in_order
from functions.policy.plan.steps import StartResource
from functions.policy.snapshot.groups import Tags
from functions.policy.transitions.outcome import LONGEST_PAUSE
from state.documents import PoolMode, PoolRecord, ResourceState


class Reason(StrEnum):
    """Why a pool does not serve a ticket now: the first ones limit its starts, the others its free resources."""

    PAUSED = "paused"
    """Operators paused it."""
    DRAINING = "draining"
    """Operators drain it: it assigns nothing either."""
    FAILING = "failing"
    """It pauses after failed starts."""
    AT_MAX = "at_max"
    """It has as many resources as `max` allows."""
    MAX_STARTING = "max_starting"
    """As many resources start as `max_starting` allows."""
    START_DELAY = "start_delay"
    """Its last start was less than `start_delay` ago."""
    ENOUGH_SPARES = "enough_spares"
    """It has or starts all its spares. For pools that are not on-demand."""
    ON_DEMAND_ONLY = "on_demand_only"
    """It starts only for tickets with an on-demand tag, and this one has none."""
    ENOUGH_COMING = "enough_coming"
    """A resource is on its way for each ticket with these tags. For on-demand pools."""
    BETTER_POOL = "better_pool"
    """Starts for all tickets with these tags are planned where the priority is higher. For on-demand pools."""
    OLD_TAGS = "old_tags"
    """Only resources that it started before its tags were changed can serve the ticket."""
    NOT_CONFIGURED = "not_configured"
    """It is no longer in pools.yaml: it starts nothing."""
    OTHER_SANDBOXES = "other_sandboxes"
    """Its free resources were used in other sandboxes, and are kept for those."""
    HELD = "held"
    """Operators hold some of its resources, to inspect them."""
    LIVECHECK_FAILING = "livecheck_failing"
    """Its free resources did not pass their last livecheck."""


class Limit(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One thing that keeps a pool from serving a ticket, with its facts.

    `count` is the value of the option, or how many resources are concerned; `until` (Unix seconds) is set where time
    ends the limit.
    """

    reason: Reason
    count: int | None = None
    until: float | None = None
    detail: str | None = None


_STOPPED = {PoolMode.PAUSED: Reason.PAUSED, PoolMode.DRAINING: Reason.DRAINING}


def start_limits(draft: Draft, pool: Pool) -> list[Limit]:
    """All that keeps this configured pool from starting one more resource now; if the list is empty, it can start."""
    snapshot, now = draft.snapshot, draft.now
    record = draft.record(pool.name)
    limits = []
    if record is not None and record.mode is not PoolMode.ACTIVE:
        limits.append(Limit(_STOPPED[record.mode], detail=record.mode_reason))
    paused = paused_until(record, pool, now)
    if record is not None and paused > now:
        limits.append(Limit(Reason.FAILING, until=paused, detail=record.pause_reason))
    if places(draft, pool) <= 0:
        limits.append(Limit(Reason.AT_MAX, pool.max))
    if pool.max_starting <= snapshot.by_pool.states[pool.name, ResourceState.STARTING]:
        limits.append(Limit(Reason.MAX_STARTING, pool.max_starting))
    delayed = delayed_until(record, pool, now)
    if delayed > now:
        limits.append(Limit(Reason.START_DELAY, until=delayed))
    if not pool.on_demand and missing_spares(draft, pool) <= 0:
        limits.append(Limit(Reason.ENOUGH_SPARES, pool.max_prealloc))
    return limits


def places(draft: Draft, pool: Pool) -> int:
    """How many more resources the pool may have."""
    return pool.max - draft.snapshot.by_pool.living[pool.name]


def room(draft: Draft, pool: Pool) -> int:
    """How many starts `max` and `max_starting` allow now."""
    starting = draft.snapshot.by_pool.states[pool.name, ResourceState.STARTING]
    return min(places(draft, pool), pool.max_starting - starting)


def missing_spares(draft: Draft, pool: Pool) -> int:
    """How many fresh spares the pool has to start; the next plan replaces those that this plan assigns."""
    snapshot = draft.snapshot
    spares = len(snapshot.by_pool.spares[pool.name]) + len(snapshot.by_pool.starting[pool.name])
    return pool.max_prealloc - (spares - draft.excluded_spares[pool.name])


def paused_until(record: PoolRecord | None, pool: Pool, now: float) -> float:
    """Until when a pool starts nothing because starts failed (Unix seconds); 0 when none did."""
    until = (record.paused_until if record else None) or 0.0
    return due_at(until, max(pool.start_delay, LONGEST_PAUSE), now)


def delayed_until(record: PoolRecord | None, pool: Pool, now: float) -> float:
    """Until when a pool starts nothing because of its `start_delay` (Unix seconds); 0 without a delay or a start."""
    if record is None or record.last_start is None or not pool.start_delay:
        return 0.0
    return due_at(record.last_start + pool.start_delay, pool.start_delay, now)


class _Stock:
    """What is left in one pool: how many equivalent resources, or (`start`) how many starts it has room for."""

    __slots__ = ("left", "pool", "start")

    def __init__(self, pool: str, left: int, start: bool = False) -> None:
        self.pool = pool
        self.left = left
        self.start = start


class _Stocks:
    """The stocks that can serve tickets with the same tags, best first: resources that cover them, then starts."""

    __slots__ = ("_stocks",)

    def __init__(self, stocks: Iterable[_Stock]) -> None:
        self._stocks = [*stocks][::-1]

    def best(self) -> _Stock | None:
        stocks = self._stocks
        # An empty stock is never refilled within a plan, so it is dropped.
        while stocks and stocks[-1].left <= 0:
            stocks.pop()
        return stocks[-1] if stocks else None


def on_demand_starts(draft: Draft) -> dict[str, list[int]]:
    """Step 2: the waiting tickets for which a start is planned, by pool.

    Capable pools are configured on-demand pools that have all the ticket's tags. The first capable pool, by name, that
    does not drain and has a resource for the ticket that is not counted yet covers it: a resource that is STARTING,
    RELEASING, or UP and free, is not to be deleted, has the ticket's tags, and belongs to no sandbox or to the ticket's
    (within one pool the ticket's own count first). Otherwise a start is planned in the capable pool with the highest
    sum of priorities that has room and is paused neither by operators nor by failed starts; among equals, by name.
    """
    snapshot = draft.snapshot
    tag_sets = [tags for tags in snapshot.waiting if snapshot.wants_on_demand(tags)]
    if not tag_sets:
        return {}
    offers = {name: pool.offers for name, pool in sorted(snapshot.pools.items()) if pool.on_demand}
    capable = {tags: [name for name, offered in offers.items() if tags <= offered.keys()] for tags in tag_sets}
    rooms = _rooms(draft, {name for names in capable.values() for name in names})
    unbound = _covers(draft, None)
    pairs = [(tags, sandbox) for tags, sandbox in draft.own_sandbox_pairs() if tags in capable]
    bound = {sandbox: _covers(draft, sandbox) for _, sandbox in pairs}
    served = serve_in_order(
        snapshot,
        {
            tags: _Stocks([*_serving(unbound, tags, names), *_by_priority(rooms, tags, names, offers)])
            for tags, names in capable.items()
        },
        {(tags, sandbox): _Stocks(_serving(bound[sandbox], tags, capable[tags])) for tags, sandbox in pairs},
    )
    planned = draft.planned
    for ticket, stock, own in served:
        own_first = own is not None and (stock is None or stock.start or own.pool <= stock.pool)
        counted = own if own_first else stock
        if counted is not None:
            counted.left -= 1
            if counted.start:
                planned.setdefault(counted.pool, []).append(ticket)
            else:
                draft.covered[ticket] = counted.pool
    return planned


def start(draft: Draft, on_demand: Mapping[str, list[int]]) -> list[StartResource]:
    """Step 5: what starts in the configured pools, as their limits, pauses and `start_delay` allow.

    `on_demand` is what step 2 planned. Fresh spares that are assigned in the same plan are replaced by the next.
    """
    steps: list[StartResource] = []
    for pool in draft.snapshot.pools.values():
        tickets = on_demand.get(pool.name)
        if pool.on_demand and not tickets:
            continue
        limits = start_limits(draft, pool)
        if not limits:
            most = 1 if pool.start_delay > 0 else room(draft, pool)
            wanted = tickets[:most] if tickets else [None] * min(most, missing_spares(draft, pool))
            steps += [StartResource(pool.name, ticket) for ticket in wanted]
        elif (until := _last_end(limits)) is not None:
            draft.plan_again_at(until)
    return steps


def _covers(draft: Draft, sandbox: str | None) -> list[tuple[Tags, _Stock]]:
    counts = draft.count_covers(sandbox).items()
    # Pools by name; within a pool any fixed order would do.
    ordered = sorted(counts, key=lambda item: (item[0].pool, sorted(item[0].priorities.items())))
    return [(offer.names, _Stock(offer.pool, number)) for offer, number in ordered]


def _serving(covers: Iterable[tuple[Tags, _Stock]], tags: Tags, capable: list[str]) -> list[_Stock]:
    return [stock for names, stock in covers if tags <= names and stock.pool in capable] if capable else []


def _rooms(draft: Draft, names: Iterable[str]) -> dict[str, _Stock]:
    """The pools where starts have room; a `start_delay` does not matter here."""
    rooms = {}
    for name in names:
        pool = draft.snapshot.pools[name]
        limits = [limit for limit in start_limits(draft, pool) if limit.reason is not Reason.START_DELAY]
        if not limits:
            rooms[name] = _Stock(name, room(draft, pool), start=True)
        elif (until := _last_end(limits)) is not None:
            draft.plan_again_at(until)
    return rooms


def _last_end(limits: Iterable[Limit]) -> float | None:
    """When the last of these limits ends (Unix seconds); None if one of them does not end by time."""
    ends = [limit.until for limit in limits]
    return None if None in ends else max(end for end in ends if end is not None)


def _by_priority(
    rooms: Mapping[str, _Stock], tags: Tags, capable: Iterable[str], offers: Mapping[str, dict[str, int]]
) -> list[_Stock]:
    found = [(-sum(offers[name][tag] for tag in tags), name) for name in capable if name in rooms]
    return [rooms[name] for _, name in sorted(found)]
