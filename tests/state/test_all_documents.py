"""Reading a folder of documents again and again."""

import pytest

from state.documents import Ticket
from state.errors import StoreUnavailable
from state.files.store import FileStore
from state.store import Batch, Update


@pytest.fixture(autouse=True)
def three(store: FileStore) -> None:
    for _ in range(3):
        store.tickets.create(lambda number: Ticket(id=number))


def test_documents_come_by_id_and_are_the_same_while_nothing_changes(store: FileStore) -> None:
    for _ in range(8):
        store.tickets.create(lambda number: Ticket(id=number))
    found = store.tickets.all()
    assert [ticket.id for ticket in found] == list(range(1, 12))
    assert store.tickets.all() is found


def test_only_what_changed_is_parsed_again(store: FileStore) -> None:
    first, second, third = store.tickets.all()
    store.commit(Batch([Update(second, second.replace(sandbox="box"))]))
    again = store.tickets.all()
    assert again[1].sandbox == "box"
    assert (again[0], again[2]) == (first, third)
    assert again[0] is first
    assert again[2] is third


def test_new_and_archived_documents_are_noticed(store: FileStore) -> None:
    store.tickets.all()
    store.tickets.archive_all([2])
    store.tickets.create(lambda number: Ticket(id=number))
    assert [ticket.id for ticket in store.tickets.all()] == [1, 3, 4]


def test_an_archived_document_is_noticed_although_none_is_new(store: FileStore) -> None:
    store.tickets.all()
    store.tickets.archive_all([2])
    assert [ticket.id for ticket in store.tickets.all()] == [1, 3]


def test_corrupt_documents_and_other_files_are_left_out(store: FileStore) -> None:
    store.tickets.path(2).write_text("{")
    (store.tickets.folder / "07.json").write_text("{}")
    (store.tickets.folder / "note.txt").write_text("x")
    assert [ticket.id for ticket in store.tickets.all()] == [1, 3]


def test_a_missing_folder_is_reported(store: FileStore) -> None:
    store.tickets.folder.rename(store.root / "away")
    with pytest.raises(StoreUnavailable):
        store.tickets.all()
