"""Rows 2 and 3: durable tickets a second, created over HTTP, and taken and closed over XML-RPC and HTTP.

Trusted because each reply was received before the next request of its connection goes out, and the bare loop of
write, fsync, rename and fsync runs on the same disk before and after, with the same document.
"""

from collections.abc import Callable, Iterator

from tests.bench import limits
from tests.bench.clients import churn
from tests.bench.connections import Connections, Script, request
from tests.bench.place import Place
from tests.bench.table import Figure, Row, Values, quantile

CONNECTIONS = 16
POOLS = {"a": {"tags": ["A"], "max_prealloc": 0}}
_TAKE = request("POST", "/tickets", b"tag=NOSUCH")


def creates(took: list[float]) -> Script:
    """Take tickets without end."""
    while True:
        reply = yield _TAKE
        if reply.status != 201:
            raise AssertionError(reply)
        took.append(reply.took)


def pairs(took: list[float]) -> Script:
    """Take a ticket, close it, without end."""
    while True:
        taken = yield _TAKE
        closed = yield request("DELETE", f"/tickets/{int(taken.body)}")
        if (taken.status, closed.status) != (201, 200):
            raise AssertionError((taken, closed))
        took.append(taken.took + closed.took)


def hellos(took: list[float]) -> Script:
    """Say hello without end."""
    while True:
        reply = yield request("GET", "/")
        took.append(reply.took)


def rate(
    address: tuple[str, int], script: Callable[[list[float]], Script], seconds: float
) -> tuple[float, list[float]]:
    """Rounds a second of a script on 16 connections, and the milliseconds that each took."""
    took: list[float] = []
    connections = Connections(address)
    for _ in range(CONNECTIONS):
        connections.add(script(took))
    seconds = connections.run(seconds)
    connections.close()
    return len(took) / seconds, took


def _measure_creates(place: Place) -> Iterator[Values]:
    seconds = place.size(4000, 300) / 1000
    with place.hello() as hello:
        for _ in place.runs(5):
            bare = limits.durable_writes(place.folder(), seconds / 2)
            with place.farm(POOLS) as farm:
                per_second, took = rate(farm.address, creates, seconds)
            bare = (bare + limits.durable_writes(place.folder(), seconds / 2)) / 2
            yield {
                "share of the bare loop": per_second / bare,
                "creates": per_second,
                "one create p50": quantile(took, 0.5),
                "one create p99": quantile(took, 0.99),
                "bare: loop of durable writes": bare,
                "bare: gunicorn hello": rate(hello.address, hellos, seconds / 2)[0],
            }


def _measure_pairs(place: Place) -> Iterator[Values]:
    seconds = place.size(4000, 300) / 1000
    with place.hello() as hello:
        for _ in place.runs(5):
            bare = limits.durable_writes(place.folder(), seconds / 2)
            with place.farm(POOLS) as farm:
                over_rpc = churn(farm.address, CONNECTIONS, seconds)
            with place.farm(POOLS) as farm:
                over_http, _ = rate(farm.address, pairs, seconds)
            bare = (bare + limits.durable_writes(place.folder(), seconds / 2)) / 2
            yield {
                "XML-RPC": over_rpc,
                "HTTP": over_http,
                "HTTP, share of the bare loop": over_http / bare,
                "bare: loop of durable writes": bare,
                "bare: XML-RPC to a gunicorn hello": churn(hello.address, CONNECTIONS, seconds / 2),
            }


ROWS = (
    Row(
        "2",
        "durable creates over HTTP, 16 connections",
        "–",
        (
            Figure("share of the bare loop", "×", least=0.75),
            Figure("creates", "/s"),
            Figure("one create p50", "ms"),
            Figure("one create p99", "ms"),
            Figure("bare: loop of durable writes", "/s"),
            Figure("bare: gunicorn hello", "/s"),
        ),
        _measure_creates,
    ),
    Row(
        "3",
        "take + close pairs, 16 clients",
        "85 /s · –",
        (
            Figure("XML-RPC", "/s", least=600),
            Figure("HTTP, share of the bare loop", "×", least=0.3),
            Figure("HTTP", "/s"),
            Figure("bare: loop of durable writes", "/s"),
            Figure("bare: XML-RPC to a gunicorn hello", "/s"),
        ),
        _measure_pairs,
    ),
)
