"""Row 11: the wall time of `shim/resalloc ticket`, beside a curl that takes a ticket without any shim.

Trusted because both start as processes from the same parent and take real tickets, in turn.
"""

import subprocess
import time
from collections.abc import Iterator
from typing import Any

from tests.bench.farm import PROJECT
from tests.bench.place import Place
from tests.bench.rows.writes import POOLS
from tests.bench.table import Figure, Row, Values, quantile

SHIM = PROJECT / "shim" / "resalloc"


def _measure(place: Place) -> Iterator[Values]:
    count = place.size(100, 3)
    with place.farm(POOLS) as farm:
        for _ in place.runs(5):
            commands: dict[str, list[Any]] = {
                "shim": [SHIM, "--connection", farm.url, "ticket", "--tag", "A"],
                "curl": ["curl", "-fsS", "-d", "tag=A", f"{farm.url}/tickets"],
                "sh": ["/bin/sh", "-c", ":"],
            }
            took: dict[str, list[float]] = {name: [] for name in commands}
            for _ in range(count):
                for name, command in commands.items():
                    took[name].append(_wall_time(command))
            p50 = {name: quantile(samples, 0.5) for name, samples in took.items()}
            yield {
                "times as long as curl": p50["shim"] / p50["curl"],
                "shim p50": p50["shim"],
                "bare: curl p50": p50["curl"],
                "bare: fork + exec of /bin/sh p50": p50["sh"],
            }


def _wall_time(command: list[Any]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.perf_counter() - begun) * 1000


ROWS = (
    Row(
        "11",
        "shim/resalloc ticket",
        "150 ms of Python start",
        (
            Figure("times as long as curl", "×", most=2),
            Figure("shim p50", "ms"),
            Figure("bare: curl p50", "ms"),
            Figure("bare: fork + exec of /bin/sh p50", "ms"),
        ),
        _measure,
    ),
)
