"""Charts of a pool's last day, drawn from its samples as SVG. Pure, except for `Sparks`, which caches small charts.

The SVG contains only shapes; words and numbers are text beside it, so that they keep their size on every screen.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from operator import attrgetter
from statistics import fmean, median
from typing import NamedTuple, TypeVar

from markupsafe import Markup

from functions.text import clock, percent, plural, span
from functions.web.context import Context
from state.sample import Sample, Stamp, Use

DAY = 86400.0
HEIGHT = 100
"""Height of every chart in units; a bucket of time is one unit wide."""


class Bucket(NamedTuple):
    """The samples of a stretch of time combined: means of states, sums of what happened.

    The fields are those of `Sample`; `going` are resources that are being released or deleted.
    """

    at: float
    max: float
    taken: float
    going: float
    ready: float
    starting: float
    waiting: int
    grants: int
    waited: float | None
    waited_longest: float | None
    started: int
    failed: int
    start_took: float | None


class Chart(NamedTuple):
    """A chart and its labels: `top` is the value at its upper edge, `words` summarises what it shows."""

    title: str
    words: str
    legend: tuple[tuple[str, str], ...]
    top: str
    shapes: Markup
    hours: tuple[str, ...]


class UseBucket(NamedTuple):
    """The part of a bucket that the small chart shows."""

    max: float
    taken: float


Buckets = Sequence[Bucket | None]
S = TypeVar("S", Sample, Use)
B = TypeVar("B", Bucket, UseBucket)
_AT = attrgetter("at")


def buckets(samples: Sequence[Sample], now: float, count: int) -> list[Bucket | None]:
    """The last day in `count` stretches of equal length; None where there are no samples."""
    length = DAY / count
    begin = _end(now, count) - DAY
    stretches = _stretches(samples, begin, count)
    return [_bucket(begin + length * place, found) if found else None for place, found in enumerate(stretches)]


def _stretches(samples: Sequence[S], begin: float, count: int) -> list[Sequence[S]]:
    """The samples (sorted by time) of the day from `begin` on, in `count` stretches."""
    bounds = [bisect_left(samples, begin + DAY * place / count, key=_AT) for place in range(count + 1)]
    return [samples[first:end] for first, end in pairwise(bounds)]


def _use_bucket(samples: Sequence[Use]) -> UseBucket:
    """The overview makes thousands of these at once, so this is written for speed."""
    taken = sum([sample.taken for sample in samples]) / len(samples)
    return UseBucket(max([sample.max for sample in samples]), taken)


def _bucket(at: float, samples: Sequence[Sample]) -> Bucket:
    return Bucket(
        at=at,
        max=max(sample.max for sample in samples),
        taken=fmean(sample.taken for sample in samples),
        going=fmean(sample.going for sample in samples),
        ready=fmean(sample.ready for sample in samples),
        starting=fmean(sample.starting for sample in samples),
        waiting=max(sample.waiting for sample in samples),
        grants=sum(sample.grants for sample in samples),
        waited=_choose_known(median, (sample.waited for sample in samples)),
        waited_longest=_choose_known(max, (sample.waited_longest for sample in samples)),
        started=sum(sample.started for sample in samples),
        failed=sum(sample.failed for sample in samples),
        start_took=_choose_known(median, (sample.start_took for sample in samples)),
    )


def _choose_known(choose: Callable[[list[float]], float], values: Iterable[float | None]) -> float | None:
    """`choose` (median, max) of the values that are not None; None without any."""
    known = [value for value in values if value is not None]
    return choose(known) if known else None


def charts(samples: Sequence[Sample], now: float) -> list[Chart]:
    """The charts of one pool; none without samples of the last day."""
    found = buckets(samples, now, 96)
    if not any(found):
        return []
    hours = _hours(now, 96)
    return [chart(found, hours) for chart in (_resources, _waiting, _waits, _start_times, _successes)]


def spark(samples: Sequence[Use], now: float) -> Markup:
    """The small chart of a pool, for a row of a table: how many resources were taken in the last day, and `max`."""
    stretches = _stretches(samples, _end(now, 48) - DAY, 48)
    found = [_use_bucket(stretch) if stretch else None for stretch in stretches]
    if not any(found):
        return Markup()
    top = _highest(found, max)
    most = _highest(found, lambda bucket: bucket.taken)
    words = f"last day: {most:.0f} taken at most"
    return _svg(words, len(found), _area("taken", found, lambda bucket: bucket.taken, top) + _max_line(found, top))


def _resources(found: Buckets, hours: tuple[str, ...]) -> Chart:
    top = _highest(found, lambda bucket: max(bucket.max, _up_to(3, bucket)))
    layers = ("taken", "going", "ready", "starting")
    areas = [_area(name, found, partial(_up_to, index), top) for index, name in enumerate(layers)]
    shapes = Markup().join(reversed(areas)) + _max_line(found, top)
    shapes += _hints(
        found,
        lambda bucket: (
            f"{bucket.taken:.3g} taken, {bucket.ready:.3g} ready, {bucket.starting:.3g} starting, "
            f"{bucket.going:.3g} released or deleted, max {bucket.max}"
        ),
    )
    most = _highest(found, lambda bucket: bucket.taken)
    words = f"{most:.0f} taken at most"
    legend = (("taken", "taken"), ("going", "released or deleted"), ("ready", "ready"), ("starting", "starting"))
    return Chart("Resources", words, (*legend, ("most", "max")), f"{top:.0f}", _svg(words, len(found), shapes), hours)


def _waiting(found: Buckets, hours: tuple[str, ...]) -> Chart:
    top = _highest(found, lambda bucket: bucket.waiting)
    shapes = _area("waiting", found, lambda bucket: bucket.waiting, top)
    shapes += _hints(found, lambda bucket: f"{bucket.waiting} waiting")
    words = f"{top:.0f} at most" if any(bucket and bucket.waiting for bucket in found) else "no tickets waited"
    return Chart("Tickets waiting", words, (), f"{top:.0f}", _svg(words, len(found), shapes), hours)


def _waits(found: Buckets, hours: tuple[str, ...]) -> Chart:
    top = _highest(found, lambda bucket: bucket.waited_longest or 0)
    shapes = _area("longest", found, lambda bucket: bucket.waited_longest, top)
    shapes += _area("median", found, lambda bucket: bucket.waited, top)
    shapes += _hints(
        found,
        lambda bucket: (
            f"{bucket.grants} served, median wait {span(bucket.waited or 0)}, "
            f"longest {span(bucket.waited_longest or 0)}"
            if bucket.grants
            else "none served"
        ),
    )
    grants = sum(bucket.grants for bucket in found if bucket)
    words = f"{plural(grants, 'ticket')} served, the longest wait was {span(top)}" if grants else "none served"
    legend = (("median", "median"), ("longest", "longest"))
    return Chart("Wait until served", words, legend, span(top), _svg(words, len(found), shapes), hours)


def _start_times(found: Buckets, hours: tuple[str, ...]) -> Chart:
    top = _highest(found, lambda bucket: bucket.start_took or 0)
    shapes = _area("median", found, lambda bucket: bucket.start_took, top)
    shapes += _hints(
        found, lambda bucket: "no start" if bucket.start_took is None else f"{span(bucket.start_took)} (median)"
    )
    took = [bucket.start_took for bucket in found if bucket and bucket.start_took is not None]
    failed = any(bucket.failed for bucket in found if bucket)
    if took:
        words = f"median {span(median(took))}, longest {span(top)}"
    else:
        words = "no start succeeded" if failed else "no starts"
    return Chart("Start time", words, (), span(top), _svg(words, len(found), shapes), hours)


def _successes(found: Buckets, hours: tuple[str, ...]) -> Chart:
    top = _highest(found, lambda bucket: bucket.started + bucket.failed)
    shapes = _area("failed", found, lambda bucket: bucket.started + bucket.failed, top)
    shapes += _area("good", found, lambda bucket: bucket.started, top)
    shapes += _hints(found, lambda bucket: f"{bucket.started} succeeded, {bucket.failed} failed")
    good, bad = (sum(getattr(bucket, name) for bucket in found if bucket) for name in ("started", "failed"))
    words = f"{percent(good / (good + bad))} of {plural(good + bad, 'start')} succeeded" if good + bad else "no starts"
    legend = (("good", "succeeded"), ("failed", "failed"))
    return Chart("Starts", words, legend, f"{top:.0f}", _svg(words, len(found), shapes), hours)


def _up_to(layer: int, bucket: Bucket) -> float:
    """The upper value of this layer of the stacked resources."""
    return sum((bucket.taken, bucket.going, bucket.ready, bucket.starting)[: layer + 1])


def _highest(found: Sequence[B | None], value: Callable[[B], float]) -> float:
    return max((value(bucket) for bucket in found if bucket), default=0)


def _area(name: str, found: Sequence[B | None], value: Callable[[B], float | None], top: float) -> Markup:
    """The area below these values, as steps."""
    path = [f"M0 {HEIGHT}"]
    last = HEIGHT
    for place, bucket in enumerate(found):
        height = _height(value(bucket) if bucket else None, top)
        if height != last:
            path.append(f"H{place}V{height}")
            last = height
    path.append(f"H{len(found)}V{HEIGHT}z")
    return Markup('<path class="{}" d="{}"/>').format(name, "".join(path))


def _max_line(found: Sequence[B | None], top: float) -> Markup:
    """The line of the option `max`, interrupted where it is unknown."""
    path = []
    last: float | None = None
    for place, bucket in enumerate(found):
        height = None if bucket is None else _height(bucket.max, top)
        if height != last and last is not None:
            path.append(f"H{place}")
        if height != last and height is not None:
            path.append(f"M{place} {height}" if last is None else f"V{height}")
        last = height
    if last is not None:
        path.append(f"H{len(found)}")
    return Markup('<path class="most" d="{}"/>').format("".join(path))


def _hints(found: Buckets, words: Callable[[Bucket], str]) -> Markup:
    """The tooltips of the buckets."""
    hint = Markup('<rect class="hint" x="{}" width="1" height="{}"><title>{} {}</title></rect>')
    return Markup().join(
        hint.format(place, HEIGHT, clock(bucket.at), words(bucket)) for place, bucket in enumerate(found) if bucket
    )


def _svg(words: str, width: int, shapes: Markup) -> Markup:
    svg = Markup(
        '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    )
    return svg.format(width, HEIGHT, words, shapes)


def _hours(now: float, count: int) -> tuple[str, ...]:
    return tuple(clock(_end(now, count) - DAY * part / 4) for part in range(4, -1, -1))


def _end(now: float, count: int) -> float:
    """The end of the current stretch of time, of which a day has `count`."""
    return (math.floor(now / (DAY / count)) + 1) * DAY / count


def _height(value: float | None, top: float) -> int:
    """The y coordinate of a value; 0 is the upper edge."""
    return HEIGHT - round(HEIGHT * min(1.0, max(0.0, (value or 0) / top)) if top > 0 else 0)


class Sparks:
    """The small charts of all pools; each is drawn again only when its pool has a new sample.

    One per application: `context.shared(Sparks)`. Any thread may use it. Only the drawn charts are kept: the samples of
    all pools would take megabytes.
    """

    def __init__(self, context: Context) -> None:
        self._samples = context.store.samples
        self._drawn: dict[str, tuple[Stamp | None, Markup]] = {}

    def draw(self, pool: str, now: float) -> Markup:
        """The chart of the pool's last day up to its last sample; empty without samples."""
        stamp = self._samples.stamp(pool)
        drawn = self._drawn.get(pool)
        if drawn is None or drawn[0] != stamp:
            drawn = self._drawn[pool] = stamp, spark(self._samples.read_use(pool), now)
        return drawn[1]
