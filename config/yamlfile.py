"""YAML files of the configuration: every value keeps its line, and all faults are found at once.

A mistake in a file must not stop the running server that reads it again: size, nesting and the number of values that
aliases multiply are limited.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError, Problem, quoted
from config.values import Option, WrongValue, described, read

LARGEST = 1024 * 1024
"""Bytes of a file."""
DEEPEST = 20
"""Levels of nesting, and of merge keys that merge others."""
MOST_VALUES = 500_000
"""Values of a file, those that an alias repeats counted again."""

_MERGE = "tag:yaml.org,2002:merge"
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Entries = dict[str, tuple[yaml.Node, yaml.Node]]
"""Key → the node of the key and the node of the value."""


def read_text(path: Path) -> str:
    """The text of the file; raises ConfigError when it cannot be read, is too large, or is not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise _failure(path, None, f"cannot be read: {error.strerror or error}") from None
    return text_of(content, str(path))


def text_of(content: bytes, file: str) -> str:
    """Decode the content of `file`; raises ConfigError when it is too large or not UTF-8."""
    if len(content) > LARGEST:
        raise _failure(file, None, f"is larger than {LARGEST} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _failure(file, line, "is not UTF-8 text") from None


class YamlFile:
    """One YAML document, with the faults and warnings found in it so far.

    `root` is None when the document is empty. `part` is what messages call the main entries. The constructor raises
    ConfigError when `text` is not YAML.
    """

    def __init__(self, text: str, file: str, part: str = "pool") -> None:
        self.file = file
        self.part = part
        self.faults: list[Problem] = []
        self.warnings: list[Problem] = []
        self._left = MOST_VALUES
        self._entries: dict[int, Entries] = {}
        self.root = _compose(text, file)

    def fault(self, node: yaml.Node | None, where: str | None, option: str | None, message: str) -> None:
        """Record what makes the file unusable."""
        self.faults.append(Problem(self.file, _line(node), where, option, message, self.part))

    def warn(self, node: yaml.Node | None, where: str | None, option: str | None, message: str) -> None:
        """Record what is probably a mistake."""
        self.warnings.append(Problem(self.file, _line(node), where, option, message, self.part))

    def raise_faults(self) -> None:
        """Raise ConfigError with all faults so far, if there are any."""
        if self.faults:
            raise ConfigError(sorted(self.faults, key=lambda fault: fault.line or 0))

    def entries(self, node: yaml.Node, where: str | None = None, depth: int = 0) -> Entries:
        """The entries of a mapping, with its merge keys (`<<`) resolved.

        As in YAML's merge rule, a mapping's own keys win over merged ones, and earlier merged mappings over
        later ones. Keys that are not plain text, or are repeated, become faults of the pool `where`.
        """
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, where, None, f"must be a mapping, not {described(node)}")
            return {}
        if id(node) in self._entries:
            return self._entries[id(node)]
        if depth > DEEPEST:
            self._give_up(node, f"merge keys nest deeper than {DEEPEST} levels")
        own: Entries = {}
        self._entries[id(node)] = own  # set before the merge keys are resolved, because a mapping may merge itself
        self._spend(node, len(node.value))
        merged: Entries = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for name, entry in self._merged(value, where, depth):
                    merged.setdefault(name, entry)
            elif not isinstance(key, yaml.ScalarNode):
                self.fault(key, where, None, f"a name must be plain text, not {described(key)}")
            elif key.value in own:
                first = _line(own[key.value][0])
                self.fault(key, where, None, f"{quoted(key.value)} is repeated, first in line {first}")
            else:
                own[key.value] = (key, value)
        for name, entry in merged.items():
            own.setdefault(name, entry)
        return own

    def options(self, entries: Entries, declared: Mapping[str, Option], where: str | None) -> dict[str, Any]:
        """The values of the options in `entries`. Wrong values become faults, unknown options warnings that name the
        nearest declared one."""
        values = {}
        for name, (key, node) in entries.items():
            if name not in declared:
                self.warn(key, where, name, _unknown(name, declared))
                continue
            if isinstance(node, yaml.SequenceNode):
                self._spend(node, len(node.value))
            try:
                values[name] = read(node, declared[name].kind)
            except WrongValue as wrong:
                for at, message in wrong.faults:
                    self.fault(at, where, name, message)
        return values

    def _merged(self, node: yaml.Node, where: str | None, depth: int) -> list[tuple[str, tuple[yaml.Node, yaml.Node]]]:
        """The entries of the mappings that one merge key names."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: list[tuple[str, tuple[yaml.Node, yaml.Node]]] = []
        for source in sources:
            entries = self.entries(source, where, depth + 1)
            self._spend(source, len(entries) + 1)
            found.extend(entries.items())
        return found

    def _spend(self, node: yaml.Node, values: int) -> None:
        self._left -= values
        if self._left < 0:
            self._give_up(node, f"holds more than {MOST_VALUES} values, those that aliases repeat counted again")

    def _give_up(self, node: yaml.Node, message: str) -> None:
        self.fault(node, None, None, message)
        self.raise_faults()


class _Composer(yaml.composer.Composer):
    """Composes nodes from the events of the C parser, if there is one, and refuses deep nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        parser = _SafeLoader(text)
        self.check_event, self.get_event, self.peek_event = parser.check_event, parser.get_event, parser.peek_event
        self.resolve = parser.resolve
        self.descend_resolver, self.ascend_resolver = parser.descend_resolver, parser.ascend_resolver
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > DEEPEST + 1:
            raise _TooDeep(self.peek_event())
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _TooDeep(Exception):
    """Carries the first event that is too deep."""


def _compose(text: str, file: str) -> yaml.Node | None:
    if unfit := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, unfit.start()) + 1
        raise _failure(file, line, f"is not valid YAML: the character {quoted(unfit.group())} is not allowed")
    try:
        root: yaml.Node | None = _Composer(text).get_single_node()
    except _TooDeep as error:
        raise _failure(file, error.args[0].start_mark.line + 1, f"nests deeper than {DEEPEST} levels") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.problem, error.context) if part)
        raise _failure(file, mark.line + 1 if mark else None, f"is not valid YAML: {reason}") from None
    except yaml.YAMLError as error:
        raise _failure(file, None, "is not valid YAML: " + " ".join(str(error).split())) from None
    return root


def _unknown(name: str, known: Mapping[str, Option]) -> str:
    # Imported only here, because most files have no faults and the process that reads them runs for long.
    import difflib

    nearest = difflib.get_close_matches(name, known, n=1)
    return "is unknown and ignored" + (f'; is "{nearest[0]}" meant?' if nearest else "")


def _line(node: yaml.Node | None) -> int | None:
    return None if node is None else int(node.start_mark.line) + 1


def _failure(file: Path | str, line: int | None, message: str) -> ConfigError:
    return ConfigError([Problem(str(file), line, None, None, message)])
