"""Rows of the table: figures, their targets, and the values of several runs."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench.place import Place

Values = Mapping[str, float]
"""The measurements of one run, by the name of the figure."""


@dataclass(frozen=True)
class Figure:
    """One number that a run measures; `most` or `least` is what it has to reach, a bare limit has neither."""

    name: str
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def target(self) -> str:
        if self.most is not None:
            return f"≤ {number(self.most)} {self.unit}"
        return "" if self.least is None else f"≥ {number(self.least)} {self.unit}"

    def reached(self, value: float) -> bool | None:
        """Whether a value reaches the target; None without a target."""
        if self.most is not None:
            return value <= self.most
        return None if self.least is None else value >= self.least


@dataclass(frozen=True)
class Row:
    """One row: its name on the command line, the work, what the reference needs for it, and how it is measured.

    `measure` yields the values of each run, all of `figures` every time, `runs` times by default; it may
    prepare and share what is expensive.
    """

    name: str
    work: str
    reference: str
    figures: tuple[Figure, ...]
    measure: Callable[[Place], Iterator[Values]]
    runs: int = 5


def summary(figure: Figure, values: list[float]) -> dict[str, Any]:
    """A figure of several runs, ready for JSON: the median is what is judged."""
    median = statistics.median(values)
    return {
        "name": figure.name,
        "unit": figure.unit,
        "target": figure.target,
        "median": median,
        "lowest": min(values),
        "highest": max(values),
        "values": values,
        "reached": figure.reached(median),
    }


def quantile(samples: list[float], share: float) -> float:
    """The sample below which this share of them lies."""
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"
