"""What another pools.yaml would do, in words and as JSON. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from config.errors import quoted
from functions.policy.preview.preview import Change, Course, Option, PoolPreview, Preview, Stop
from functions.text import first_few
from state.documents import PoolMode

STRANDED = "stranded: "
"""How each line begins that tells who or what would be stranded, for programs that look for it."""
MOST_TOLD = 10
"""How many tickets or resources a line tells one by one."""
_COMMANDS = frozenset(("cmd_new", "cmd_delete", "cmd_livecheck", "cmd_release", "cmd_list"))
"""Options whose values are not shown: whoever writes them may put more into them than everybody should read."""


def as_lines(found: Preview) -> list[str]:
    """All of it for people: a line for each pool to which it makes a difference, then who and what is stranded."""
    lines = [f"pool {name} {sentence}" for name, sentence in pool_sentences(found)]
    lines += [f"{STRANDED}{sentence}" for sentence in stranded_sentences(found)]
    same = len(found.pools) - sum(pool.differs for pool in found.pools)
    if not lines:
        return ["nothing would be different"]
    if same:
        lines.append(f"{same} other pool{'s stay as they are' if same > 1 else ' stays as it is'}")
    return lines


def pool_sentences(found: Preview) -> list[tuple[str, str]]:
    """For each pool to which it makes a difference: its name, and what stands after it."""
    return [(pool.name, "; ".join(_parts(pool))) for pool in found.pools if pool.differs]


def stranded_sentences(found: Preview) -> list[str]:
    """Who and what would be stranded, those together that have the same reason."""
    told = []
    for group in found.waiting:
        tags = ", ".join(group.tags)
        told.append(f"{_numbered('ticket', group.tickets)} would wait in vain for {tags or 'anything'}: {group.why}")
    taken: defaultdict[tuple[bool, str], list[int]] = defaultdict(list)
    for one in found.taken:
        taken[one.fails, one.why].append(one.ticket)
    for (fails, why), tickets in taken.items():
        what = "would fail with its resource" if fails else "would have the last of its kind"
        told.append(f"{_numbered('ticket', tickets)} {what}: {why}")
    left: defaultdict[str, list[int]] = defaultdict(list)
    for resource in found.left:
        left[resource.pool].append(resource.resource)
    for pool, resources in left.items():
        would = f"of pool {pool} would stay until somebody takes or deletes {'them' if len(resources) > 1 else 'it'}"
        told.append(f"{_numbered('resource', resources)} {would}: pool-drain {pool} first")
    return told


def as_json(found: Preview) -> dict[str, Any]:
    """All of it for programs; whether anything is stranded comes first."""
    fields = msgspec.to_builtins(found)
    pools = [{**shown, "options": [_option(one) for one in shown["options"]]} for shown in fields.pop("pools")]
    return {"stranded": found.stranded, "pools": pools, **fields}


def _option(option: dict[str, Any]) -> dict[str, Any]:
    return {"name": option["name"]} if option["name"] in _COMMANDS else option


def _parts(pool: PoolPreview) -> Iterator[str]:
    match pool.change:
        case Change.ADDED:
            yield "is new"
        case Change.REMOVED:
            yield "is not in the file"
        case Change.CHANGED:
            yield f"changes: {', '.join(_changed(option) for option in pool.options)}"
        case Change.SAME:
            yield "is as it was"
    then, now = pool.then, pool.now
    if then.starts or now.starts:
        yield f"starts {then.starts} at once{_instead(then.starts, now.starts)}"
        if pool.mode is not PoolMode.ACTIVE:
            yield f"it is {pool.mode}"
    yield from _stopped(then.stops)
    if now.stops and not then.stops:
        yield f"deletes none at once instead of {len(now.stops)}"
    yield from _ending(pool, then, now)
    if pool.old_tags and any(option.name.startswith("tags") for option in pool.options):
        yield f"{pool.old_tags} that {'is' if pool.old_tags == 1 else 'are'} there keep the tags that they have"


def _ending(pool: PoolPreview, then: Course, now: Course) -> Iterator[str]:
    if then.in_the_end is None:
        yield f"where it ends is too far ahead (max is {pool.max})"
        return
    yield f"has {then.in_the_end} in the end" + (
        _instead(then.in_the_end, now.in_the_end) if now.in_the_end is not None else ""
    )
    if then.in_the_end > pool.max and pool.change is not Change.REMOVED:
        yield f"that is more than its max of {pool.max}, and none is deleted for that"


def _stopped(stops: Sequence[Stop]) -> Iterator[str]:
    by_reason: defaultdict[str, list[int]] = defaultdict(list)
    for stop in stops:
        by_reason[stop.reason].append(stop.resource)
    for reason, resources in by_reason.items():
        yield f"deletes {_numbered('resource', resources)} at once: {reason}"


def _instead(then: int, now: int) -> str:
    return f" instead of {now}" if then != now else ""


def _changed(option: Option) -> str:
    if option.name in _COMMANDS:
        return option.name
    return f"{option.name} {_value(option.before)} → {_value(option.after)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.15g}"
    if isinstance(value, dict):
        return _listed(f"{name} ({priority})" if priority else str(name) for name, priority in value.items())
    if isinstance(value, list):
        return _listed(map(str, value))
    return quoted(value) if isinstance(value, str) else "none"


def _listed(words: Iterable[str]) -> str:
    return " ".join(words) or "none"


def _numbered(word: str, numbers: Sequence[int]) -> str:
    return f"{word}{'s' * (len(numbers) > 1)} {first_few(map(str, numbers), MOST_TOLD)}"
