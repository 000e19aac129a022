"""How metrics name the tag sets that tickets wait for: few of them, whatever clients ask for."""

import heapq
from collections.abc import Callable, Collection, Mapping

from functions.policy.snapshot.offers import Tags

MOST_NAMED = 20
"""Tag sets that have a name of their own at the same time."""
MOST_EVER = 200
"""Tag sets that are named one after the other: Prometheus keeps each that there ever was."""
LONGEST_NAME = 120
"""Characters of a name; what is longer goes without."""
OTHER = "other"
"""The name of all others together."""
_LOOKED_AT = 5 * MOST_NAMED


def named(
    sizes: Mapping[Tags, int], can_serve: Callable[[Tags], bool], before: Collection[Tags] = ()
) -> dict[Tags, str]:
    """Names for the largest of these groups of tickets; those that are not in the result are `OTHER`.

    Only tag sets that a pool can serve are named: clients can make up any number of others. Of equal ones, the first.
    `before` are those that were named earlier; when there were very many, no new ones are named.
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
