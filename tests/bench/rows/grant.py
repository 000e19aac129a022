"""Where the time of a grant goes: the steps from a take to its resource in hand, in microseconds.

First the times in the ticket's own document, between two readings of the client's clock: no instrument slows
anything. Then the same calls that the processes make, one by one in this process, on the same disk. What the list
does not name is HTTP (see the hello) and changing between processes.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from config.pools import Pool
from config.settings import Settings
from functions.policy.plan.plan import plan
from functions.policy.transitions.ticket import assign_ticket
from functions.timed.leader import Leader
from state.documents import Ticket
from state.files.store import FileStore
from state.store import Batch, Put, Update
from tests.bench import fill, limits
from tests.bench.clients import Http
from tests.bench.place import Place
from tests.bench.rows.grants import prepare
from tests.bench.table import Figure, Row, Values, quantile


def _measure(place: Place) -> Iterator[Values]:
    count = place.size(200, 10)
    with place.hello() as hello:
        for _ in place.runs(3):
            yield {
                **_from_documents(place, count),
                "bare: one request to a gunicorn hello": limits.hello_ms(hello.address, count) * 1000,
                **_one_by_one(place.folder(), count),
            }


def _from_documents(place: Place, count: int) -> Values:
    folder = place.folder()
    spans: dict[str, list[float]] = {}
    with place.farm(prepare(folder / "state", count + 20), folder) as farm:
        client = Http(farm.address)
        client.request("GET", "/healthz")
        for number in range(count + 10):
            asked = time.time()
            ticket = client.take("still")
            taken = time.time()
            client.wait(ticket)
            in_hand = time.time()
            if number < 10:
                continue
            document = FileStore(farm.state).tickets.read(ticket)
            assigned = document.assigned_at or 0.0
            for name, begun, ended in (
                ("in all: asked → in hand", asked, in_hand),
                ("asked → document made", asked, document.created_at),
                ("document made → decided", document.created_at, assigned),
                ("decided → in hand", assigned, in_hand),
                ("of it: asked → id in hand", asked, taken),
            ):
                spans.setdefault(name, []).append((ended - begun) * 1e6)
    return {name: quantile(samples, 0.5) for name, samples in spans.items()}


class _NoHooks:
    """Hooks of a farm that starts none."""

    def start(self, run: Any) -> None:
        raise AssertionError(run)

    def finished(self) -> list[Any]:
        return []

    def forget(self, run: str) -> None:
        raise AssertionError(run)

    def under_way(self, kind: Any = None) -> list[str]:
        return []


def _one_by_one(folder: Path, count: int) -> Values:
    store = FileStore(folder / "state")
    settings = Settings(config_dir=folder, pools_file=folder / "pools.yaml", state_dir=store.root, log_dir=folder)
    leader = Leader(store, settings, _NoHooks(), time.time, lambda: "sandbox")
    leader.mirror.snapshot.set_pools(
        [Pool(name="a", cmd_new="new", cmd_delete="delete", max=count, max_prealloc=0, tags={"A": 0})]
    )
    for number in range(1, count + 1):
        resource = fill.up(number, "a", ("A",))
        store.commit(Batch([Put(resource)]))
        leader.keep(resource)
    clock = _Clock()
    with_watch = store.changes("tickets")
    for number in range(1, count + 1):
        staged = clock.of("create: write and fsync", store._disk.stage, limits.DOCUMENT)
        clock.of("create: link, unlink", store._disk.publish_new, staged, store.tickets.folder / f"step-{number}")
        clock.of("create: fsync of the folder", store._disk.sync_folder, store.tickets.folder)
        with_watch.wait(0)
        ticket = clock.of("create, whole", store.tickets.create, lambda id: Ticket(id=id, tags=("A",)))
        changes = clock.of("scheduler: read the watch", with_watch.wait, 0)
        clock.of("scheduler: read the ticket", leader.refresh, {"tickets": {ticket.id}})
        decided = clock.of("scheduler: plan", plan, leader.mirror.snapshot, time.time())
        (step,) = decided.steps
        resource = leader.mirror.snapshot.resources[step.resource]
        assigned = assign_ticket(ticket, resource, "sandbox", time.time())
        clock.of("scheduler: commit of the grant, whole", store.commit, Batch([Update(ticket, assigned)]))
        clock.of("scheduler: keep", leader.keep, assigned)
        assert changes.get("tickets"), "the watch reported nothing"
        with_watch.wait(0)
        clock.of("wait: read the ticket", store.tickets.read, ticket.id)
        clock.of("wait: read and sync the folder", store.tickets.read_durable, ticket.id)
    with_watch.close()
    clock.samples["wake of another process through the watch"] = _wakes(store, count)
    return {name: quantile(samples, 0.5) for name, samples in clock.samples.items()}


class _Clock:
    """Calls, and notes how many microseconds each took."""

    def __init__(self) -> None:
        self.samples: dict[str, list[float]] = {}

    def of(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.perf_counter()
        result = function(*arguments)
        self.samples.setdefault(name, []).append((time.perf_counter() - begun) * 1e6)
        return result


def _wakes(store: FileStore, count: int) -> list[float]:
    """Microseconds from a rename to another process that knows of it."""
    heard, reports = os.pipe()
    child = os.fork()
    if child == 0:
        watch = store.changes("tickets")
        os.write(reports, b"ready".ljust(32))
        while True:
            if watch.wait():
                os.write(reports, str(time.perf_counter_ns()).encode().ljust(32))
    os.read(heard, 32)
    took = []
    try:
        for number in range(count):
            staged = store.root / "tmp" / "staged"
            staged.write_bytes(b"")
            time.sleep(0.002)
            begun = time.perf_counter_ns()
            os.rename(staged, store.tickets.folder / f"{1_000_000 + number}.json")
            took.append((int(os.read(heard, 32)) - begun) / 1000)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(heard)
        os.close(reports)
    return took


_STEPS = (
    "in all: asked → in hand",
    "asked → document made",
    "document made → decided",
    "decided → in hand",
    "of it: asked → id in hand",
    "bare: one request to a gunicorn hello",
    "create, whole",
    "create: write and fsync",
    "create: link, unlink",
    "create: fsync of the folder",
    "wake of another process through the watch",
    "scheduler: read the watch",
    "scheduler: read the ticket",
    "scheduler: plan",
    "scheduler: commit of the grant, whole",
    "scheduler: keep",
    "wait: read the ticket",
    "wait: read and sync the folder",
)

ROWS = (
    Row("grant", "where the time of a grant goes", "", tuple(Figure(step, "µs") for step in _STEPS), _measure, runs=3),
)
