"""Types of options, and how a YAML node becomes a value of such a type.

An option is a field of a struct: its annotation gives type, range and documentation, its default is the option's.
Values are read from nodes rather than from constructed objects, because only nodes know their line and how the value
was written.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import yaml
from msgspec import NODEFAULT, Meta, inspect

from config.errors import quoted

_T = TypeVar("_T")
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset(_TAG + kind for kind in ("str", "int", "float", "timestamp", "value", "merge"))
_MOST = 10**9
_MOST_SECONDS = 10**12
_LONGEST_COMMAND = 100_000


def one_line_fault(text: str) -> str | None:
    """Why `text` is not one line without control characters; None if it is."""
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text):
        return f"must not hold control characters: {quoted(text)}"
    return None


def _command_fault(command: str) -> str | None:
    """Why Linux could not pass the command to /bin/sh; None if it can."""
    if len(command.encode()) > _LONGEST_COMMAND:
        return f"must have at most {_LONGEST_COMMAND} bytes; put a longer one in a script"
    return None


# `extra` of a type may hold: "check", a function that returns what is wrong with a value; "called", how messages name
# a part of an option; "read", a function that reads the node itself.
Whole = Annotated[int, Meta(ge=-_MOST, le=_MOST)]
Count = Annotated[int, Meta(ge=0, le=_MOST)]
Positive = Annotated[int, Meta(ge=1, le=_MOST)]
Seconds = Annotated[float, Meta(ge=0, le=_MOST_SECONDS)]
Timeout = Annotated[float, Meta(ge=1, le=_MOST_SECONDS)]
Command = Annotated[str, Meta(extra={"check": _command_fault})]
Line = Annotated[str, Meta(max_length=255, extra={"check": one_line_fault})]
PathText = Annotated[str, Meta(max_length=4000, extra={"check": one_line_fault})]
TagName = Annotated[str, Meta(max_length=255, extra={"check": one_line_fault, "called": "a tag"})]


class WrongValue(Exception):
    """A value that its option cannot have; `faults` are pairs of the node and what it must be."""

    def __init__(self, *faults: tuple[yaml.Node, str]) -> None:
        super().__init__(*faults)
        self.faults = faults


@dataclass(frozen=True)
class Option:
    """One option: its type, its default (NODEFAULT if it is required) and its documentation."""

    kind: inspect.Type
    default: Any
    doc: str


def options_of(struct: type) -> dict[str, Option]:
    """The options that the fields of a struct or dataclass declare, by name."""
    declared: Any = inspect.type_info(struct)
    found = {}
    for field in declared.fields:
        schema = getattr(field.type, "extra_json_schema", None) or {}
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        found[field.name] = Option(field.type, default, schema.get("description", ""))
    return found


def read(node: yaml.Node, kind: inspect.Type) -> Any:
    """The value of a node as this type. Raises WrongValue with every fault."""
    match kind:
        case inspect.Metadata(type=inner, extra=extra):
            return _read_with(node, inner, extra or {})
        case inspect.UnionType(types=types):
            return None if _means_none(node) else read(node, types[0])
        case inspect.IntType(ge=int(least), le=int(most)):
            return _whole(node, least, most)
        case inspect.FloatType(ge=(int() | float()) as least, le=(int() | float()) as most):
            return _seconds(node, least, most)
        case inspect.BoolType():
            return _boolean(node)
        case inspect.LiteralType(values=words):
            return _word(node, tuple(map(str, words)))
        case inspect.StrType(max_length=longest):
            return _text(node, longest)
        case inspect.VarTupleType(item_type=item):
            return tuple(dict.fromkeys(read_list(node, lambda each: read(each, item))))
    raise TypeError(f"no option can have the type {kind}")


def read_list(node: yaml.Node, read_item: Callable[[yaml.Node], _T]) -> list[_T]:
    """What `read_item` returns for each item of a list; null is an empty list. Raises WrongValue with every fault."""
    if is_null(node):
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise WrongValue((node, f"must be a list, not {described(node)}"))
    values: list[_T] = []
    faults: list[tuple[yaml.Node, str]] = []
    for item in node.value:
        try:
            values.append(read_item(item))
        except WrongValue as wrong:
            faults.extend(wrong.faults)
    if faults:
        raise WrongValue(*faults)
    return values


def described(node: yaml.Node) -> str:
    """The value of a node, for the end of a sentence: `"ten"`, `true`, `a list`."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if is_null(node):
        return "null"
    return quoted(node.value) if node.tag == _TAG + "str" else quoted(node.value)[1:-1] or "nothing"


def is_null(node: yaml.Node) -> bool:
    """Whether the node is empty, `~` or `null`."""
    return bool(node.tag == _TAG + "null")


def _read_with(node: yaml.Node, kind: inspect.Type, extra: Mapping[str, Any]) -> Any:
    """Read a value whose type has `extra`."""
    try:
        value = extra["read"](node) if "read" in extra else read(node, kind)
        if "check" in extra and (fault := extra["check"](value)):
            raise WrongValue((node, fault))
    except WrongValue as wrong:
        if "called" not in extra:
            raise
        raise WrongValue(*((at, f"{extra['called']} {message}") for at, message in wrong.faults)) from None
    return value


def _means_none(node: yaml.Node) -> bool:
    """Null, `false` and an empty text switch an optional option off."""
    empty = isinstance(node, yaml.ScalarNode) and not node.value
    return is_null(node) or empty or _constructed(node, "bool") is False


def _whole(node: yaml.Node, least: int, most: int) -> int:
    """A whole number; booleans, quoted numbers and 4.0 are none."""
    value = _constructed(node, "int")
    if value is None or not least <= value <= most:
        limit = "" if least == -_MOST else f" of at least {least}"
        if value is not None and value > most:
            limit = f" of at most {most}"
        raise WrongValue((node, f"must be a whole number{limit}, not {described(node)}"))
    return int(value)


def _seconds(node: yaml.Node, least: float, most: float) -> float:
    value = _constructed(node, "int", "float")
    if value is None or not math.isfinite(value) or not least <= value <= most:
        raise WrongValue((node, f"must be a number of seconds from {least:g} to {most}, not {described(node)}"))
    seconds: float = value
    return seconds


def _boolean(node: yaml.Node) -> bool:
    value = _constructed(node, "bool")
    if value is None:
        raise WrongValue((node, f"must be true or false, not {described(node)}"))
    return bool(value)


def _word(node: yaml.Node, words: tuple[str, ...]) -> str:
    """One of these words, in upper or lower case."""
    word = _text(node).lower()
    if word not in words:
        listed = f"{', '.join(words[:-1])} or {words[-1]}"
        raise WrongValue((node, f"must be {listed}, not {described(node)}"))
    return word


def _text(node: yaml.Node, longest: int | None = None) -> str:
    """Text that is not empty. A number or a date counts as the text that was written."""
    if node.tag == _TAG + "bool":
        raise WrongValue((node, f'must be text, not {node.value}; write "{node.value}" if that is the text'))
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _TEXT_TAGS:
        raise WrongValue((node, f"must be text, not {described(node)}"))
    text = str(node.value)
    if not text.strip():
        raise WrongValue((node, "must not be empty"))
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise WrongValue((node, "must not hold NUL characters or halves of surrogate pairs"))
    if longest is not None and len(text) > longest:
        raise WrongValue((node, f"must have at most {longest} characters, not {len(text)}"))
    return text


def _constructed(node: yaml.Node, *kinds: str) -> Any:
    """The value of a scalar if YAML takes it for one of `kinds` ("int", "float", "bool"), else None."""
    if not isinstance(node, yaml.ScalarNode) or node.tag not in {_TAG + kind for kind in kinds}:
        return None
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, OverflowError, LookupError, yaml.YAMLError):
        return None
