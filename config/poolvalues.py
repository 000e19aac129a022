"""The values that only pools have: names of pools, tags, named counters, patterns of resource names."""

import re
import string
from collections.abc import Iterable

import msgspec
import yaml

from config import values
from config.errors import quoted
from config.values import WrongValue

LONGEST_TAG = 255
"""Characters of a tag, here and on a ticket."""
_LONGEST_POOL_NAME = 100
_MOST_TAG_FIELDS = 20
_PLACEHOLDERS = ("pool_name", "id", "datetime")

_tag_name = values.called("a tag", values.line(LONGEST_TAG))
_tag_priority = values.called("a tag's priority", values.whole())


class Tag(msgspec.Struct, frozen=True):
    """A tag and where it stands; `unknown` are the keys that mean nothing here."""

    name: str
    priority: int
    node: yaml.Node
    unknown: tuple[yaml.Node, ...] = ()


def pool_name_fault(name: str) -> str | None:
    """Why a pool cannot have this name, which is also that of a file and a part of resource names."""
    if not name.strip():
        return "must not be empty"
    if "/" in name or name.startswith("."):
        return 'must not hold "/" nor start with "."'
    if len(name.encode(errors="replace")) > 2 * _LONGEST_POOL_NAME:
        return f"must have at most {2 * _LONGEST_POOL_NAME} bytes"
    return values.line_fault(name, _LONGEST_POOL_NAME)


def tag(node: yaml.Node) -> Tag:
    """`NAME` or `{name: NAME, priority: N}`."""
    if not isinstance(node, yaml.MappingNode):
        return Tag(_tag_name(node), 0, node)
    fields = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    if "name" not in fields or not len(fields) == len(node.value) <= _MOST_TAG_FIELDS:
        raise WrongValue((node, "a tag must be a name, or a mapping of name and priority"))
    priority = _tag_priority(fields["priority"]) if "priority" in fields else 0
    unknown = tuple(key for key, _ in node.value if key.value not in ("name", "priority"))
    return Tag(_tag_name(fields["name"]), priority, node, unknown)


def doubts_about_tags(tags: Iterable[Tag]) -> list[tuple[yaml.Node, str]]:
    """What is probably a mistake in a list of tags, and where."""
    doubts = []
    seen = set()
    for each in tags:
        for key in each.unknown:
            doubts.append((key, f"a tag has a name and a priority; {quoted(key.value)} is ignored"))
        if each.name in seen:
            doubts.append((each.node, f"the tag {quoted(each.name)} stands there again; the last one counts"))
        seen.add(each.name)
    return doubts


def counters(node: yaml.Node) -> tuple[str, ...]:
    """Names of counters, each once; they become parts of names of environment variables."""
    return tuple(dict.fromkeys(values.items(_counter)(node)))


def _counter(node: yaml.Node) -> str:
    name = values.text(node)
    if not re.fullmatch(r"[^\s=\x00-\x1f\x7f]{1,100}", name):
        message = f"a counter's name must be 1 to 100 characters without spaces and =, not {quoted(name)}"
        raise WrongValue((node, message))
    return name


def name_pattern(node: yaml.Node) -> str:
    """The pattern of resource names, with the placeholders {pool_name}, {id} and {datetime}."""
    pattern: str = values.line(255)(node)
    try:
        fields = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise WrongValue((node, f"is not a pattern: {error}; write {{{{ for a brace itself")) from None
    for _, name, form, conversion in fields:
        if name is not None and (name not in _PLACEHOLDERS or form or conversion):
            allowed = "{pool_name}, {id} and {datetime}"
            raise WrongValue((node, f"may use only {allowed}, as they are, not {quoted(pattern)}"))
    return pattern


def doubts_about_name_pattern(pattern: str) -> list[str]:
    """What is allowed in a pattern but will probably give trouble."""
    doubts = []
    if "id" not in {name for _, name, _, _ in string.Formatter().parse(pattern)}:
        doubts.append("has no {id}, so that two resources may get the same name")
    if "/" in pattern:
        doubts.append('holds "/", which not every system allows in a name')
    if " " in pattern:
        doubts.append("holds a space, so that cmd_list cannot print such a name")
    return doubts
