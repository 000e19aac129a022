"""Why tickets wait, in words, from the same snapshot that the plan is made from."""

from datetime import UTC, datetime

from config.pools import Pool
from functions.policy.offers import Tags
from functions.policy.scale import delayed_until, paused_until
from functions.policy.snapshot import Snapshot
from state.documents import ResourceState


def capable_pools(snapshot: Snapshot, tags: Tags) -> list[Pool]:
    """The configured pools that have all these tags, in the order of the file."""
    return [pool for pool in snapshot.pools.values() if tags <= pool.offers.keys()]


def why_waiting(snapshot: Snapshot, tags: Tags, now: float) -> str:
    """One sentence on why a ticket with these tags and a sandbox of its own has no resource yet."""
    if not snapshot.pools:
        return "no pools are configured"
    pools = capable_pools(snapshot, tags)
    if not pools:
        offered = frozenset[str]().union(*(pool.offers for pool in snapshot.pools.values()))
        missing = sorted(tags - offered)
        if missing:
            return f"no configured pool has the tag {', '.join(missing)}"
        return "no configured pool has all of these tags together"
    return "; ".join(f"pool {pool.name} {_what_holds(snapshot, pool, now)}" for pool in pools)


def _what_holds(snapshot: Snapshot, pool: Pool, now: float) -> str:
    starting = snapshot.states[pool.name, ResourceState.STARTING]
    living = snapshot.living[pool.name]
    record = snapshot.records.get(pool.name)
    paused = paused_until(record, pool, now)
    if record is not None and paused > now:
        until = datetime.fromtimestamp(paused, UTC).strftime("%H:%M:%S UTC")
        return f"starts nothing until {until} because starts fail: {record.pause_reason or 'unknown'}"
    if starting:
        return f"is starting {starting}"
    if living >= pool.max:
        return f"is at its max of {pool.max}"
    if len(snapshot.spares[pool.name]) + len(snapshot.idle[pool.name]) > 0:
        failing = len(snapshot.failing[pool.name])
        return "keeps what is free for other sandboxes" if not failing else "has free ones, but their livecheck fails"
    if not pool.on_demand and pool.max_prealloc == 0:
        return "starts nothing: it keeps no spares (max_prealloc is 0)"
    delayed = delayed_until(record, pool, now)
    if delayed > now:
        return f"waits {delayed - now:.0f} s more for its start_delay"
    return "is about to start one"
