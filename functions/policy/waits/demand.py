"""What tickets wait for: the pools that could serve them, how many wait for each pool, and names of their tag sets."""

import heapq
from collections.abc import Callable, Collection, Mapping

from config.pools import Pool
from functions.policy.snapshot.groups import Tags
from functions.policy.snapshot.snapshot import Snapshot

MOST_NAMED = 20
"""How many tag sets have a name of their own at the same time."""
MOST_EVER = 200
"""How many tag sets are ever named: Prometheus keeps every label that there ever was."""
LONGEST_NAME = 120
"""Characters of a name; longer tag sets get no name."""
OTHER = "other"
"""The name of all others together."""
_LOOKED_AT = 5 * MOST_NAMED


def tags_of_pools(snapshot: Snapshot) -> dict[str, Tags]:
    """The tags of each configured pool by its name, in the order of the file."""
    return {name: frozenset(pool.offers) for name, pool in snapshot.pools.items()}


def having(tags_of: Mapping[str, Tags], tags: Tags) -> tuple[str, ...]:
    """Names of the pools that have all of the tags."""
    return tuple(name for name, offered in tags_of.items() if tags <= offered)


def starts_for(pool: Pool, on_demand: bool) -> bool:
    """Whether a pool that has a ticket's tags ever starts one for it; `on_demand`: the ticket has an on-demand tag."""
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


def named(
    sizes: Mapping[Tags, int], can_serve: Callable[[Tags], bool], before: Collection[Tags] = ()
) -> dict[Tags, str]:
    """Names for the largest of these groups of tickets; groups that are not in the result are called `OTHER`.

    Only tag sets that a pool can serve are named, since clients can invent any number of others. Among groups of the
    same size the first is named. `before` are the tag sets named earlier; after `MOST_EVER` no new ones are named.
    """
    new = MOST_EVER - len(before)
    names: dict[Tags, str] = {}
    for tags in heapq.nlargest(_LOOKED_AT, sizes, key=sizes.__getitem__):
        name = ",".join(sorted(tags))
        known = tags in before
        if 0 < len(name) <= LONGEST_NAME and (known or new > 0) and can_serve(tags):
            names[tags] = name
            new -= not known
            if len(names) == MOST_NAMED:
                break
    return names
