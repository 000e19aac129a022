"""Counters, gauges and histograms, and the plain families of samples that `view/metrics.json` shows of them.

Their families are those that `prometheus_client` makes, with which the web writes the text. The scheduler goes without
it: it brings an HTTP server and more, 2.6 MB in a process that serves nothing (docs/decisions/0005).

A series is named by the values of its family's labels, in their order. A family without labels has its one series from
the beginning. Not for several threads.
"""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from math import inf

Labels = dict[str, str]
Sample = tuple[str, Labels, float]
"""A name, labels and a value."""
Family = tuple[str, str, str, list[Sample]]
"""A name, help, a type and samples."""


class _Numbers:
    """One number for each series."""

    type = ""
    suffix = ""
    """What the names of samples have and the name of the family has not."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self._name = name
        self._about = about
        self._labels = labels
        self._values: dict[tuple[str, ...], float] = {}
        if not labels:
            self._values[()] = 0.0

    def family(self) -> Family:
        """As it stands now."""
        name = self._name + self.suffix
        samples = [(name, _labelled(self._labels, series), value) for series, value in self._values.items()]
        return (self._name, self._about, self.type, samples)


class Gauge(_Numbers):
    """What goes up and down."""

    type = "gauge"

    def set(self, value: float, *series: str) -> None:
        """From now on it is `value`."""
        self._values[series] = value


class Counter(_Numbers):
    """What only grows."""

    type = "counter"
    suffix = "_total"

    def begin(self, *series: str) -> None:
        """Let it stand at zero when nothing was counted yet."""
        self._values.setdefault(series, 0.0)

    def add(self, amount: float, *series: str) -> None:
        """So many more."""
        self._values[series] = self._values.get(series, 0.0) + amount


class Histogram:
    """How many observations were at most so large, for some bounds: positive ones, under a million, that grow."""

    def __init__(self, name: str, about: str, *labels: str, bounds: Iterable[float]) -> None:
        self._name = name
        self._about = about
        self._labels = labels
        self._bounds = [*map(float, bounds), inf]
        self._shown_bounds = [*map(repr, self._bounds[:-1]), "+Inf"]
        self._series: dict[tuple[str, ...], _Buckets] = {}
        if not labels:
            self.begin()

    def begin(self, *series: str) -> None:
        """Let it stand at zero when nothing was observed yet."""
        self._of(series)

    def observe(self, value: float, *series: str) -> None:
        """One more observation."""
        buckets = self._of(series)
        buckets.counts[bisect_left(self._bounds, value)] += 1
        buckets.sum += value

    def family(self) -> Family:
        """As it stands now."""
        samples: list[Sample] = []
        for series, buckets in self._series.items():
            labels = _labelled(self._labels, series)
            totals = [*accumulate(buckets.counts)]
            for bound, total in zip(self._shown_bounds, totals, strict=True):
                samples.append((f"{self._name}_bucket", {**labels, "le": bound}, total))
            samples.append((f"{self._name}_count", labels, totals[-1]))
            samples.append((f"{self._name}_sum", labels, buckets.sum))
        return (self._name, self._about, "histogram", samples)

    def _of(self, series: tuple[str, ...]) -> "_Buckets":
        buckets = self._series.get(series)
        if buckets is None:
            buckets = self._series[series] = _Buckets(len(self._bounds))
        return buckets


class _Buckets:
    """One series of a histogram: the observations of each bucket, without those below it."""

    __slots__ = ("counts", "sum")

    def __init__(self, number: int) -> None:
        self.counts = [0.0] * number
        self.sum = 0.0


def _labelled(names: tuple[str, ...], values: tuple[str, ...]) -> Labels:
    return dict(zip(names, values, strict=True))
