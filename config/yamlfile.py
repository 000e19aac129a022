"""YAML files as the configuration needs them: every value keeps its line, and all faults are found at once.

Files come from operators, but a slip must not stop the server that reads them again while it runs: size, nesting
and the work that aliases multiply are bounded.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError, Problem, quoted
from config.values import Convert, WrongValue, described

LARGEST = 1024 * 1024
"""Bytes of a file."""
DEEPEST = 20
"""Levels of nesting, and of merge keys that merge others."""
MOST_VALUES = 500_000
"""Values of a file, those that an alias repeats counted again."""

_MERGE = "tag:yaml.org,2002:merge"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

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
    """The text that these bytes are, those of `file` in problems; raises ConfigError: too large, or not UTF-8."""
    if len(content) > LARGEST:
        raise _failure(file, None, f"is larger than {LARGEST} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _failure(file, line, "is not UTF-8 text") from None


class YamlFile:
    """One YAML document, and the faults and warnings that were found in it so far.

    `root` is None when the document is empty; `part` is what its main entries are. The constructor raises
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
        later ones. Keys that are no plain text, or stand twice, become faults of the pool `where`.
        """
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, where, None, f"must be a mapping, not {described(node)}")
            return {}
        if id(node) in self._entries:
            return self._entries[id(node)]
        if depth > DEEPEST:
            self._give_up(node, f"merge keys nest deeper than {DEEPEST} levels")
        own: Entries = {}
        self._entries[id(node)] = own  # known before its merges are read: it may merge itself
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
                self.fault(key, where, None, f"{quoted(key.value)} stands twice, first in line {first}")
            else:
                own[key.value] = (key, value)
        for name, entry in merged.items():
            own.setdefault(name, entry)
        return own

    def options(self, entries: Entries, converters: Mapping[str, Convert], where: str | None) -> dict[str, Any]:
        """The converted values of the options that stand in `entries`; wrong ones become faults, unknown ones
        warnings that name the nearest known option."""
        values = {}
        for name, (key, node) in entries.items():
            if name not in converters:
                self.warn(key, where, name, _unknown(name, converters))
                continue
            if isinstance(node, yaml.SequenceNode):
                self._spend(node, len(node.value))
            try:
                values[name] = converters[name](node)
            except WrongValue as wrong:
                for at, message in wrong.faults:
                    self.fault(at, where, name, message)
        return values

    def _merged(self, node: yaml.Node, where: str | None, depth: int) -> list[tuple[str, tuple[yaml.Node, yaml.Node]]]:
        """The entries that the value of one merge key brings in."""
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


def _compose(text: str, file: str) -> yaml.Node | None:
    if unfit := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, unfit.start()) + 1
        raise _failure(file, line, f"is not valid YAML: the character {quoted(unfit.group())} is not allowed")
    try:
        _check_depth(text, file)
        root: yaml.Node | None = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.problem, error.context) if part)
        raise _failure(file, mark.line + 1 if mark else None, f"is not valid YAML: {reason}") from None
    except yaml.YAMLError as error:
        raise _failure(file, None, "is not valid YAML: " + " ".join(str(error).split())) from None
    return root


def _check_depth(text: str, file: str) -> None:
    """Refuse deep nesting before the parser, which is recursive and partly C, meets it."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else None
            raise _failure(file, line, f"nests deeper than {DEEPEST} levels")


def _unknown(name: str, known: Mapping[str, Convert]) -> str:
    # Only now: most files are without fault, and what reads them stays in memory for long.
    import difflib

    nearest = difflib.get_close_matches(name, known, n=1)
    return "is unknown and ignored" + (f'; is "{nearest[0]}" meant?' if nearest else "")


def _line(node: yaml.Node | None) -> int | None:
    return None if node is None else int(node.start_mark.line) + 1


def _failure(file: Path | str, line: int | None, message: str) -> ConfigError:
    return ConfigError([Problem(str(file), line, None, None, message)])
