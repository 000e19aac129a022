"""Which pools could serve a kind of waiting tickets, and how many tickets wait for each pool."""

from collections.abc import Mapping

from config.pools import Pool
from functions.policy.snapshot.offers import Tags
from functions.policy.snapshot.snapshot import Snapshot


def tags_of_pools(snapshot: Snapshot) -> dict[str, Tags]:
    """The tags of each configured pool by its name, in the order of the file."""
    return {name: frozenset(pool.offers) for name, pool in snapshot.pools.items()}


def having(tags_of: Mapping[str, Tags], tags: Tags) -> tuple[str, ...]:
    """Names of the pools that have all of the tags."""
    return tuple(name for name, offered in tags_of.items() if tags <= offered)


def starts_for(pool: Pool, on_demand: bool) -> bool:
    """Whether a pool that has a ticket's tags ever starts something for it; `on_demand`: it wants an on-demand tag."""
    return on_demand or not pool.on_demand


def serves(snapshot: Snapshot, pool: Pool, tags: Tags) -> bool:
    """Whether tickets with these tags wait for the pool: it has them, and starts for them."""
    return tags <= pool.offers.keys() and starts_for(pool, snapshot.wants_on_demand(tags))


def waiting_for(snapshot: Snapshot) -> dict[str, int]:
    """How many tickets wait for each configured pool: those whose tags it has, and for which it starts resources.

    A ticket that several pools could serve waits for each of them.
    """
    tags_of = tags_of_pools(snapshot)
    numbers = dict.fromkeys(tags_of, 0)
    for tags in snapshot.waiting:
        number, on_demand = len(snapshot.waiting[tags]), snapshot.wants_on_demand(tags)
        for name in having(tags_of, tags):
            if starts_for(snapshot.pools[name], on_demand):
                numbers[name] += number
    return numbers
