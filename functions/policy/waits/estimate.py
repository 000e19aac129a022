"""How long a ticket will wait, judged by the history of its pools."""

from enum import StrEnum

import msgspec


class Confidence(StrEnum):
    """How reliable an estimate is: as the least reliable of the resources that go into it."""

    NONE = "none"
    """Nothing is known to estimate from."""
    LOW = "low"
    """Little is known: a young pool, a pool whose starts often fail, or a place far behind in the queue."""
    MEDIUM = "medium"
    """At least 5 starts are known, at least 70 % of the recent ones succeeded, and 20 uses if it waits for one."""
    HIGH = "high"
    """At least 20 starts are known, at least 90 % of the recent ones succeeded, they take about the same time, and the
    ticket waits for a start that already has a place in its pool.
    """


class Arrival(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When (Unix seconds) one more resource is expected, how reliable that is, and by how many seconds starts usually
    miss their average time.
    """

    at: float
    confidence: Confidence
    spread: float = 0.0


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """When the resources come that tickets of one kind wait for: the first ones, then one every `each` seconds."""

    arrivals: tuple[Arrival, ...] = ()
    each: float | None = None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The expected wait from now on, and its likely range, in seconds; null when nothing is known."""

    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: Confidence = Confidence.NONE


_RANGES = {Confidence.LOW: (0.1, 2.5), Confidence.MEDIUM: (0.25, 1.8), Confidence.HIGH: (0.4, 1.6)}
"""By confidence: the range is the estimate times these, and at least as wide as starts usually miss their time.
tests/load checks that at least four of five waits are in the range.
"""


def estimate(forecast: Forecast, before: int, now: float) -> Estimate:
    """The wait of a ticket that has `before` others ahead of it, from `now` (Unix seconds) on."""
    arrivals, spread = forecast.arrivals, 0.0
    if before < len(arrivals):
        at, confidence, spread = arrivals[before].at, arrivals[before].confidence, arrivals[before].spread
    elif arrivals and forecast.each is not None:
        at, confidence = arrivals[-1].at + (before + 1 - len(arrivals)) * forecast.each, Confidence.LOW
    else:
        return Estimate()
    if confidence is Confidence.NONE:
        return Estimate()
    seconds = max(0.0, at - now)
    least, most = _RANGES[confidence]
    low, high = max(0.0, min(seconds * least, seconds - spread)), max(seconds * most, seconds + spread)
    return Estimate(seconds=round(seconds, 1), low=round(low, 1), high=round(high, 1), confidence=confidence)
