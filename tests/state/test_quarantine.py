"""A document that does not parse is quarantined and reported; everything else works on."""

import errno
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from state.documents import Intent, IntentKind, PoolRecord, Resource, Ticket
from state.errors import CorruptDocument, NotFound, StoreUnavailable
from state.files.disk import Disk
from state.files.quarantine import KEPT_FOR
from state.files.store import FileStore
from state.store import Batch, Put
from tests.state.children import waits_for_a_lock
from tests.waiting import until

WHOLE = Ticket(id=7, tags=("A",), output=b"\xff").to_json()
BROKEN = {
    "truncated": WHOLE[: len(WHOLE) // 2],
    "empty": b"",
    "only spaces": b" \n",
    "no JSON": b"id: 7\n",
    "zero bytes": b"\x00" * 512,
    "not UTF-8": b'{"id": 7, "reason": "\xff"}',
    "wrong type": b'{"id": "seven"}',
    "unknown state": b'{"id": 7, "state": "LOST"}',
    "no object": b"[7]",
    "two documents": WHOLE + WHOLE,
    "nested without end": b'{"id": 7, "x": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_corrupt_document_is_quarantined_and_reported_and_the_others_are_read(
    store: FileStore, content: bytes
) -> None:
    others = [Ticket(id=6), Ticket(id=8)]
    store.commit(Batch(list(map(Put, others))))
    path = store.tickets.path(7)
    path.write_bytes(content)

    contents = store.read_all()

    assert sorted(contents.tickets, key=lambda ticket: ticket.id) == others
    (fault,) = contents.corrupt
    assert fault.place == "tickets/open/7"
    assert fault.reason
    assert not path.exists()
    assert fault.quarantined is not None
    assert fault.quarantined.startswith("quarantine/tickets-open-7.")
    assert (store.root / fault.quarantined).read_bytes() == content
    assert store.read_all().corrupt == []


def test_every_kind_of_document_has_its_quarantine(store: FileStore) -> None:
    good = (
        Resource(id=1, name="vm", pool="p"),
        PoolRecord(name="p"),
        Intent(id=1, kind=IntentKind.DELETE_RESOURCE, resource=1),
    )
    store.commit(Batch([Put(good[0]), Put(good[1])]))
    store.intents.create(lambda _: good[2])
    broken = [store.resources.path(2), store.pools.path("a pool"), store.intents.path(2)]
    for path in broken:
        path.write_text("garbage")

    contents = store.read_all()

    assert [store.root / f"{fault.place}.json" for fault in contents.corrupt] == broken
    assert (contents.resources, contents.records, contents.intents) == ([good[0]], [good[1]], [good[2]])
    assert sorted(name.rpartition(".")[0] for name in os.listdir(store.root / "quarantine")) == [
        "intents-2",
        "pools-a pool",
        "resources-live-2",
    ]


def test_quarantining_is_durable(store: FileStore, journal: list[tuple[str, str]]) -> None:
    store.tickets.path(7).write_text("garbage")
    journal.clear()
    fault = store.tickets.quarantine(7)
    assert fault is not None
    assert fault.quarantined is not None
    assert journal == [
        ("rename", fault.quarantined),
        ("fsync", "tickets/open"),
        ("fsync", "quarantine"),
    ]


def test_a_reader_moves_nothing(store: FileStore) -> None:
    path = store.tickets.path(7)
    path.write_text("garbage")
    with pytest.raises(CorruptDocument) as caught:
        store.tickets.read(7)
    assert (caught.value.place, caught.value.quarantined) == ("tickets/open/7", None)
    assert path.read_text() == "garbage"


def test_a_document_that_parses_is_never_moved(store: FileStore) -> None:
    store.commit(Batch([Put(Ticket(id=7))]))
    assert store.tickets.quarantine(7) is None
    assert store.tickets.quarantine(8) is None
    assert store.tickets.read(7) == Ticket(id=7)


def test_a_document_mended_before_it_could_be_moved_counts_as_read(store: FileStore) -> None:
    path = store.tickets.path(7)
    path.write_text("garbage")
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.append(store.tickets.get_or_quarantine(7)))
    with store.tickets.lock(7):
        reader.start()
        # It has read the garbage and waits for the lock, to read again under it.
        until(waits_for_a_lock, what="a reader at the lock")
        path.write_bytes(Ticket(id=7).to_json())
    reader.join()
    assert got == [(Ticket(id=7), None)]


def test_without_a_quarantine_the_document_stays(store: FileStore) -> None:
    store.tickets.path(7).write_text("garbage")
    (store.root / "quarantine").rmdir()
    with pytest.raises(StoreUnavailable):
        store.tickets.get_or_quarantine(7)
    assert store.tickets.path(7).read_text() == "garbage"


def refuse_to_open(monkeypatch: pytest.MonkeyPatch, refused: Path, number: int) -> None:
    """Let the system refuse this file, as it does for root only when the disk is broken."""
    open_file = os.open

    def refuse(path: str | Path, *arguments: int, **options: int) -> int:
        if Path(path) == refused:
            raise OSError(number, os.strerror(number), str(path))
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_an_unreadable_document_stays_where_it_is_and_the_others_are_read(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = store.tickets.path(7)
    store.commit(Batch([Put(Ticket(id=7)), Put(Ticket(id=8))]))
    refuse_to_open(monkeypatch, path, number)
    for read in (store.tickets.read, store.tickets.get_or_quarantine, store.tickets.quarantine):
        with pytest.raises(StoreUnavailable) as caught:
            read(7)
        assert caught.value.place == "tickets/open/7"
    contents = store.read_all()
    assert contents.tickets == [Ticket(id=8)]
    assert [(fault.place, fault.reason) for fault in contents.unreadable] == [("tickets/open/7", os.strerror(number))]
    monkeypatch.undo()
    assert store.tickets.read(7) == Ticket(id=7)
    assert os.listdir(store.root / "quarantine") == []


def test_a_process_without_descriptors_says_nothing_about_the_files(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit(Batch([Put(Ticket(id=7))]))
    refuse_to_open(monkeypatch, store.tickets.path(7), errno.EMFILE)
    with pytest.raises(StoreUnavailable):
        store.read_all()


def test_a_folder_in_the_place_of_a_document_is_broken(store: FileStore) -> None:
    store.tickets.path(7).mkdir()
    (fault,) = store.read_all().corrupt
    assert fault.place == "tickets/open/7"
    assert fault.quarantined is not None
    assert (store.root / fault.quarantined).is_dir()


def test_a_document_under_another_ones_name_is_broken(store: FileStore) -> None:
    store.commit(Batch([Put(Ticket(id=7)), Put(PoolRecord(name="p"))]))
    shutil.copy(store.tickets.path(7), store.tickets.path(8))
    shutil.copy(store.pools.path("p"), store.pools.path("q"))
    contents = store.read_all()
    assert [fault.place for fault in contents.corrupt] == ["tickets/open/8", "pools/q"]
    assert contents.corrupt[0].reason == "it says that it is ticket 7"
    assert contents.tickets == [Ticket(id=7)]


def test_a_quarantined_document_is_corrupt_not_missing(store: FileStore) -> None:
    store.tickets.path(7).write_text("garbage")
    store.read_all()
    for read in (store.tickets.read, store.tickets.read_durable):
        with pytest.raises(CorruptDocument):
            read(7)
    with pytest.raises(CorruptDocument):
        store.tickets.update(7, lambda ticket: ticket)
    with pytest.raises(NotFound):
        store.tickets.read(77)
    # Its number is not assigned again even when all counters are lost.
    for name in ("tickets.next", "tickets.ceiling"):
        (store.root / "ids" / name).unlink(missing_ok=True)
    assert store.tickets.create(lambda number: Ticket(id=number)).id == 8


def test_a_document_is_put_back_only_where_nothing_is(store: FileStore) -> None:
    lost, other = Ticket(id=7, tags=("A",)), Ticket(id=7)
    assert store.tickets.put_back(lost)
    assert store.tickets.read(7) == lost
    assert not store.tickets.put_back(other)
    store.tickets.archive_all([7])
    assert not store.tickets.put_back(other)
    assert store.tickets.read(7) == lost
    assert os.listdir(store.root / "tmp") == []


def test_a_file_that_is_too_large_for_a_document_is_quarantined_unread(store: FileStore) -> None:
    """Given files of a terabyte in the places of a ticket and a key, when read, then they are corrupt."""
    ticket = store.tickets.create(lambda number: Ticket(id=number))
    store.keys.create_once("k", "body", lambda number: Ticket(id=number))
    (key,) = store.keys.folder.iterdir()
    for path in (store.tickets.path(ticket.id), key):
        os.truncate(path, 2**40)
    (fault,) = store.read_all().corrupt
    assert fault.reason == "it is larger than 64 MiB"
    with pytest.raises(CorruptDocument, match="it is larger than 64 MiB"):
        store.keys.create_once("k", "body", lambda number: Ticket(id=number))
    assert len(store.quarantine.list()) == 2


def test_a_document_that_an_operator_puts_there_in_that_moment_stays(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a lost document, when a mended one is moved there just before it is put back, then that stays."""
    mended = Ticket(id=7, tags=("mended",))
    stage = Disk.stage

    def stage_late(files: Disk, content: bytes) -> Path:
        staged = stage(files, content)
        store.tickets.path(7).write_bytes(mended.to_json())
        return staged

    monkeypatch.setattr(Disk, "stage", stage_late)
    assert not store.tickets.put_back(Ticket(id=7))
    assert store.tickets.read(7) == mended
    assert os.listdir(store.root / "tmp") == []


def test_the_quarantine_lists_the_origin_of_everything(store: FileStore) -> None:
    store.commit(Batch([Put(Ticket(id=1)), Put(Resource(id=2, name="vm", pool="p"))]))
    store.tickets.archive_all([1])
    store.resources.archive_all([2])
    (store.root / "tickets/keys/abc.json").write_text("{")
    (store.root / "view/pools.json").mkdir()
    moved = [
        store.tickets.archive_path(1),
        store.resources.archive_path(2),
        store.root / "tickets/keys/abc.json",
        store.root / "view/pools.json",
        store.root / "FORMAT",
    ]
    for path in moved:
        store.quarantine.take(path)
    store.pools.path("a.b-c").write_text("garbage")
    store.read_all()
    (store.quarantine.folder / "notes of an operator").touch()
    assert [(document.folder, document.key) for document in store.quarantine.list()] == [
        ("tickets/done", "1"),
        ("resources/ended", "2"),
        ("tickets/keys", "abc"),
        ("view", "pools"),
        ("", "FORMAT"),
        ("pools", "a.b-c"),
    ]
    assert store.quarantine.holds("pools", "a.b-c")
    assert not store.quarantine.holds("pools", "a")


def test_quarantined_documents_are_kept_as_long_as_the_document_but_at_least_a_day(store: FileStore) -> None:
    store.tickets.path(7).write_text("garbage")
    store.resources.path(7).mkdir()
    store.read_all()
    now, day = time.time(), KEPT_FOR
    swept = [
        store.sweep(now + later * day, ticket_retention=3 * day, resource_retention=0).quarantined
        for later in (0.9, 1.1, 2.9, 3.1)
    ]
    assert swept == [0, 1, 0, 1]
    assert os.listdir(store.root / "quarantine") == []


def test_the_quarantined_document_can_be_mended_and_put_back(store: FileStore) -> None:
    store.tickets.path(7).write_bytes(WHOLE[:-2])
    _, fault = store.tickets.get_or_quarantine(7)
    assert fault is not None
    assert fault.quarantined is not None
    quarantined = store.root / fault.quarantined
    mended = quarantined.read_bytes() + b"}\n"
    assert json.loads(mended)
    quarantined.write_bytes(mended)
    quarantined.rename(store.tickets.path(7))
    assert store.tickets.read(7) == Ticket.from_json(WHOLE)
