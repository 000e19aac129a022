"""The archive: finished documents move there, can still be read, and are thinned out."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from state.documents import Resource, Ticket, TicketState
from state.errors import NotFound
from state.files.disk import Disk
from state.files.store import FileStore
from state.store import Batch, Put
from tests.state.children import Child, Send, barrier, waits_for_a_lock
from tests.waiting import until


def closed(number: int) -> Ticket:
    return Ticket(id=number, state=TicketState.CLOSED)


def archive_all(send: Send, root: Path, count: int, together: object) -> None:
    store = FileStore(root)
    together.wait()  # type: ignore[attr-defined]
    for number in range(1, count + 1):
        store.tickets.archive(number)
    send("done")


def test_an_archived_document_leaves_its_folder_for_a_numbered_one(store: FileStore) -> None:
    store.commit(Batch([Put(closed(2042))]))
    assert store.tickets.archive(2042)
    assert not (store.root / "tickets/open/2042.json").exists()
    assert (store.root / "tickets/done/2/2042.json").exists()


def test_archiving_again_moves_nothing(store: FileStore) -> None:
    store.commit(Batch([Put(closed(1))]))
    store.tickets.archive(1)
    assert not store.tickets.archive(1)
    assert store.tickets.read(1) == closed(1)


def test_a_document_that_cannot_be_moved_does_not_stop_the_others(store: FileStore) -> None:
    """Given a file in the place of one subfolder and a folder in that of a document, when many are moved, then all
    others are, and an error is returned for it.
    """
    numbers = [1, 2, 3, 1000, 2000]
    store.commit(Batch([Put(closed(number)) for number in numbers]))
    (store.root / "tickets/done/0/2.json").mkdir(parents=True)
    (store.root / "tickets/done/1").touch()
    moved, refused = store.tickets.archive_all(numbers)
    assert moved == {1, 3, 2000}
    assert refused.keys() == {"tickets/done/0", "tickets/done/1"}
    assert sorted(store.tickets.living()) == [2, 1000]
    assert [store.tickets.read(number).id for number in numbers] == numbers


def test_a_move_that_was_made_before_is_synced_again(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a document that was moved without a sync, when it is moved again, then it is synced."""
    store.commit(Batch([Put(closed(1))]))
    store.tickets.archive(1)
    synced: list[Path] = []
    monkeypatch.setattr(Disk, "sync_folder", lambda files, path: synced.append(path))
    assert store.tickets.archive_all([1]) == ({1}, {})
    assert synced[-2:] == [store.root / "tickets/done/0", store.root / "tickets/open"]


def test_the_archive_waits_while_a_document_is_replaced(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(Batch([Put(closed(1))]))
    mover = threading.Thread(target=lambda: store.tickets.archive(1))
    publish = Disk.publish

    def publish_late(files: Disk, staged: Path, path: Path) -> None:
        mover.start()
        until(waits_for_a_lock, what="the archive at the lock")
        publish(files, staged, path)

    monkeypatch.setattr(Disk, "publish", publish_late)
    changed = store.tickets.update(1, lambda ticket: ticket.replace(reason="changed meanwhile"))
    mover.join()
    assert list(store.tickets.living()) == []
    assert store.tickets.read(1) == changed


def test_an_update_that_the_archive_overtakes_is_made_where_the_document_is_then(store: FileStore) -> None:
    store.commit(Batch([Put(closed(1))]))

    def change(ticket: Ticket) -> Ticket:
        store.tickets.archive(1)
        return ticket.replace(reason="changed meanwhile")

    changed = store.tickets.update(1, change)
    assert list(store.tickets.living()) == []
    assert store.tickets.read(1) == changed == closed(1).replace(reason="changed meanwhile")


def test_an_archive_is_durable_on_both_sides(store: FileStore, journal: list[tuple[str, str]]) -> None:
    store.commit(Batch([Put(closed(1))]))
    journal.clear()
    store.tickets.archive_all([1])
    assert journal[0] == ("fsync", "tickets/done")
    assert journal[1] == ("rename", "tickets/done/0/1.json")
    assert sorted(journal[2:]) == [("fsync", "tickets/done/0"), ("fsync", "tickets/open")]


def test_archived_documents_are_read_but_do_not_live(store: FileStore) -> None:
    store.commit(Batch([Put(closed(1)), Put(Resource(id=1, name="vm", pool="p"))]))
    store.tickets.archive_all([1])
    store.resources.archive_all([1])
    assert store.tickets.read(1) == closed(1)
    assert store.resources.read(1).name == "vm"
    assert store.tickets.get(1) is None
    assert list(store.tickets.living()) == list(store.resources.living()) == []


def test_a_reader_that_races_the_archive_always_finds_the_document(
    store: FileStore, start: Callable[..., Child]
) -> None:
    count = 400
    store.commit(Batch([Put(closed(number)) for number in range(1, count + 1)]))
    together = barrier(2)
    child = start(archive_all, store.root, count, together)
    together.wait()
    while child.is_silent():
        # Close ahead of the mover, where the race is.
        for number in sorted(store.tickets.living())[:20]:
            assert store.tickets.read(number) == closed(number)
    child.finish()
    assert list(store.tickets.living()) == []


def test_a_document_that_moves_between_two_reads_is_found(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(Batch([Put(closed(1))]))
    real_read = Disk.read

    def read_and_be_overtaken(files: Disk, path: Path) -> bytes | None:
        content = real_read(files, path)
        store.tickets.archive(1)
        return content

    monkeypatch.setattr(Disk, "read", read_and_be_overtaken)
    assert store.tickets.read(1) == closed(1)
    assert store.tickets.read(1) == closed(1)


@pytest.mark.parametrize("archived", [False, True])
def test_a_durable_read_syncs_the_folder_that_it_promises_of(
    store: FileStore, journal: list[tuple[str, str]], archived: bool
) -> None:
    store.commit(Batch([Put(closed(1))]))
    if archived:
        store.tickets.archive(1)
    journal.clear()
    assert store.tickets.read_durable(1) == closed(1)
    assert journal == [("fsync", "tickets/done/0" if archived else "tickets/open")]


def test_a_durable_read_of_nothing_raises(store: FileStore) -> None:
    with pytest.raises(NotFound):
        store.tickets.read_durable(1)


def test_thinning_out_removes_old_folders_and_keeps_the_newest(store: FileStore) -> None:
    for number in (1, 2, 1001, 10_001, 20_001):
        store.commit(Batch([Put(closed(number))]))
        store.tickets.archive_all([number])
    now = time.time()
    for folder, age in (("0", 100), ("1", 10), ("10", 100), ("20", 100)):
        os.utime(store.root / "tickets/done" / folder, (now - age, now - age))

    assert store.tickets.thin_out(before=now - 50) == 3

    # 1 was written to lately; 20 is the newest and shows the highest number in use.
    assert sorted(os.listdir(store.root / "tickets/done")) == ["1", "20"]
    assert store.tickets.read(20_001) == closed(20_001)
    with pytest.raises(NotFound):
        store.tickets.read(2)


def test_a_sweep_thins_out_tickets_and_resources_after_their_own_retention(store: FileStore) -> None:
    for number in (1, 1001):
        store.commit(Batch([Put(closed(number)), Put(Resource(id=number, name="vm", pool="p"))]))
        store.tickets.archive_all([number])
        store.resources.archive_all([number])
    now = time.time()
    for folder in ("tickets/done/0", "resources/ended/0"):
        os.utime(store.root / folder, (now - 100, now - 100))
    swept = store.sweep(now, ticket_retention=1000, resource_retention=50)
    assert (swept.tickets, swept.resources) == (0, 1)
    assert store.tickets.read(1) == closed(1)


@pytest.mark.parametrize("name", ["²", "notes", "0.bak"])
def test_odd_names_in_the_archive_are_left_alone(store: FileStore, name: str) -> None:
    odd = store.root / "tickets/done" / name
    odd.mkdir()
    store.commit(Batch([Put(closed(1))]))
    store.tickets.archive_all([1])
    assert store.tickets.thin_out(before=time.time() + 60) == 0
    assert odd.is_dir()
