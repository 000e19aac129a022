"""Rows 8 and 9: a farm with very many documents, alive in row 8, finished in row 9.

The documents are written straight into the state folder before the farm starts. Row 9 does the work of rows 1 to 4
in turn in a folder with the finished documents and in an empty one, so that what else the machine does hits both.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from state.documents import Resource, Ticket
from tests.bench import fill, limits, processes
from tests.bench.clients import Http, churn, latency
from tests.bench.place import Place
from tests.bench.rows import grants, queues, writes
from tests.bench.table import Figure, Row, Values, quantile

POOLS = 20
BUDGET = 900.0
"""Seconds for writing the finished documents; row 9 says how many were written by then."""


def _alive(resources: int, tickets: int) -> Iterator[Ticket | Resource]:
    for number in range(1, resources + 1):
        pool = number % POOLS
        yield fill.up(number, f"p{pool}", (f"t{pool}", "all"))
    for number in range(1, tickets + 1):
        yield Ticket(id=number, tags=(f"nowhere{number % 100}", "all"), created_at=fill.NOW)


def _measure_alive(place: Place) -> Iterator[Values]:
    resources, tickets = place.size(20_000, 200), place.size(50_000, 500)
    count = place.size(200, 10)
    folder = place.folder()
    fill.living(folder / "state", _alive(resources, tickets))
    each = resources // POOLS
    pools = {
        f"p{number}": {"tags": [f"t{number}", "all"], "max": each, "max_prealloc": each} for number in range(POOLS)
    }
    with place.hello() as hello:
        for _ in place.runs(3):
            begun = time.perf_counter()
            with place.farm(pools, folder) as farm:
                started = time.perf_counter() - begun
                took = latency(Http(farm.address), "t1", count, close=False)
                rest = place.size(20, 2)
                time.sleep(rest / 4)
                used = processes.processor_seconds(farm.pids("scheduler"))
                time.sleep(rest)
                used = processes.processor_seconds(farm.pids("scheduler")) - used
                memory = farm.memory()
            yield {
                "served p50": quantile(took, 0.5),
                "served p99": quantile(took, 0.99),
                "scheduler at rest": used / rest * 100,
                "memory": memory,
                "start": started,
                "bare: two requests to a gunicorn hello": 2 * limits.hello_ms(hello.address, count),
                "bare: two durable writes": 2 * 1000 / limits.durable_writes(place.folder(), place.size(2, 1) / 2),
            }


def _measure_finished(place: Place) -> Iterator[Values]:
    archive = place.folder()
    wanted = place.size(place.files, 2000)
    place.note(f"writing {wanted:,} finished documents")
    written = fill.finished(archive, wanted, BUDGET)
    for number in place.runs(5):
        found: dict[bool, Values] = {}
        for full in (True, False) if number % 2 else (False, True):
            found[full] = _rows_1_to_4(place, archive if full else None)
        values = {"finished documents": float(written)}
        for name in ("take → in hand p50", "creates", "take + close pairs", "1,000 onto 1,000"):
            values[name] = found[True][name] / found[False][name]
        values["start → first grant"] = found[True]["start"]
        values["bare: start → first grant, empty folder"] = found[False]["start"]
        yield values


def _rows_1_to_4(place: Place, archive: Path | None) -> Values:
    count, seconds = place.size(200, 10), place.size(3000, 300) / 1000

    def folder() -> Path:
        made = place.folder()
        if archive is not None:
            fill.beside_archive(made / "state", archive)
        return made

    one = folder()
    with place.farm(grants.prepare(one / "state", count + 50), one) as farm:
        latency(Http(farm.address), "still", 10, close=False)
        took = latency(Http(farm.address), "still", count, close=False)
    with place.farm(writes.POOLS, folder()) as farm:
        creates, _ = writes.rate(farm.address, writes.creates, seconds)
        pairs = churn(farm.address, writes.CONNECTIONS, seconds)
    in_all, _ = queues.drained_in(place, folder(), place.size(1000, 40))
    return {
        "take → in hand p50": quantile(took, 0.5),
        "creates": creates,
        "take + close pairs": pairs,
        "1,000 onto 1,000": in_all,
        "start": _start(place, folder()),
    }


def _start(place: Place, folder: Path) -> float:
    """Seconds from starting both processes to the first grant in a client's hand."""
    pools = grants.prepare(folder / "state", 10)
    with place.farm(pools, folder, start=False) as farm:
        begun = time.perf_counter()
        farm.launch()
        client = Http(farm.address)
        while True:
            try:
                client.wait(client.take("still"))
            except ConnectionRefusedError:
                time.sleep(0.005)
                client = Http(farm.address)
            else:
                return time.perf_counter() - begun


ROWS = (
    Row(
        "8",
        "20,000 live resources, 50,000 tickets waiting in vain, one more that matches",
        "17 s at 200 + 200",
        (
            Figure("served p50", "ms", most=50),
            Figure("served p99", "ms"),
            Figure("scheduler at rest", "% of a core", most=2),
            Figure("memory", "MB", most=300),
            Figure("start", "s"),
            Figure("bare: two requests to a gunicorn hello", "ms"),
            Figure("bare: two durable writes", "ms"),
        ),
        _measure_alive,
        runs=3,
    ),
    Row(
        "9",
        "a million finished tickets and resources on disk, beside an empty folder",
        "slows all",
        (
            Figure("take → in hand p50", "× of empty", most=1.1),
            Figure("creates", "× of empty", least=0.9),
            Figure("take + close pairs", "× of empty", least=0.9),
            Figure("1,000 onto 1,000", "× of empty", most=1.1),
            Figure("start → first grant", "s", most=2),
            Figure("finished documents", "files"),
            Figure("bare: start → first grant, empty folder", "s"),
        ),
        _measure_finished,
        runs=5,
    ),
)
