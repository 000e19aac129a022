"""The small charts of all pools, each drawn again only when it has a new sample."""

from markupsafe import Markup

from functions.pages.charts import spark
from state.files.samples import Samples, Stamp


class Sparks:
    """Any thread may ask. Only what was drawn is kept: the samples of a farm would take megabytes."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._drawn: dict[str, tuple[Stamp | None, Markup]] = {}

    def of(self, pool: str, now: float) -> Markup:
        """The last day of a pool, up to its last sample; empty when there is none."""
        stamp = self._samples.stamp(pool)
        drawn = self._drawn.get(pool)
        if drawn is None or drawn[0] != stamp:
            drawn = self._drawn[pool] = stamp, spark(self._samples.read_use(pool), now)
        return drawn[1]
