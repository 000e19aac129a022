"""What pools offer to a ticket, as the leader shows them: whether any can ever serve it, and which tags were meant."""

import difflib
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

from functions.leader_view import Pools

MOST_NEAREST = 8
"""For how many tags the nearest known one is looked for."""
_MOST_LISTED = 8


def nearest_known(missing: Iterable[str], pools: Pools | None) -> dict[str, str | None]:
    """Of these tags that no pool has: the nearest one that a pool has; None where none is near."""
    known = _known(pools)
    return {tag: _nearest(tag, known) for tag in islice(missing, MOST_NEAREST)}


def notice(tags: tuple[str, ...], pools: Pools | None) -> str | None:
    """Why no pool in force can ever serve a ticket with these tags: a sentence in ASCII, as a header needs it.

    None when one can, and when it is not known what pools there are.
    """
    if pools is None:
        return None
    wanted = frozenset(tags)
    fitting = [pool for pool in pools.pools if wanted <= pool.offers.keys()]
    if any(pool.max > 0 for pool in fitting):
        return None
    if not pools.pools:
        return "No pools are configured."
    if fitting:
        return f"Pools with these tags may have no resources, for their max is 0: {_listed(p.name for p in fitting)}."
    missing = [tag for tag in tags if tag not in _known(pools)]
    if not missing:
        return f"No configured pool has all of these tags together: {_listed(tags)}."
    meant = [known for known in nearest_known(missing, pools).values() if known is not None]
    hint = f" (is {_listed(meant)} meant?)" if meant else ""
    return f"No configured pool has the tag{'s' * (len(missing) > 1)} {_listed(missing)}{hint}."


@lru_cache(maxsize=1024)
def _nearest(tag: str, known: frozenset[str]) -> str | None:
    return next(iter(difflib.get_close_matches(tag, known, n=1)), None)


@lru_cache(maxsize=2)
def _known(pools: Pools | None) -> frozenset[str]:
    return frozenset(tag for pool in pools.pools for tag in pool.offers) if pools is not None else frozenset()


def _listed(words: Iterable[str]) -> str:
    """The first of them, in ASCII."""
    quoted = [ascii(word) for word in words]
    listed = ", ".join(quoted[:_MOST_LISTED])
    return listed if len(quoted) <= _MOST_LISTED else f"{listed} and {len(quoted) - _MOST_LISTED} more"
