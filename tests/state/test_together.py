"""Several creates, updates or reads in one call: each has its own result, and what they share is synced once."""

import errno
import os
import resource
import shutil
from pathlib import Path

import pytest

from state.documents import Ticket, TicketState
from state.errors import NotFound, StateError, StoreUnavailable
from state.files.disk import Disk, DiskError
from state.files.store import FileStore
from state.store import Change, Create, Read


def make(number: int) -> Ticket:
    return Ticket(id=number)


def close(ticket: Ticket) -> Ticket:
    return ticket.replace(state=TicketState.CLOSED)


def make_too_much(number: int) -> Ticket:
    return Ticket(id=number, reason="too much")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that has no room for "too much"."""
    write = os.write

    def refuse(descriptor: int, content: bytes) -> int:
        if b"too much" in content:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", refuse)


def test_creates_are_each_synced_and_their_folder_once(store: FileStore, journal: list[tuple[str, str]]) -> None:
    store.tickets.create(make)
    journal.clear()
    assert store.tickets.do_all([Create(make), Create(make)]) == [Ticket(id=2), Ticket(id=3)]
    assert journal == [
        *[("write", "tmp/*")] * 2,
        *[("fsync", "tmp/*")] * 2,
        ("link", "tickets/open/2.json"),
        ("link", "tickets/open/3.json"),
        ("fsync", "tickets/open"),
    ]


@pytest.mark.usefixtures("full")
def test_a_create_that_is_refused_harms_none_of_the_others(store: FileStore) -> None:
    """Given creates of which some are refused, when they are made together, then the others are made, and the last
    number is given again.
    """
    made = store.tickets.do_all([Create(each) for each in (make, make_too_much, make, make_too_much)])
    assert [made[0], made[2]] == [Ticket(id=1), Ticket(id=3)]
    assert [type(made[1]), type(made[3])] == [DiskError, DiskError]
    assert list(store.root.joinpath("tmp").iterdir()) == []
    assert store.tickets.create(make).id == 4


def test_a_number_that_is_in_use_is_passed_over(store: FileStore) -> None:
    store.tickets.create(make)
    store.tickets.path(3).write_bytes(Ticket(id=3, reason="put back").to_json())
    made = store.tickets.do_all([Create(make)] * 3)
    assert made == [Ticket(id=2), Ticket(id=5), Ticket(id=4)]
    assert store.tickets.read(3).reason == "put back"


def test_updates_and_reads_have_each_their_own_end(store: FileStore, journal: list[tuple[str, str]]) -> None:
    for _ in range(2):
        store.tickets.create(make)
    store.tickets.update(2, close)
    store.tickets.archive_all([2])
    store.tickets.create(make)
    journal.clear()
    ended = store.tickets.do_all([Change(key, close) for key in (1, 9, 2, 3)])
    assert [getattr(end, "id", type(end)) for end in ended] == [1, NotFound, 2, 3]
    assert sorted(place for name, place in journal if name == "fsync" and place != "tmp/*") == [
        "tickets/done/0",
        "tickets/open",
    ]
    journal.clear()
    read = store.tickets.do_all([Read(1), Read(9), Read(3)])
    assert [getattr(end, "state", type(end)) for end in read] == [TicketState.CLOSED, NotFound, TicketState.CLOSED]
    assert journal == [("fsync", "tickets/open")]


def test_when_the_folder_cannot_be_synced_nothing_in_it_is_promised(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.tickets.create(make)

    def fail(*_: object) -> None:
        raise DiskError(str(store.tickets.folder), OSError(errno.EIO, "Input/output error"))

    monkeypatch.setattr(Disk, "sync_folder", fail)
    ends = store.tickets.do_all([Create(make), Create(make), Change(1, close), Read(1)])
    assert all(isinstance(end, StateError) for end in ends)


def test_a_document_that_changed_meanwhile_is_changed_as_it_is_then(store: FileStore) -> None:
    """Given a change that was made of an older version, when another writer was faster, then both changes are there."""
    store.tickets.create(make)
    calls = []

    def name(ticket: Ticket) -> Ticket:
        calls.append(ticket)
        if len(calls) == 1:
            store.tickets.update(1, close)
        return ticket.replace(reason="mine")

    (ended,) = store.tickets.do_all([Change(1, name)])
    assert ended == store.tickets.read(1) == Ticket(id=1, state=TicketState.CLOSED, reason="mine")
    assert [ticket.state for ticket in calls] == [TicketState.OPEN, TicketState.CLOSED]
    assert list(store.root.joinpath("tmp").iterdir()) == []


def test_two_changes_of_one_document_are_both_made(store: FileStore) -> None:
    store.tickets.create(make)
    changes = [Change(1, close), Change(1, lambda ticket: ticket.replace(reason="mine"))]
    assert store.tickets.do_all(changes)[1] == store.tickets.read(1)
    assert store.tickets.read(1) == Ticket(id=1, state=TicketState.CLOSED, reason="mine")


def test_without_numbers_only_the_creates_fail(store: FileStore) -> None:
    """Given counters that cannot be written, when a create, a close and a read come together, then only the create is
    refused.
    """
    store.tickets.create(make)
    shutil.rmtree(store.root / "ids")
    refused, closed, read = store.tickets.do_all([Create(make), Change(1, close), Read(1)])
    assert isinstance(refused, StoreUnavailable)
    assert closed == store.tickets.read(1) == Ticket(id=1, state=TicketState.CLOSED)
    assert isinstance(read, Ticket)


def test_a_folder_that_is_thinned_out_meanwhile_harms_no_other(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a read of a finished ticket that is thinned out at this moment, when it comes together with a create, then
    the create is promised.
    """
    store.tickets.create(make)
    store.tickets.update(1, close)
    store.tickets.archive_all([1])
    publish_new = Disk.publish_new

    def publish_late(files: Disk, staged: Path, path: Path) -> None:
        shutil.rmtree(store.tickets.archive_path(1).parent)
        publish_new(files, staged, path)

    monkeypatch.setattr(Disk, "publish_new", publish_late)
    read, created = store.tickets.do_all([Read(1), Create(make)])
    assert isinstance(read, StoreUnavailable)
    assert created == Ticket(id=2)


def test_few_descriptors_are_enough_for_many_creates(store: FileStore) -> None:
    """Given a process that may open only a few files more, when many creates come together, then all are made."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    # Numbers are assigned from the lowest on, so that all below the limit are in use now.
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(free) + 1, hard))
    for descriptor in free:
        os.close(descriptor)
    try:
        made = store.tickets.do_all([Create(make)] * 50)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert made == [Ticket(id=number) for number in range(1, 51)]
    assert list(store.root.joinpath("tmp").iterdir()) == []
