"""Rows 4 to 6: many tickets onto many ready resources, and many resources started in advance.

Trusted because the method is that of `ticketload.py drain`: eight clients take all tickets over XML-RPC, then one
checks each. The ready resources are documents written before the farm starts, in a pool that is full, so that nothing
else happens meanwhile. Starts are counted in the documents on disk.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench import fill, limits
from tests.bench.clients import drain
from tests.bench.place import Place
from tests.bench.table import Figure, Row, Values

CLIENTS = 8


def drained(place: Place, count: int) -> tuple[float, float]:
    """Seconds in all and after the last take, for `count` tickets onto as many ready resources."""
    folder = place.folder()
    return drained_in(place, folder, count)


def drained_in(place: Place, folder: Path, count: int) -> tuple[float, float]:
    """The same in a folder that may hold other documents."""
    fill.living(folder / "state", (fill.up(number, "a", ("A",)) for number in range(1, count + 1)))
    with place.farm({"a": {"tags": ["A"], "max": count, "max_prealloc": count}}, folder) as farm:
        return drain(farm.address, count, CLIENTS, "A")


def _measure_one(place: Place) -> Iterator[Values]:
    count = place.size(1000, 40)
    for _ in place.runs(5):
        in_all, after = drained(place, count)
        bare = limits.durable_writes(place.folder(), place.size(2, 1) / 2)
        yield {
            "in all": in_all,
            "after the last take": after,
            "bare: a write for each take and grant": 2 * count / bare,
        }


def _measure_ten(place: Place) -> Iterator[Values]:
    count = place.size(1000, 40)
    for _ in place.runs(3):
        one, _ = drained(place, count)
        ten, after = drained(place, 10 * count)
        bare = limits.durable_writes(place.folder(), place.size(2, 1) / 2)
        yield {
            "times as long as a tenth": ten / one,
            "in all": ten,
            "after the last take": after,
            "a tenth": one,
            "bare: a write for each take and grant": 20 * count / bare,
        }


def _measure_starts(place: Place) -> Iterator[Values]:
    count = place.size(1000, 30)
    for _ in place.runs(3):
        with place.farm({}) as farm:
            begun = time.perf_counter()
            farm.set_pools({"a": {"tags": ["A"], "max": count, "max_starting": 100, "max_prealloc": count}})
            _until_up(farm.state / "resources" / "live", count)
            took = time.perf_counter() - begun
        bare = limits.shells(place.size(2, 1) / 2)
        yield {
            "in all": took,
            "starts": count / took,
            "bare: as many shells, one after the other": count / bare,
        }


def _until_up(folder: Path, count: int) -> None:
    waiting = {f"{number}.json" for number in range(1, count + 1)}
    end = time.monotonic() + 600
    while waiting:
        for name in sorted(waiting):
            try:
                if json.loads((folder / name).read_bytes())["state"] != "UP":
                    break
            except FileNotFoundError:
                break
            waiting.discard(name)
        if time.monotonic() > end:
            raise AssertionError(f"{len(waiting)} of {count} resources are not UP after ten minutes")
        time.sleep(0.02)


ROWS = (
    Row(
        "4",
        "1,000 tickets onto 1,000 ready",
        "137 s",
        (
            Figure("in all", "s", most=3),
            Figure("after the last take", "s", most=1),
            Figure("bare: a write for each take and grant", "s"),
        ),
        _measure_one,
    ),
    Row(
        "5",
        "10,000 tickets onto 10,000 ready",
        "(hours)",
        (
            Figure("times as long as a tenth", "×", most=12),
            Figure("in all", "s"),
            Figure("after the last take", "s"),
            Figure("a tenth", "s"),
            Figure("bare: a write for each take and grant", "s"),
        ),
        _measure_ten,
        runs=3,
    ),
    Row(
        "6",
        "preallocate 1,000 with cmd_new: echo (max_starting 100)",
        "29 s",
        (
            Figure("in all", "s", most=8),
            Figure("starts", "/s"),
            Figure("bare: as many shells, one after the other", "s"),
        ),
        _measure_starts,
        runs=3,
    ),
)
