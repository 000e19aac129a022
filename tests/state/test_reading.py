"""Reading a folder of documents again and again."""

import pytest

from state.documents import Ticket
from state.errors import StoreUnavailable
from state.files.cache import Reading
from state.store import Batch, Store, Update


@pytest.fixture
def reading(store: Store) -> Reading[Ticket, int]:
    for _ in range(3):
        store.tickets.create(lambda number: Ticket(id=number))
    return Reading(store.tickets)


def test_documents_come_by_id_and_are_the_same_while_nothing_changes(reading, store):
    for _ in range(8):
        store.tickets.create(lambda number: Ticket(id=number))
    found = reading.documents()
    assert [ticket.id for ticket in found] == list(range(1, 12))
    assert reading.documents() is found


def test_only_what_changed_is_parsed_again(reading, store):
    first, second, third = reading.documents()
    store.commit(Batch([Update(second, second.replace(sandbox="box"))]))
    again = reading.documents()
    assert again[1].sandbox == "box"
    assert (again[0], again[2]) == (first, third)
    assert again[0] is first
    assert again[2] is third


def test_what_comes_and_goes_is_seen(reading, store):
    reading.documents()
    store.tickets.archive_all([2])
    store.tickets.create(lambda number: Ticket(id=number))
    assert [ticket.id for ticket in reading.documents()] == [1, 3, 4]


def test_one_that_goes_is_seen_although_nothing_comes(reading, store):
    reading.documents()
    store.tickets.archive_all([2])
    assert [ticket.id for ticket in reading.documents()] == [1, 3]


def test_damage_is_left_out_and_other_files_too(reading, store):
    store.tickets.path(2).write_text("{")
    (store.tickets.folder / "07.json").write_text("{}")
    (store.tickets.folder / "note.txt").write_text("x")
    assert [ticket.id for ticket in reading.documents()] == [1, 3]


def test_a_folder_that_is_away_is_told(reading, store):
    store.tickets.folder.rename(store.root / "away")
    with pytest.raises(StoreUnavailable):
        reading.documents()
