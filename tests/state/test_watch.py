"""Watches of folders: which names, and which documents, changed, reported without a loss."""

import os
import select
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from state.documents import Intent, IntentKind, PoolRecord, Resource, Ticket
from state.files.store import FileStore
from state.host.watch import FolderWatch
from state.store import Batch, Put
from tests.state.children import Child, Send

LABELS = ("tickets", "resources", "pools", "intents", "runs", "view")


def folder_of(store: FileStore, label: str) -> Path:
    return store.root / {"tickets": "tickets/open", "resources": "resources/live"}.get(label, label)


@pytest.fixture
def watch(store: FileStore) -> Iterator[FolderWatch]:
    watch = FolderWatch({label: folder_of(store, label) for label in LABELS})
    yield watch
    watch.close()


def create_many(send: Send, root: Path, count: int) -> None:
    store = FileStore(root)
    for _ in range(count):
        send(store.tickets.create(lambda number: Ticket(id=number)).id)


def test_nothing_changed(watch: FolderWatch) -> None:
    assert watch.wait(0) == {}
    assert watch.wait(0.01) == {}


def test_creates_are_reported_by_label(store: FileStore, watch: FolderWatch) -> None:
    store.tickets.create(lambda number: Ticket(id=number))
    store.intents.create(lambda number: Intent(id=number, kind=IntentKind.DELETE_RESOURCE, resource=1))
    store.commit(Batch([Put(Resource(id=1, name="vm", pool="p")), Put(PoolRecord(name="p"))]))
    store.show("pools.json", b"{}")
    (store.root / "runs" / "000001_alloc_1.result").write_text("0\n")
    assert watch.wait(0) == {
        "tickets": {"1.json"},
        "intents": {"1.json"},
        "resources": {"1.json"},
        "pools": {"p.json"},
        "view": {"pools.json"},
        "runs": {"000001_alloc_1.result"},
    }
    assert watch.wait(0) == {}


def test_replaces_moves_and_deletes_are_reported(store: FileStore, watch: FolderWatch) -> None:
    ticket = store.tickets.create(lambda number: Ticket(id=number))
    intent = store.intents.create(lambda number: Intent(id=number, kind=IntentKind.DELETE_RESOURCE, resource=1))
    watch.wait(0)

    store.tickets.update(ticket.id, lambda found: found.replace(sandbox="s"))
    assert watch.wait(0) == {"tickets": {"1.json"}}
    store.tickets.archive_all([ticket.id])
    assert watch.wait(0) == {"tickets": {"1.json"}}
    store.commit(Batch(removed_intents=[intent.id]))
    assert watch.wait(0) == {"intents": {"1.json"}}


def test_a_file_written_in_place_is_reported_again_when_it_is_closed(store: FileStore, watch: FolderWatch) -> None:
    # As the supervisor of a hook run writes its result: created, then written, then closed.
    with (store.root / "runs" / "000001_alloc_1.result").open("w") as result:
        assert watch.wait(0) == {"runs": {"000001_alloc_1.result"}}
        result.write("0\n")
    assert watch.wait(0) == {"runs": {"000001_alloc_1.result"}}


def test_reads_and_updates_of_nothing_are_no_changes(store: FileStore, watch: FolderWatch) -> None:
    ticket = store.tickets.create(lambda number: Ticket(id=number))
    watch.wait(0)
    store.tickets.update(ticket.id, lambda same: same)
    store.tickets.read_durable(ticket.id)
    store.read_all()
    store.check_writable()
    assert watch.wait(0) == {}


def test_one_change_is_one_event(store: FileStore, watch: FolderWatch) -> None:
    ticket = store.tickets.create(lambda number: Ticket(id=number))
    watch.wait(0)
    store.tickets.update(ticket.id, lambda found: found.replace(sandbox="s"))
    # Staging happens elsewhere, so a replace is the rename alone: one wake-up, not four.
    assert len(os.read(watch.fileno(), 4096)) == 16 + 16


def test_other_folders_can_be_watched_beside(store: FileStore, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    watch = FolderWatch({"tickets": store.tickets.folder, "config": config})
    (config / "pools.yaml").write_text("")
    store.show("pools.json", b"{}")
    assert watch.wait(0) == {"config": {"pools.yaml"}}
    watch.close()


def test_a_change_makes_the_descriptor_readable(store: FileStore, watch: FolderWatch) -> None:
    assert select.select([watch.fileno()], [], [], 0)[0] == []
    store.tickets.create(lambda number: Ticket(id=number))
    assert select.select([watch.fileno()], [], [], 0)[0] == [watch.fileno()]


def test_a_reader_that_subscribes_first_misses_nothing(store: FileStore, start: Callable[..., Child]) -> None:
    child = start(create_many, store.root, 100)
    child.next()
    watch = store.changes("tickets")
    seen = set(store.tickets.living())
    while len(seen) < 100:
        changes = watch.wait(20)
        assert changes, f"only {len(seen)} of 100 were reported"
        keys = changes["tickets"]
        assert keys is not None
        seen |= {int(key) for key in keys}
    child.finish()
    assert seen == set(range(1, 101))
    watch.close()


def test_after_an_overflow_everything_is_to_be_read_again(store: FileStore, watch: FolderWatch) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    names = [store.root / "runs" / "one", store.root / "runs" / "other"]
    names[0].touch()
    for turn in range(most // 2 + 1):
        os.rename(names[turn % 2], names[(turn + 1) % 2])
    assert watch.wait(0) == dict.fromkeys(LABELS)
    # The rest of the queue is gone with it, and the watch goes on.
    store.tickets.create(lambda number: Ticket(id=number))
    assert watch.wait(0) == {"tickets": {"1.json"}}


def test_a_folder_that_comes_back_is_watched_again(store: FileStore, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    watch = FolderWatch({"tickets": store.tickets.folder, "config": config})
    for take_away in (config.rmdir, lambda: config.rename(tmp_path / "old")):
        take_away()
        assert watch.wait(0) == {"tickets": None, "config": None}
        assert watch.wait(0) == {}
        config.mkdir()
        assert watch.wait(5) == {"config": None}
        (config / "pools.yaml").write_text("")
        assert watch.wait(0) == {"config": {"pools.yaml"}}
        (config / "pools.yaml").unlink()
        assert watch.wait(0) == {"config": {"pools.yaml"}}
    watch.close()


def test_a_wait_without_end_reports_a_folder_that_comes_back(store: FileStore, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    watch = FolderWatch({"config": config})
    config.rmdir()
    watch.wait(0)
    threading.Timer(0.2, config.mkdir).start()
    assert watch.wait() == {"config": None}
    watch.close()


def test_only_changes_of_others_are_reported_in_own_folders(store: FileStore) -> None:
    watch = store.changes("tickets", own=("resources", "corruption"))
    path = store.resources.path(1)
    for _ in range(2):
        store.commit(Batch([Put(Resource(id=1, name="vm", pool="p"))]))
    store.quarantine.keep(path)
    assert watch.wait(0) == {}
    path.write_text("by hand")
    assert watch.wait(0) == {"resources": {1}}
    path.unlink()
    (thing,) = store.quarantine.list()
    kept = store.quarantine.path(thing)
    kept.unlink()
    assert watch.wait(0) == {"resources": {1}, "corruption": {kept.name}}
    watch.close()


def test_a_folder_that_is_removed_means_read_all(store: FileStore, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    watch = FolderWatch({"tickets": store.tickets.folder, "config": config})
    config.rmdir()
    assert watch.wait(0) == {"tickets": None, "config": None}
    watch.close()


def test_changes_are_keys_and_other_files_are_none(store: FileStore) -> None:
    changes = store.changes("tickets", "pools")
    store.tickets.create(lambda number: Ticket(id=number))
    store.commit(Batch([Put(PoolRecord(name="p"))]))
    (store.tickets.folder / "note.txt").write_text("by hand")
    assert changes.wait(0) == {"tickets": {1}, "pools": {"p"}}
    (store.tickets.folder / "note.txt").unlink()
    assert changes.wait(0) == {}
    changes.close()
