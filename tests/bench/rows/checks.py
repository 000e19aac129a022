"""Row 13: livechecks of a second each, all due at once.

Trusted because the resources are there and the farm is at rest when pools.yaml gets its `cmd_livecheck`; it ends when
the last resource's document shows its check. The bare limit starts one shell after the other.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench import fill, limits
from tests.bench.clients import Http, latency
from tests.bench.place import Place
from tests.bench.table import Figure, Row, Values, quantile

BOUND = 64
"""The default of `livechecks_at_once`."""


def _measure(place: Place) -> Iterator[Values]:
    count, spares = place.size(1000, 70), place.size(100, 5)
    for _ in place.runs(3):
        folder = place.folder()
        fill.living(folder / "state", (fill.up(number, "a", ("A",)) for number in range(1, count + 1)))
        pool = {"tags": ["A"], "max": count, "max_prealloc": count}
        with place.farm({"a": pool}, folder) as farm:
            begun = time.perf_counter()
            farm.set_pools({"a": {**pool, "cmd_livecheck": "sleep 1", "livecheck_period": 36000}})
            meanwhile = latency(Http(farm.address), "A", spares, close=False)
            _until_checked(farm.state / "resources" / "live", count)
            took = time.perf_counter() - begun
        yield {
            "beyond 1,000 s / 64": (took / (count / BOUND) - 1) * 100,
            "in all": took,
            "take → in hand meanwhile p50": quantile(meanwhile, 0.5),
            "bare: as many shells, one after the other": count / limits.shells(place.size(2, 1) / 2),
        }


def _until_checked(folder: Path, count: int) -> None:
    waiting = set(range(1, count + 1))
    end = time.monotonic() + 1200
    while waiting:
        for number in sorted(waiting):
            if json.loads((folder / f"{number}.json").read_bytes())["check_last_time"] is None:
                break
            waiting.discard(number)
        if time.monotonic() > end:
            raise AssertionError(f"{len(waiting)} of {count} resources are not checked after twenty minutes")
        time.sleep(0.05)


ROWS = (
    Row(
        "13",
        "1,000 livechecks of 1 s each, due at once (bound 64)",
        "1,000 s",
        (
            Figure("beyond 1,000 s / 64", "%", most=10),
            Figure("in all", "s"),
            Figure("take → in hand meanwhile p50", "ms"),
            Figure("bare: as many shells, one after the other", "s"),
        ),
        _measure,
        runs=3,
    ),
)
