"""Row 7: 10,000 clients parked in a wait on one port.

Trusted because each client is a connection and a ticket of its own, all in one thread of the load generator. All
tickets are of one sandbox, whose resources are taken at first: closing one gives its resource to the next ticket in
line, whose client is answered, closes it, and so on until all were served. Waking counts from the time that the
grant is in the ticket's document (decided, not yet on disk) to the reply's last byte.
"""

import json
import time
from collections.abc import Iterator

from state.documents import Resource, Ticket
from tests.bench import fill, limits
from tests.bench.clients import Http
from tests.bench.connections import Connections, Script, request
from tests.bench.farm import Farm
from tests.bench.place import Place
from tests.bench.table import Figure, Row, Values, quantile

TAKEN = 64
"""Resources that serve the crowd."""
POOL = {
    "tags": ["A"],
    "max": TAKEN,
    "max_prealloc": 0,
    "reuse_opportunity_time": 36000,
    "reuse_max_time": 0,
}


def _documents(clients: int) -> Iterator[Ticket | Resource]:
    bound = {"sandbox": "s", "sandboxed_since": fill.NOW, "releases_counter": 1, "released_at": fill.NOW}
    for number in range(1, TAKEN + 1):
        resource = fill.up(number, "a", ("A",), **bound)
        yield resource
        yield Ticket(
            id=number,
            tags=("A",),
            sandbox="s",
            created_at=fill.NOW,
            resource=number,
            resource_name=resource.name,
            pool="a",
            assigned_at=fill.NOW,
            output=b"\n",
        )
    for number in range(TAKEN + 1, TAKEN + clients + 1):
        yield Ticket(id=number, tags=("A",), sandbox="s", created_at=fill.NOW)


class Crowd:
    """The parked clients: `wakes` are milliseconds, `served` tickets in the order of their grants."""

    def __init__(self, farm: Farm, clients: int) -> None:
        self._farm = farm
        self.connections = Connections(farm.address)
        self.wakes: list[float] = []
        self.served: list[int] = []
        for number in range(TAKEN + 1, TAKEN + clients + 1):
            self.connections.add(self._script(number))

    def _script(self, ticket: int) -> Script:
        reply = yield request("GET", f"/tickets/{ticket}/wait?timeout=3600")
        now = time.time()
        if reply.status != 200:
            raise AssertionError(f"ticket {ticket}: {reply}")
        path = self._farm.state / "tickets" / "open" / f"{ticket}.json"
        self.wakes.append((now - json.loads(path.read_bytes())["assigned_at"]) * 1000)
        self.served.append(ticket)
        yield request("DELETE", f"/tickets/{ticket}")


def _measure(place: Place) -> Iterator[Values]:
    clients = place.size(10_000, 100)
    requests = place.size(500, 20)
    with place.hello() as hello:
        for _ in place.runs(3):
            folder = place.folder()
            fill.living(folder / "state", _documents(clients))
            with place.farm({"a": POOL}, folder) as farm:
                begun = time.perf_counter()
                crowd = Crowd(farm, clients)
                farm.rest()
                connected = time.perf_counter() - begun
                memory = farm.memory()
                others = _other_requests(farm, requests)
                single = _serve_some(farm, crowd, place.size(200, 10))
                served = _serve_all(farm, crowd)
                crowd.connections.close()
            yield {
                "memory": memory,
                "other requests p50": quantile(others, 0.5),
                "other requests p99": quantile(others, 0.99),
                "wake p50": quantile(single, 0.5),
                "wake p99": quantile(single, 0.99),
                "served": len(crowd.served) / clients * 100,
                "until all were served": served,
                "until all were parked": connected,
                "bare: a request to a gunicorn hello": limits.hello_ms(hello.address, requests),
            }


def _other_requests(farm: Farm, count: int) -> list[float]:
    """Milliseconds of single requests of another client: take, read, close."""
    client = Http(farm.address)
    took = []
    for _ in range(count // 3):
        begun = time.perf_counter()
        ticket = client.take("OTHER")
        taken = time.perf_counter()
        client.is_ready(ticket)
        looked = time.perf_counter()
        client.close(ticket)
        closed = time.perf_counter()
        took += [(taken - begun) * 1000, (looked - taken) * 1000, (closed - looked) * 1000]
    return took


def _serve_some(farm: Farm, crowd: Crowd, count: int) -> list[float]:
    """Let one resource go round until so many were served; how long waking took."""
    Http(farm.address).close(1)
    _run(crowd, until_replies=2 * count)
    return list(crowd.wakes)


def _serve_all(farm: Farm, crowd: Crowd) -> float:
    """Let all resources go round; the seconds until everyone was served."""
    begun = time.perf_counter()
    client = Http(farm.address)
    for number in range(2, TAKEN + 1):
        client.close(number)
    _run(crowd)
    return time.perf_counter() - begun


def _run(crowd: Crowd, until_replies: int | None = None) -> None:
    crowd.connections.run(600, until_replies)


ROWS = (
    Row(
        "7",
        "10,000 clients parked in a wait on one port",
        "a thread each, ~200 KB",
        (
            Figure("memory", "MB", most=400),
            Figure("other requests p99", "ms", most=30),
            Figure("other requests p50", "ms"),
            Figure("wake p50", "ms", most=20),
            Figure("wake p99", "ms"),
            Figure("served", "%", least=100),
            Figure("until all were served", "s"),
            Figure("until all were parked", "s"),
            Figure("bare: a request to a gunicorn hello", "ms"),
        ),
        _measure,
        runs=3,
    ),
)
