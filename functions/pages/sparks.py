"""The small charts of all pools, each drawn again only when it has a new sample."""

from markupsafe import Markup

from functions.pages.charts import spark
from state.samples import Sample, Samples


class Sparks:
    """Any thread may ask."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._drawn: dict[str, tuple[tuple[Sample, ...], Markup]] = {}

    def of(self, pool: str, now: float) -> Markup:
        """The last day of a pool, up to its last sample; empty when there is none."""
        samples = self._samples.read(pool)
        drawn = self._drawn.get(pool)
        if drawn is None or drawn[0] is not samples:
            drawn = self._drawn[pool] = samples, spark(samples, now)
        return drawn[1]
