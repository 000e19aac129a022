"""Writes `view/metrics.json`: what the leader counted, and the state of pools and tickets, for `GET /metrics`.

Written behind the grants, as a whole, from memory. It also shows that the leader is alive: it is written at least each
`sleeptime` and says when the last pass ended.
"""

from collections.abc import Iterator, Mapping

import msgspec

from functions.leader_view import Family, Metrics
from functions.policy.order import ticket_of
from functions.policy.snapshot.groups import Tags
from functions.policy.waits.demand import OTHER, named, waiting_for
from functions.timed.leader import Leader
from functions.timed.measures import Counter, Gauge
from state.documents import PoolMode, ResourceState

METRICS_PAUSE = 2.0
"""Least seconds between two writings."""
_STATES = {
    ResourceState.STARTING: "starting",
    ResourceState.RELEASING: "releasing",
    ResourceState.DELETE_REQUEST: "delete_requested",
    ResourceState.DELETING: "deleting",
}


def show_metrics(leader: Leader, leader_since: float) -> None:
    """Write the view; `leader_since` is in Unix seconds. Raises StoreUnavailable."""
    leader.store.show("metrics.json", msgspec.json.encode(metrics_view(leader, leader_since)) + b"\n")


def metrics_view(leader: Leader, leader_since: float) -> Metrics:
    """The view: when the last pass ended, since when the oldest ticket of each tag set waits, and all metrics."""
    names = _names_of_waiting(leader)
    families = [*_of_pools(leader), *_of_leader(leader, leader_since), _waiting(leader, names), _waiting_for(leader)]
    for pool in leader.mirror.snapshot.pools.values():
        leader.measures.know(pool)
    return Metrics(
        last_pass=leader.measures.last_pass,
        oldest=_oldest(leader, names),
        families=(*families, *leader.measures.families()),
    )


def _of_pools(leader: Leader) -> Iterator[Family]:
    snapshot = leader.mirror.snapshot
    counts = Gauge("resalloc_pool_resources", "Resources by pool and state.", "pool", "state")
    most = Gauge("resalloc_pool_resources_max", "The max of the pool.", "pool")
    failing = Gauge("resalloc_pool_livecheck_failing", "UP resources whose last livecheck failed.", "pool")
    failures = Gauge("resalloc_pool_start_failures", "Starts that failed in a row; concurrent ones count once.", "pool")
    paused = Gauge(
        "resalloc_pool_paused_until_timestamp_seconds",
        "End of the pause after failed starts; 0 without one.",
        "pool",
    )
    mode = Gauge("resalloc_pool_mode", "1 for what operators let the pool do, 0 for the others.", "pool", "mode")
    bad = Counter("resalloc_resources_bad", "Resources that clients reported as bad.", "pool")
    for name in snapshot.pool_names():
        free = len(snapshot.by_pool.spares[name]) + len(snapshot.by_pool.idle[name])
        counts.set(free, name, "ready")
        counts.set(snapshot.by_pool.states[name, ResourceState.UP] - free, name, "taken")
        for state, word in _STATES.items():
            counts.set(snapshot.by_pool.states[name, state], name, word)
        pool, record = snapshot.pools.get(name), snapshot.records.get(name)
        most.set(pool.max if pool else 0, name)
        failing.set(len(snapshot.by_pool.failing[name]), name)
        failures.set(record.start_failures if record else 0, name)
        paused.set(record.paused_until or 0.0 if record else 0.0, name)
        for each in PoolMode:
            mode.set(float(each is (record.mode if record else PoolMode.ACTIVE)), name, each.lower())
        bad.add(record.bad_resources if record else 0, name)
    yield from (each.family() for each in (counts, most, failing, failures, paused, mode, bad))


def _of_leader(leader: Leader, leader_since: float) -> Iterator[Family]:
    damaged = Gauge("resalloc_quarantined_documents", "Documents that are corrupt or cannot be read.")
    damaged.set(leader.corruption.count)
    faults = Gauge(
        "resalloc_config_faults", "Faults in pools.yaml and in the file of agents; the last valid ones stay in force."
    )
    faults.set(len(leader.config.pool_faults) + len(leader.config.agent_faults))
    since = Gauge("resalloc_leader_since_timestamp_seconds", "When the current or last leader became the leader.")
    since.set(leader_since)
    last_pass = Gauge("resalloc_last_pass_timestamp_seconds", "When the last reconcile pass ended.")
    last_pass.set(leader.measures.last_pass or 0.0)
    yield from (each.family() for each in (damaged, faults, since, last_pass))


def _names_of_waiting(leader: Leader) -> dict[Tags, str]:
    """A name for the tag set of each waiting ticket."""
    snapshot = leader.mirror.snapshot
    sizes = {tags: len(snapshot.waiting[tags]) for tags in snapshot.waiting}
    pools = [pool.offers.keys() for pool in snapshot.pools.values() if pool.max]
    names = named(sizes, lambda tags: any(tags <= offers for offers in pools), leader.measures.named_tags)
    leader.measures.named_tags.update(names)
    return {tags: names.get(tags, OTHER) for tags in sizes}


def _waiting(leader: Leader, names: Mapping[Tags, str]) -> Family:
    numbers = {OTHER: 0}
    for tags, name in names.items():
        numbers[name] = numbers.get(name, 0) + len(leader.mirror.snapshot.waiting[tags])
    family = Gauge("resalloc_tickets_waiting", "Waiting tickets by their tags; rare tag sets share one series.", "tags")
    for name, number in sorted(numbers.items()):
        family.set(number, name)
    return family.family()


def _waiting_for(leader: Leader) -> Family:
    family = Gauge("resalloc_pool_tickets_waiting", "Waiting tickets that the pool could serve.", "pool")
    for name, number in waiting_for(leader.mirror.snapshot).items():
        family.set(number, name)
    return family.family()


def _oldest(leader: Leader, names: Mapping[Tags, str]) -> dict[str, float]:
    """By the name of a tag set, when the oldest of its waiting tickets was taken."""
    snapshot = leader.mirror.snapshot
    oldest: dict[str, float] = {}
    for tags, name in names.items():
        taken_at = snapshot.tickets[ticket_of(snapshot.waiting[tags][0])].created_at
        oldest[name] = min(taken_at, oldest.get(name, taken_at))
    return oldest
