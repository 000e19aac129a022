"""Web functions and timed functions on a store whose places are no paths: they ask a store for nothing else."""

import os
import time
from pathlib import Path
from typing import Any

from config.settings import load_settings
from functions.app import create_app
from functions.timed.archive import archive
from functions.timed.cleanup import CleanupMemory, cleanup
from functions.timed.events import WrittenEvents, write_events
from functions.timed.leader import Leader
from functions.timed.measures import Measures
from functions.timed.metrics_view import show_metrics
from functions.timed.reconcile import reconcile
from functions.timed.samples import take_samples
from scheduler.hooks import Hooks
from scheduler.watch import Watch
from state.documents import ResourceState
from state.store import Store
from tests.memory_store import MemoryStore
from tests.waiting import until

POOLS = "vm: {cmd_new: 'echo 192.0.2.1', cmd_delete: 'true', max: 1, tags: [a]}\n"


def test_a_ticket_is_served_released_and_archived(tmp_path: Path) -> None:
    """Given a store in memory, when a client asks for a resource, then web and leader serve it and show it."""
    store: Store = MemoryStore()
    (tmp_path / "pools.yaml").write_text(POOLS)
    (tmp_path / "runs").mkdir()
    places = {"CONFIG_DIR": tmp_path, "RESALLOC_STATE_DIR": tmp_path / "no-such-folder", "RESALLOC_LOG_DIR": tmp_path}
    settings = load_settings({name: str(place) for name, place in places.items()})
    client = create_app(settings, store).test_client()
    lease = store.lead()
    lease.acquire()
    watch = Watch(store, tmp_path / "runs")
    hooks = Hooks(tmp_path / "runs", tmp_path, tmp_path, {"PATH": os.environ["PATH"]}, time.time, 10)
    leader = Leader(store, settings, hooks, time.time, lambda: "box", Measures())
    leader.load()
    leader.reload_pools()
    written_events = WrittenEvents()

    def turn() -> None:
        leader.refresh({kind: keys for kind, keys in watch.wait().items() if kind != "runs"})
        hooks.probe()
        reconcile(leader)
        hooks.launch()
        write_events(leader, written_events, sync=True)

    def as_json(path: str) -> Any:
        return client.get(path, headers={"Accept": "application/json"}).json

    def served() -> bool:
        turn()
        return store.tickets.read(1).output is not None

    assert client.post("/tickets", data={"tag": "a"}, headers={"Idempotency-Key": "k"}).text == "1\n"
    assert client.post("/tickets", data={"tag": "a"}, headers={"Idempotency-Key": "k"}).text == "1\n"
    until(served, what="the output of the ticket")
    assert client.get("/tickets/1/output").text == "192.0.2.1\n"
    assert client.get("/tickets/1/wait").text == "192.0.2.1\n"
    assert [
        found["state"] for found in client.get("/resources", headers={"Accept": "application/json"}).json["resources"]
    ] == ["UP"]
    assert client.post("/resources/1/delete").status_code in (200, 202)
    assert client.delete("/tickets/1").status_code == 200

    def ended() -> bool:
        turn()
        archive(leader)
        return 1 in store.resources.archived() and 1 in store.tickets.archived()

    until(ended, what="the end of the resource")
    assert store.resources.read(1).state is ResourceState.ENDED
    cleanup(leader, CleanupMemory())
    take_samples(leader)
    show_metrics(leader, time.time())
    assert {"taken", "assigned", "closed"} <= {event["event"] for event in as_json("/events")["events"]}
    assert client.get("/tickets/1").status_code == client.get("/metrics").status_code == 200
    assert client.get("/healthz").text.startswith("web: ok\nstore: ok\nscheduler: ok\n")
    assert client.get("/fsck").status_code == 200
    assert not (tmp_path / "no-such-folder").exists()
    watch.close()
    lease.release()
