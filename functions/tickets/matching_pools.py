"""Compares a ticket's tags with the pools in force: can any pool ever serve it, and which known tags may be meant?"""

import difflib
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

from functions.leader_view import Pools
from functions.text import first_few

MOST_NEAREST = 8
"""For how many tags the nearest known tag is searched."""
_MOST_LISTED = 8


def nearest_known(missing: Iterable[str], pools: Pools | None) -> dict[str, str | None]:
    """For each of these tags, which no pool has, the nearest tag that a pool has; None where no tag is near."""
    known = _known(pools)
    return {tag: _nearest(tag, known) for tag in islice(missing, MOST_NEAREST)}


def notice_for(tags: tuple[str, ...], pools: Pools | None) -> str | None:
    """Why no pool in force can ever serve a ticket with these tags: a sentence in ASCII, for a header.

    None when a pool can, and when the pools are not known.
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
        names = _listed(pool.name for pool in fitting)
        return f"The pools with these tags may have no resources, because their max is 0: {names}."
    missing = [tag for tag in tags if tag not in _known(pools)]
    if not missing:
        return f"No configured pool has all of these tags together: {_listed(tags)}."
    meant = [known for known in nearest_known(missing, pools).values() if known is not None]
    hint = f" (did you mean {_listed(meant)}?)" if meant else ""
    return f"No configured pool has the tag{'s' * (len(missing) > 1)} {_listed(missing)}{hint}."


@lru_cache(maxsize=1024)
def _nearest(tag: str, known: frozenset[str]) -> str | None:
    return next(iter(difflib.get_close_matches(tag, known, n=1)), None)


@lru_cache(maxsize=2)
def _known(pools: Pools | None) -> frozenset[str]:
    return frozenset(tag for pool in pools.pools for tag in pool.offers) if pools is not None else frozenset()


def _listed(words: Iterable[str]) -> str:
    """The first of them, quoted, in ASCII."""
    return first_few(map(ascii, words), _MOST_LISTED)
