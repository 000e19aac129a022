"""Several creates, updates or reads in one call: each has its own result, and what they share is synced once."""

import errno

import pytest

from state.documents import Ticket, TicketState
from state.errors import NotFound, StateError, StoreUnavailable
from state.files import Files
from state.store import Batch, Store


def make(number: int) -> Ticket:
    return Ticket(id=number)


def close(ticket: Ticket) -> Ticket:
    return ticket.replace(state=TicketState.CLOSED)


def make_too_much(number: int) -> Ticket:
    return Ticket(id=number, reason="too much")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that has no room for "too much"."""
    stage = Files.stage

    def refuse(self: Files, content: bytes) -> object:
        if b"too much" in content:
            raise StoreUnavailable(self.staging, OSError(errno.ENOSPC, "No space left on device"))
        return stage(self, content)

    monkeypatch.setattr(Files, "stage", refuse)


def test_creates_are_each_synced_and_their_folder_once(store: Store, journal: list[tuple[str, str]]) -> None:
    store.tickets.create(make)
    journal.clear()
    assert store.tickets.create_all([make, make]) == [Ticket(id=2), Ticket(id=3)]
    written = [("write", "tmp/*"), ("fsync", "tmp/*")]
    assert journal == [
        *written,
        ("link", "tickets/open/2.json"),
        *written,
        ("link", "tickets/open/3.json"),
        ("fsync", "tickets/open"),
    ]


@pytest.mark.usefixtures("full")
def test_a_create_that_is_refused_harms_none_of_the_others_and_uses_no_number(store: Store) -> None:
    """Given creates of which some are refused, when they are made together, then the others have the next numbers."""
    made = store.tickets.create_all([make, make_too_much, make, make_too_much])
    assert [made[0], made[2]] == [Ticket(id=1), Ticket(id=2)]
    assert [type(made[1]), type(made[3])] == [StoreUnavailable, StoreUnavailable]
    assert store.tickets.create(make).id == 3


def test_a_number_that_is_in_use_is_passed_over(store: Store) -> None:
    store.tickets.create(make)
    store.tickets.path(3).write_bytes(Ticket(id=3, reason="put back").to_json())
    made = store.tickets.create_all([make, make, make])
    assert made == [Ticket(id=2), Ticket(id=4), Ticket(id=5)]
    assert store.tickets.read(3).reason == "put back"


def test_updates_and_reads_have_each_their_own_end(store: Store, journal: list[tuple[str, str]]) -> None:
    for _ in range(2):
        store.tickets.create(make)
    store.tickets.update(2, close)
    store.commit(Batch(archived_tickets=[2]))
    store.tickets.create(make)
    journal.clear()
    ended = store.tickets.update_all([(1, close), (9, close), (2, close), (3, close)])
    assert [getattr(end, "id", type(end)) for end in ended] == [1, NotFound, 2, 3]
    assert sorted(place for name, place in journal if name == "fsync" and place != "tmp/*") == [
        "tickets/done/0",
        "tickets/open",
    ]
    journal.clear()
    read = store.tickets.read_all_durable([1, 9, 3])
    assert [getattr(end, "state", type(end)) for end in read] == [TicketState.CLOSED, NotFound, TicketState.CLOSED]
    assert journal == [("fsync", "tickets/open")]


def test_when_the_folder_cannot_be_synced_nothing_in_it_is_promised(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.tickets.create(make)

    def fail(*_: object) -> None:
        raise StoreUnavailable(store.tickets.folder, OSError(errno.EIO, "Input/output error"))

    monkeypatch.setattr(Files, "sync_folder", fail)
    ends = [
        *store.tickets.create_all([make, make]),
        *store.tickets.update_all([(1, close)]),
        *store.tickets.read_all_durable([1]),
    ]
    assert all(isinstance(end, StateError) for end in ends)
