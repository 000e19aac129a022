"""Writing into a state folder: all or nothing."""

import dataclasses
import os
import resource as limits
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from state import check_empty, restore
from state.documents import Intent, IntentKind, PoolRecord, Resource, ResourceState, Ticket, TicketState
from state.errors import StoreInUse, UnknownFormat
from state.files import restore as files
from state.files.store import FileStore
from state.host import locks
from state.store import Batch, Dump, Put
from tests.events import lines

SOME = Dump(
    tickets=[Ticket(id=1, tags=("a",)), Ticket(id=4, resource=2, output=b"ip")],
    settled=[Ticket(id=2, state=TicketState.CLOSED), Ticket(id=1500, state=TicketState.CLOSED)],
    resources=[Resource(id=2, name="two", pool="vm", state=ResourceState.UP, data=b"ip")],
    ended=[Resource(id=1, name="one", pool="vm", state=ResourceState.ENDED)],
    records=[PoolRecord(name="vm", configured=False)],
    highest_ticket=1500,
    highest_resource=7,
)


def written(root: Path) -> list[str]:
    """All files but those of locks, relative to the folder."""
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(str(path) for path in paths if path.parts[0] != "locks")


def test_documents_stand_where_a_store_reads_them(tmp_path: Path) -> None:
    restore(tmp_path / "state", SOME)
    store = FileStore(tmp_path / "state")
    contents = store.read_all()
    assert sorted(contents.tickets, key=lambda ticket: ticket.id) == SOME.tickets
    assert contents.resources == SOME.resources
    assert contents.records == SOME.records
    assert contents.corrupt == []
    assert [store.tickets.read(2), store.tickets.read(1500)] == SOME.settled
    assert store.resources.read(1) == SOME.ended[0]
    assert [event.event for event in lines(store)] == ["imported"]
    assert written(tmp_path / "state") == [
        "FORMAT",
        f"events/{store.events.end().day}.jsonl",
        "ids/resources.ceiling",
        "ids/resources.next",
        "ids/tickets.ceiling",
        "ids/tickets.next",
        "pools/vm.json",
        "resources/ended/0/1.json",
        "resources/live/2.json",
        "tickets/done/0/2.json",
        "tickets/done/1/1500.json",
        "tickets/open/1.json",
        "tickets/open/4.json",
    ]


def test_new_numbers_follow_the_highest_one_without_a_gap(tmp_path: Path) -> None:
    restore(tmp_path, SOME)
    store = FileStore(tmp_path)
    assert store.tickets.create(lambda id: Ticket(id=id)).id == 1501
    assert store.resources.reserve(1) == range(8, 9)


def test_new_numbers_are_above_the_highest_one_even_when_the_counter_is_lost(tmp_path: Path) -> None:
    restore(tmp_path, SOME)
    (tmp_path / "ids" / "tickets.next").unlink()
    (tmp_path / "tickets" / "done" / "1" / "1500.json").unlink()
    assert FileStore(tmp_path).tickets.create(lambda id: Ticket(id=id)).id > 1500


def test_an_empty_import_leaves_a_new_store(tmp_path: Path) -> None:
    restore(tmp_path, Dump([], [], [], [], [], 0, 0))
    assert FileStore(tmp_path).tickets.create(lambda id: Ticket(id=id)).id == 1


def test_a_store_that_was_never_used_is_taken(tmp_path: Path) -> None:
    FileStore(tmp_path)
    check_empty(tmp_path)
    restore(tmp_path, SOME)
    assert len(FileStore(tmp_path).read_all().tickets) == 2


def use_ticket(store: FileStore) -> None:
    store.tickets.create(lambda id: Ticket(id=id))


def use_done_ticket(store: FileStore) -> None:
    store.commit(Batch([Put(Ticket(id=9, state=TicketState.CLOSED))]))
    store.tickets.archive_all([9])


def use_resource(store: FileStore) -> None:
    store.commit(Batch([Put(SOME.resources[0])]))


def use_ended_resource(store: FileStore) -> None:
    store.commit(Batch([Put(SOME.ended[0])]))
    store.resources.archive_all([1])


def use_pool(store: FileStore) -> None:
    store.commit(Batch([Put(PoolRecord(name="vm"))]))


def use_intent(store: FileStore) -> None:
    store.intents.create(lambda id: Intent(id=id, kind=IntentKind.DELETE_RESOURCE, resource=1))


def use_number(store: FileStore) -> None:
    store.tickets.reserve(1)


@pytest.mark.parametrize(
    "use", [use_ticket, use_done_ticket, use_resource, use_ended_resource, use_pool, use_intent, use_number]
)
def test_a_folder_in_use_is_refused_and_left_as_it_is(tmp_path: Path, use: object) -> None:
    assert callable(use)
    use(FileStore(tmp_path))
    before = written(tmp_path)
    with pytest.raises(StoreInUse, match="it is in use: there is "):
        check_empty(tmp_path)
    with pytest.raises(StoreInUse, match="it is in use: there is "):
        restore(tmp_path, SOME)
    assert written(tmp_path) == before


def test_a_folder_where_a_scheduler_leads_is_refused(tmp_path: Path) -> None:
    lease = FileStore(tmp_path).lead()
    lease.acquire()
    with pytest.raises(StoreInUse, match="a scheduler leads here"):
        check_empty(tmp_path)
    with pytest.raises(StoreInUse, match="a scheduler leads here"):
        restore(tmp_path, SOME)
    lease.release()
    assert written(tmp_path) == ["FORMAT"]


@pytest.mark.parametrize("found", ["2", "junk"])
def test_a_folder_of_an_unknown_layout_is_refused(tmp_path: Path, found: str) -> None:
    (tmp_path / "FORMAT").write_text(f"{found}\n")
    for attempt in (check_empty, lambda root: restore(root, SOME)):
        with pytest.raises(UnknownFormat, match=f"layout {found}"):
            attempt(tmp_path)
    assert written(tmp_path) == ["FORMAT"]


def test_no_scheduler_can_lead_while_documents_are_written_and_one_can_afterwards(tmp_path: Path) -> None:
    held: list[bool] = []

    class Extended(Ticket, frozen=True, kw_only=True):
        def to_json(self) -> bytes:
            held.append(locks.is_held(tmp_path / "locks" / "leader"))
            return super().to_json()

    restore(tmp_path, dataclasses.replace(SOME, tickets=[Extended(id=1)]))
    assert held == [True]
    lease = FileStore(tmp_path).lead()
    lease.acquire()
    lease.release()


def test_nothing_starts_on_an_import_that_was_cut_off_and_another_begins_anew(tmp_path: Path) -> None:
    restore(tmp_path, dataclasses.replace(SOME, tickets=[Ticket(id=77)], highest_ticket=5000))
    (tmp_path / "FORMAT").write_text(f"{files.UNFINISHED}\n")
    with pytest.raises(UnknownFormat, match="layout unfinished-import"):
        FileStore(tmp_path)
    check_empty(tmp_path)
    restore(tmp_path, SOME)
    store = FileStore(tmp_path)
    assert sorted(ticket.id for ticket in store.read_all().tickets) == [1, 4]
    assert store.tickets.create(lambda id: Ticket(id=id)).id == 1501


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    big = Ticket(id=3, state=TicketState.CLOSED, output=os.urandom(200_000))
    with largest_file(100_000), pytest.raises(OSError, match="File too large"):
        restore(tmp_path, dataclasses.replace(SOME, settled=[big]))
    assert written(tmp_path) == []
    restore(tmp_path, SOME)
    assert len(FileStore(tmp_path).read_all().tickets) == 2
