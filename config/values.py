"""One YAML node → one checked value: text, whole numbers, seconds, lists.

Every function here takes a node and raises `WrongValue`, which says what the value must be. Values are read from
nodes rather than from constructed objects because only nodes know their line and how the value was written.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from config.errors import quoted

Convert = Callable[[yaml.Node], Any]

_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset(_TAG + kind for kind in ("str", "int", "float", "timestamp", "value", "merge"))
_MOST = 10**9
_MOST_SECONDS = 10**12
_LONGEST_COMMAND = 100_000


class WrongValue(Exception):
    """A value is not what its option needs; `faults` are pairs of the node at fault and what it must be."""

    def __init__(self, *faults: tuple[yaml.Node, str]) -> None:
        super().__init__(*faults)
        self.faults = faults


def described(node: yaml.Node) -> str:
    """What stands there, for the end of a sentence: `"ten"`, `true`, `a list`."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if is_null(node):
        return "null"
    return quoted(node.value) if node.tag == _TAG + "str" else quoted(node.value)[1:-1] or "nothing"


def is_null(node: yaml.Node) -> bool:
    """Whether nothing, `~` or `null` stands there."""
    return bool(node.tag == _TAG + "null")


def whole(least: int = -_MOST, most: int = _MOST) -> Convert:
    """A whole number from `least` to `most`; booleans, quoted numbers and 4.0 are none."""
    lower = "" if least == -_MOST else f" of at least {least}"

    def convert(node: yaml.Node) -> int:
        value = _constructed(node, "int")
        if value is None or not least <= value <= most:
            limit = f" of at most {most}" if value is not None and value > most else lower
            raise WrongValue((node, f"must be a whole number{limit}, not {described(node)}"))
        return int(value)

    return convert


def seconds(least: float = 0) -> Convert:
    """A time in seconds, whole or not, of at least `least`."""

    def convert(node: yaml.Node) -> float:
        value = _constructed(node, "int", "float")
        if value is None or not math.isfinite(value) or not least <= value <= _MOST_SECONDS:
            limits = f"from {least:g} to {_MOST_SECONDS}"
            raise WrongValue((node, f"must be a number of seconds {limits}, not {described(node)}"))
        seconds: float = value
        return seconds

    return convert


def boolean(node: yaml.Node) -> bool:
    """`true` or `false`, or another of YAML's words for them."""
    value = _constructed(node, "bool")
    if value is None:
        raise WrongValue((node, f"must be true or false, not {described(node)}"))
    return bool(value)


def text(node: yaml.Node) -> str:
    """Text, not empty. A number or a date counts as the text that was written."""
    if node.tag == _TAG + "bool":
        raise WrongValue((node, f'must be text, not {node.value}; write "{node.value}" if that is the text'))
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _TEXT_TAGS:
        raise WrongValue((node, f"must be text, not {described(node)}"))
    value = str(node.value)
    if not value.strip():
        raise WrongValue((node, "must not be empty"))
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise WrongValue((node, "must not hold NUL characters or halves of surrogate pairs"))
    return value


def line(longest: int) -> Convert:
    """Text of one line, without control characters, of at most `longest` characters."""

    def convert(node: yaml.Node) -> str:
        value = text(node)
        if fault := line_fault(value, longest):
            raise WrongValue((node, fault))
        return value

    return convert


def line_fault(value: str, longest: int) -> str | None:
    """Why `value` is not one line of at most `longest` characters; None when it is."""
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value):
        return f"must not hold control characters: {quoted(value)}"
    if len(value) > longest:
        return f"must have at most {longest} characters, not {len(value)}"
    return None


def command(node: yaml.Node) -> str:
    """A shell command. The limit on its length is below what Linux passes to a program in one argument."""
    value = text(node)
    if len(value.encode()) > _LONGEST_COMMAND:
        raise WrongValue((node, f"must have at most {_LONGEST_COMMAND} bytes; put a longer one in a script"))
    return value


def optional(convert: Convert) -> Convert:
    """`convert`, but null, `false` and an empty text mean none."""

    def convert_unless_none(node: yaml.Node) -> Any:
        empty = isinstance(node, yaml.ScalarNode) and not node.value
        if is_null(node) or empty or _constructed(node, "bool") is False:
            return None
        return convert(node)

    return convert_unless_none


def called(name: str, convert: Convert) -> Convert:
    """`convert`, but what it says of a wrong value begins with `name`: for parts of an option."""

    def convert_part(node: yaml.Node) -> Any:
        try:
            return convert(node)
        except WrongValue as wrong:
            raise WrongValue(*((at, f"{name} {message}") for at, message in wrong.faults)) from None

    return convert_part


def items(convert: Convert) -> Convert:
    """A tuple of what `convert` makes of each item of a list; null is an empty list."""

    def convert_items(node: yaml.Node) -> tuple[Any, ...]:
        if is_null(node):
            return ()
        if not isinstance(node, yaml.SequenceNode):
            raise WrongValue((node, f"must be a list, not {described(node)}"))
        return tuple(each(node.value, convert))

    return convert_items


def each(nodes: Iterable[yaml.Node], convert: Convert) -> list[Any]:
    """What `convert` makes of each node; raises one WrongValue with the faults of all."""
    values: list[Any] = []
    faults: list[tuple[yaml.Node, str]] = []
    for node in nodes:
        try:
            values.append(convert(node))
        except WrongValue as wrong:
            faults.extend(wrong.faults)
    if faults:
        raise WrongValue(*faults)
    return values


def _constructed(node: yaml.Node, *kinds: str) -> Any:
    """The value of a scalar when YAML takes it for one of `kinds` ("int", "float", "bool"), else None."""
    if not isinstance(node, yaml.ScalarNode) or node.tag not in {_TAG + kind for kind in kinds}:
        return None
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, OverflowError, LookupError, yaml.YAMLError):
        return None
