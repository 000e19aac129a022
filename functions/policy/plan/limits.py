"""What keeps a pool from starting one more resource. Both the plan and the explanation of a wait use it."""

from enum import StrEnum

import msgspec

from config.pools import Pool
from functions.policy.clock import due_at
from functions.policy.plan.draft import Draft
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
