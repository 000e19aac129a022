"""Faults of configuration files: each names the file, the line, the pool, the option and what is wrong."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

_LONGEST_QUOTE = 60


def quoted(text: str) -> str:
    """`text` in double quotes, on one line, truncated if it is long."""
    if len(text) > _LONGEST_QUOTE:
        text = text[: _LONGEST_QUOTE - 3] + "..."
    return json.dumps(text, ensure_ascii=not text.isprintable())


@dataclass(frozen=True)
class Problem:
    """One fault or warning in `file`.

    `line` counts from 1, `where` is the name of the pool (or another `part`, such as a group of agents), `option` the
    name of the option. Each is None if it does not apply.
    """

    file: str
    line: int | None
    where: str | None
    option: str | None
    message: str
    part: str = "pool"

    def __str__(self) -> str:
        """One line such as `pools.yaml:12: pool "local", option "max": must be a whole number`."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = []
        if self.where is not None:
            parts.append(f"{self.part} {quoted(self.where)}")
        if self.option is not None:
            parts.append(f"option {quoted(self.option)}")
        subject = ", ".join(parts)
        return f"{place}: {subject}: {self.message}" if subject else f"{place}: {self.message}"


class ConfigError(Exception):
    """The configuration is not valid. `problems` has every fault; `str()` prints one on each line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)
