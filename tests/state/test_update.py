"""Updates: one document, alone, under its lock."""

import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from state.documents import Resource, Ticket, TicketState
from state.errors import CorruptDocument, NotFound
from state.files.store import FileStore
from state.store import Batch, Put
from tests.state.children import Child, Send, barrier
from tests.waiting import until


def close(ticket: Ticket) -> Ticket:
    return ticket.replace(state=TicketState.CLOSED, closed_at=5.0)


def count_up(send: Send, root: Path, times: int, together: object) -> None:
    store = FileStore(root)
    together.wait()  # type: ignore[attr-defined]
    for _ in range(times):
        store.resources.update(1, lambda resource: resource.replace(releases_counter=resource.releases_counter + 1))


def replace_without_end(send: Send, root: Path, texts: tuple[str, str]) -> None:
    store = FileStore(root)
    send("begins")
    for text in itertools.cycle(texts):
        store.tickets.update(1, functools.partial(Ticket.replace, reason=text))


def test_an_update_replaces_the_document_and_is_durable(store: FileStore, journal: list[tuple[str, str]]) -> None:
    ticket = store.tickets.create(lambda number: Ticket(id=number))
    journal.clear()
    changed = store.tickets.update(ticket.id, close)
    assert changed == close(ticket) == store.tickets.read(ticket.id)
    assert journal == [
        ("write", "tmp/*"),
        ("fsync", "tmp/*"),
        ("rename", "tickets/open/1.json"),
        ("fsync", "tickets/open"),
    ]


def test_an_update_that_changes_nothing_writes_nothing_but_still_promises(
    store: FileStore, journal: list[tuple[str, str]]
) -> None:
    ticket = store.tickets.create(lambda number: Ticket(id=number))
    before = store.tickets.path(ticket.id).stat()
    journal.clear()
    assert store.tickets.update(ticket.id, lambda same: same) == ticket
    # The folder is synced all the same: the document may be another process's, seen before its own sync.
    assert journal == [("fsync", "tickets/open")]
    assert store.tickets.path(ticket.id).stat() == before


def test_two_processes_that_count_up_lose_nothing(store: FileStore, start: Callable[..., Child]) -> None:
    store.commit(Batch([Put(Resource(id=1, name="vm", pool="p"))]))
    together = barrier(2)
    children = [start(count_up, store.root, 100, together) for _ in range(2)]
    for child in children:
        child.finish()
    assert store.resources.read(1).releases_counter == 200


def test_a_reader_without_a_lock_sees_the_old_or_the_new_document(
    store: FileStore, start: Callable[..., Child]
) -> None:
    texts = ("a" * 10_000, "b" * 20_000)
    store.commit(Batch([Put(Ticket(id=1, reason=texts[0]))]))
    child = start(replace_without_end, store.root, texts)
    child.next()
    seen: set[str | None] = set()

    def read_on() -> bool:
        seen.update(store.tickets.read(1).reason for _ in range(1000))
        return len(seen) > 1

    until(read_on, what="both texts")
    assert seen == set(texts)


def test_an_archived_document_is_updated_in_its_place(store: FileStore) -> None:
    ticket = store.tickets.create(lambda number: Ticket(id=number, state=TicketState.FAILED))
    store.tickets.archive_all([ticket.id])
    store.tickets.update(ticket.id, close)
    assert store.tickets.read(ticket.id) == close(ticket)
    assert list(store.tickets.living()) == []


def test_what_the_change_raises_leaves_the_document_and_the_lock_alone(store: FileStore) -> None:
    def refuse(ticket: Ticket) -> Ticket:
        raise RuntimeError("no")

    ticket = store.tickets.create(lambda number: Ticket(id=number))
    with pytest.raises(RuntimeError):
        store.tickets.update(ticket.id, refuse)
    assert store.tickets.read(ticket.id) == ticket
    assert store.tickets.update(ticket.id, close) == close(ticket)


def test_unknown_and_unreadable_documents_are_not_updated(store: FileStore) -> None:
    with pytest.raises(NotFound) as caught:
        store.tickets.update(4, close)
    assert (caught.value.kind, caught.value.key) == ("ticket", 4)
    store.tickets.path(5).write_text("garbage")
    with pytest.raises(CorruptDocument):
        store.tickets.update(5, close)
    assert store.tickets.path(5).read_text() == "garbage"
