"""Samples: once a minute, the numbers of each pool, for the charts of the pages.

Triggered by time, behind the grants. Reads the mirror and what was measured since the last call; appends one sample per
pool to the store.
"""

import logging
from statistics import median

from functions.policy.waits.demand import serves
from functions.timed.leader import Leader
from functions.timed.measures import Minute
from state.documents import ResourceState
from state.errors import StoreUnavailable
from state.sample import Sample

log = logging.getLogger(__name__)

_GOING = (ResourceState.RELEASING, ResourceState.DELETE_REQUEST, ResourceState.DELETING)


def take_samples(leader: Leader) -> None:
    """Write a sample of each pool that is configured or has resources. A failure is logged and does no harm."""
    minute = leader.measures.minute
    try:
        for name in leader.mirror.snapshot.pool_names():
            leader.store.samples.add(name, sample_of(leader, name, minute))
    except StoreUnavailable as error:
        log.warning("the samples of this minute are lost: %s", error)
    minute.clear()


def sample_of(leader: Leader, name: str, minute: Minute) -> Sample:
    """The sample of one pool now."""
    snapshot = leader.mirror.snapshot
    now = leader.clock()
    pool = snapshot.pools.get(name)
    groups = [snapshot.waiting[tags] for tags in snapshot.waiting if pool and serves(snapshot, pool, tags)]
    free = len(snapshot.by_pool.spares[name]) + len(snapshot.by_pool.idle[name])
    waits, starts = minute.waits.get(name), minute.starts.get(name)
    return Sample(
        at=round(now, 3),
        max=pool.max if pool else 0,
        taken=snapshot.by_pool.states[name, ResourceState.UP] - free,
        ready=free,
        starting=snapshot.by_pool.states[name, ResourceState.STARTING],
        going=sum(snapshot.by_pool.states[name, state] for state in _GOING),
        waiting=sum(map(len, groups)),
        oldest=round(max((now - snapshot.tickets[ids[0]].created_at for ids in groups), default=0.0), 1),
        grants=len(waits or ()),
        waited=round(median(waits), 3) if waits else None,
        waited_longest=round(max(waits), 3) if waits else None,
        started=len(starts or ()),
        failed=minute.failures.get(name, 0),
        start_took=round(median(starts), 3) if starts else None,
    )
