"""Our series against those of `prometheus_client`: the same observations make the same families."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Counter as TheirCounter
from prometheus_client import Gauge as TheirGauge
from prometheus_client import Histogram as TheirHistogram
from prometheus_client.registry import Collector

from functions.timed.measures import Counter, Family, Gauge, Histogram

WORDS = st.text(max_size=3)
LABELS = st.lists(st.sampled_from(["pool", "kind", "result", "state"]), unique=True, max_size=3)
BOUNDS = st.lists(st.floats(1e-9, 999_999), min_size=1, max_size=6, unique=True).map(sorted)


@st.composite
def recorded(
    draw: st.DrawFn, amounts: st.SearchStrategy[float]
) -> tuple[list[str], list[tuple[list[str], float | None]]]:
    """Names of labels, and what happens one after the other: a value for those label values, or None, known only."""
    labels = draw(LABELS)
    # Few different ones, so that series meet more than one value.
    series = draw(st.lists(st.lists(WORDS, min_size=len(labels), max_size=len(labels)), min_size=1, max_size=3))
    return labels, draw(st.lists(st.tuples(st.sampled_from(series), st.none() | amounts), max_size=20))


def theirs(collector: Collector) -> list[Any]:
    """The one family as it was shown when the library made it, without when each series began."""
    (family,) = collector.collect()
    samples = [[each.name, each.labels, each.value] for each in family.samples if not each.name.endswith("_created")]
    return [family.name, family.documentation, family.type, samples]


def same(ours: Family, collector: Collector) -> bool:
    """Whether both are the same JSON, labels in the same order."""
    return msgspec.json.encode(ours) == msgspec.json.encode(theirs(collector))


@given(recorded(st.floats(0, 1e6)))
def test_counters_are_those_of_prometheus(happened):
    labels, steps = happened
    ours, library = Counter("c", "Counts.", *labels), TheirCounter("c", "Counts.", labels, registry=None)
    for series, amount in steps:
        child = library.labels(*series) if labels else library
        if amount is None:
            ours.begin(*series)
        else:
            ours.add(amount, *series)
            child.inc(amount)
    assert same(ours.family(), library)


@given(recorded(st.floats(allow_nan=False, allow_infinity=False)))
def test_gauges_are_those_of_prometheus(happened):
    labels, steps = happened
    ours, library = Gauge("g", "Stands.", *labels), TheirGauge("g", "Stands.", labels, registry=None)
    for series, value in steps:
        if value is not None:
            ours.set(value, *series)
            (library.labels(*series) if labels else library).set(value)
    assert same(ours.family(), library)


@given(st.data(), BOUNDS)
def test_histograms_are_those_of_prometheus(data, bounds):
    labels, steps = data.draw(recorded(st.sampled_from(bounds) | st.floats(0, 2e6)))
    ours = Histogram("h", "Times.", *labels, bounds=bounds)
    library = TheirHistogram("h", "Times.", labels, buckets=bounds, registry=None)
    for series, value in steps:
        child = library.labels(*series) if labels else library
        if value is None:
            ours.begin(*series)
        else:
            ours.observe(value, *series)
            child.observe(value)
    assert same(ours.family(), library)
