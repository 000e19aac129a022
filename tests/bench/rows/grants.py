"""Row 1: a ticket is taken and its resource is in hand, one client, always a free resource.

Trusted because the client's clock runs from the first byte of the take to the last byte of the output, over one kept
connection, as `ticketload.py latency` does it; closing each ticket makes the pool delete and start resources all the
while. A pool of which no ticket is closed shows the same without those hooks.
"""

from collections.abc import Iterator
from pathlib import Path

from tests.bench import fill, limits
from tests.bench.clients import Http, Rpc, latency
from tests.bench.place import Place
from tests.bench.table import Figure, Row, Values, quantile

P50, P99 = 5, 30


def prepare(state: Path, count: int) -> dict[str, dict[str, object]]:
    """Pool `busy` with `count` spares that it keeps up, pool `still` with as many that it does not; the pools."""
    fill.living(state, (fill.up(number, "busy", ("busy",)) for number in range(1, count + 1)))
    fill.living(
        state,
        (fill.up(number, "still", ("still",), id_in_pool=number) for number in range(count + 1, 2 * count + 1)),
    )
    return {
        "busy": {"tags": ["busy"], "max": 2 * count, "max_starting": 20, "max_prealloc": count},
        "still": {"tags": ["still"], "max": count, "max_prealloc": count},
    }


def _measure(place: Place) -> Iterator[Values]:
    count = place.size(200, 10)
    with place.hello() as hello:
        for _ in place.runs(5):
            folder = place.folder()
            with place.farm(prepare(folder / "state", 2 * count + 50), folder) as farm:
                Http(farm.address).request("GET", "/healthz")
                took: dict[str, list[float]] = {}
                for name, client in (("XML-RPC", Rpc(farm.address)), ("HTTP", Http(farm.address))):
                    took[name] = latency(client, "busy", count, close=True)
                    took[f"{name}, no hooks"] = latency(client, "still", count, close=False)
            values = {f"{name} p50": quantile(samples, 0.5) for name, samples in took.items()}
            values |= {f"{name} p99": quantile(samples, 0.99) for name, samples in took.items()}
            values["bare: two requests to a gunicorn hello"] = 2 * limits.hello_ms(hello.address, count)
            values["bare: two durable writes"] = 2 * 1000 / limits.durable_writes(place.folder(), place.size(2, 1) / 2)
            yield values


ROWS = (
    Row(
        "1",
        "take → resource in hand, one free, 1 client",
        "p50 81 ms, p99 10 s",
        (
            Figure("XML-RPC p50", "ms", most=P50),
            Figure("XML-RPC p99", "ms", most=P99),
            Figure("HTTP p50", "ms", most=P50),
            Figure("HTTP p99", "ms", most=P99),
            Figure("XML-RPC, no hooks p50", "ms", most=P50),
            Figure("XML-RPC, no hooks p99", "ms", most=P99),
            Figure("HTTP, no hooks p50", "ms", most=P50),
            Figure("HTTP, no hooks p99", "ms", most=P99),
            Figure("bare: two requests to a gunicorn hello", "ms"),
            Figure("bare: two durable writes", "ms"),
        ),
        _measure,
    ),
)
