"""Whether a measured quantity grows. Pure."""

import statistics
from collections.abc import Sequence
from itertools import combinations


def growth(samples: Sequence[tuple[float, float]]) -> float:
    """By how much a quantity grew from the first to the last of the samples (time, value), without the noise.

    The median of the slopes between any two samples (Theil and Sen), times the time: single outliers do not count.
    """
    slopes = [(later - earlier) / (b - a) for (a, earlier), (b, later) in combinations(samples, 2) if b > a]
    return statistics.median(slopes) * (samples[-1][0] - samples[0][0]) if slopes else 0.0
