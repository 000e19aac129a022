"""Batches: staged as one, published one by one, re-checked under each ticket's lock."""

import os
import threading
from pathlib import Path

import pytest

from state.documents import Intent, IntentKind, PoolRecord, Resource, ResourceState, Ticket, TicketState
from state.errors import CorruptDocument, NotFound
from state.files.disk import Disk
from state.files.store import FileStore
from state.store import Batch, Put, Update
from tests.state.children import waits_for_a_lock
from tests.state.snapshot import snapshot
from tests.waiting import until


@pytest.fixture
def ticket(store: FileStore) -> Ticket:
    return store.tickets.create(lambda number: Ticket(id=number, tags=("A",)))


def resource(number: int, **fields: object) -> Resource:
    return Resource(id=number, name=f"vm{number}", pool="vms", **fields)  # type: ignore[arg-type]


def test_a_batch_writes_every_kind_of_document(store: FileStore, ticket: Ticket) -> None:
    assigned = ticket.replace(resource=1, output=b"\x00\xff")
    record = PoolRecord(name="vms and more", options={"max": 4})
    up = resource(1, state=ResourceState.UP, data=b"\x00\xff")
    assert store.commit(Batch([Put(up), Put(record), Update(ticket, assigned)])) == []
    contents = store.read_all()
    assert (contents.tickets, contents.resources, contents.records) == ([assigned], [up], [record])


def test_all_is_synced_before_any_is_seen_and_each_folder_once(
    store: FileStore, ticket: Ticket, journal: list[tuple[str, str]]
) -> None:
    journal.clear()
    store.commit(
        Batch([*(Put(resource(number)) for number in range(1, 41)), Update(ticket, ticket.replace(resource=1))])
    )
    calls = [call for call, _ in journal]
    first_seen = calls.index("rename")
    last_seen = len(calls) - calls[::-1].index("rename")
    assert journal[:first_seen].count(("fsync", "tmp/*")) == 41
    assert last_seen - first_seen == calls.count("rename") == 41
    assert sorted(journal[last_seen:]) == [("fsync", "resources/live"), ("fsync", "tickets/open")]


def test_a_ticket_that_changed_meanwhile_is_a_conflict(store: FileStore, ticket: Ticket) -> None:
    other = store.tickets.create(lambda number: Ticket(id=number))
    closed = store.tickets.update(ticket.id, lambda found: found.replace(state=TicketState.CLOSED))

    conflicts = store.commit(
        Batch([Update(ticket, ticket.replace(resource=1)), Update(other, other.replace(resource=2)), Put(resource(2))])
    )

    assert conflicts == [ticket]
    assert store.tickets.read(ticket.id) == closed
    assert store.tickets.read(other.id).resource == 2
    assert store.resources.read(2) == resource(2)
    assert os.listdir(store.root / "tmp") == []


def test_a_ticket_is_compared_and_replaced_under_its_lock(
    store: FileStore, ticket: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    conflicts: list[Ticket] = []
    batch = Batch([Update(ticket, ticket.replace(resource=1))])
    leader = threading.Thread(target=lambda: conflicts.extend(store.commit(batch)))
    publish = Disk.publish

    def publish_late(files: Disk, staged: Path, path: Path) -> None:
        leader.start()
        until(waits_for_a_lock, what="the commit at the lock")
        publish(files, staged, path)

    monkeypatch.setattr(Disk, "publish", publish_late)
    closed = store.tickets.update(ticket.id, lambda found: found.replace(state=TicketState.CLOSED))
    leader.join()
    assert conflicts == [ticket]
    assert store.tickets.read(ticket.id) == closed


def test_a_ticket_that_left_meanwhile_does_not_come_back(store: FileStore, ticket: Ticket) -> None:
    store.tickets.archive_all([ticket.id])
    assert store.commit(Batch([Update(ticket, ticket.replace(resource=1))])) == [ticket]
    assert list(store.tickets.living()) == []
    assert store.tickets.read(ticket.id) == ticket


def test_a_ticket_that_is_corrupt_by_now_stops_the_batch_and_leaves_nothing_staged(
    store: FileStore, ticket: Ticket
) -> None:
    store.tickets.path(ticket.id).write_text("garbage")
    with pytest.raises(CorruptDocument):
        store.commit(Batch([Update(ticket, ticket.replace(resource=1)), Put(resource(1)), Put(resource(2))]))
    assert os.listdir(store.root / "tmp") == []
    assert store.tickets.path(ticket.id).read_text() == "garbage"


def test_finished_documents_leave_and_decided_intents_go(store: FileStore, ticket: Ticket) -> None:
    store.commit(Batch([Put(resource(1, state=ResourceState.ENDED))]))
    intent = store.intents.create(lambda number: Intent(id=number, kind=IntentKind.DELETE_RESOURCE, resource=1))

    store.tickets.archive_all([ticket.id])
    store.resources.archive_all([1])
    store.commit(Batch(removed_intents=[intent.id]))

    contents = store.read_all()
    assert (contents.tickets, contents.resources, contents.intents) == ([], [], [])
    assert store.tickets.read(ticket.id) == ticket
    assert store.resources.read(1).state is ResourceState.ENDED
    with pytest.raises(NotFound):
        store.intents.read(intent.id)


def test_a_batch_can_be_done_again(store: FileStore) -> None:
    intent = store.intents.create(lambda number: Intent(id=number, kind=IntentKind.DELETE_RESOURCE, resource=1))
    batch = Batch([Put(resource(1))], removed_intents=[intent.id])
    store.commit(batch)
    once = snapshot(store)
    store.commit(batch)
    assert snapshot(store) == once


def test_an_empty_batch_does_nothing(store: FileStore) -> None:
    before = snapshot(store)
    assert store.commit(Batch()) == []
    assert snapshot(store) == before
