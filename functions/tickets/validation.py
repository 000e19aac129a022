"""What a ticket may ask for: the rules for tags, sandboxes and reasons, and whether any pool in force has the tags.

A request that breaks a rule is refused. A ticket that no pool can serve is accepted, with a notice, since pools change.
"""

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Annotated

from msgspec import Meta

from functions.leader_view import Pools
from functions.text import first_few, noun

MOST_TAGS = 64
LONGEST = 255
Name = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/Name"})]
"""A tag or a sandbox, for `fault_of_name` to check; web/openapi.yaml describes it."""
# Control characters, line and paragraph separators, and halves of surrogate pairs.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
MOST_NEAREST = 8
"""For how many tags the nearest known tag is searched."""
_MOST_LISTED = 8


def fault_of_tags(tags: Iterable[str], least: int) -> str | None:
    """What is wrong with the distinct tags of a ticket, as what follows "The field ..."; None when they are good."""
    count = 0
    for tag in tags:
        fault = fault_of_name(tag)
        if fault:
            return fault
        count += 1
    if count < least:
        return "must give at least one tag"
    if count > MOST_TAGS:
        return f"must give at most {MOST_TAGS} tags"
    return None


def one_line(text: str) -> str:
    """The text on one line, with single blanks between its words."""
    return " ".join(text.split())


def fault_of_reason(reason: str) -> str | None:
    """What is wrong with a person's reason, as what follows "The field ..."; None when it is good."""
    return fault_of_name(reason.strip() and reason)


def fault_of_name(name: str) -> str | None:
    """What is wrong with one tag or sandbox, as what follows "The field ..."; None when it is good."""
    if not name:
        return "must not be empty"
    if len(name) > LONGEST:
        return f"must not be longer than {LONGEST} characters"
    if _FORBIDDEN.search(name):
        return "must not contain control characters"
    return None


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
    return f"No configured pool has the {noun('tag', len(missing))} {_listed(missing)}{hint}."


@lru_cache(maxsize=1024)
def _nearest(tag: str, known: frozenset[str]) -> str | None:
    return next(iter(difflib.get_close_matches(tag, known, n=1)), None)


@lru_cache(maxsize=2)
def _known(pools: Pools | None) -> frozenset[str]:
    return frozenset(tag for pool in pools.pools for tag in pool.offers) if pools is not None else frozenset()


def _listed(words: Iterable[str]) -> str:
    """The first of them, quoted, in ASCII."""
    return first_few(map(ascii, words), _MOST_LISTED)
