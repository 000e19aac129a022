"""Which file names are documents'."""

import pytest

from state.files.store import FileStore


@pytest.mark.parametrize("number", [1, 9, 10, 999, 12_345_678_901])
def test_a_number_and_json_is_a_numbered_document(store: FileStore, number: int) -> None:
    assert store.tickets.key_of(store.tickets.path(number).name) == number


@pytest.mark.parametrize(
    "name",
    [
        "007.json",
        "1.json.bak",
        " .json",
        "١.json",
        "².json",
        ".json",
        "1",
        "1.",
        "1.jso",
        "1.JSON",
        "+1.json",
        "-1.json",
        "1_0.json",
        "1 .json",
        "1.json\n",
        ".1.json.swp",
        "1.json~",
        "1..json",
        "a.json",
        "",
    ],
)
def test_other_names_in_a_numbered_folder_are_no_documents(store: FileStore, name: str) -> None:
    assert store.tickets.key_of(name) is None
    assert store.resources.key_of(name) is None
    assert store.intents.key_of(name) is None


def test_other_files_in_the_folders_are_neither_read_nor_moved(store: FileStore) -> None:
    names = ["007.json", "1.json.bak", " .json", "١.json", "notes.txt"]
    for name in names:
        (store.tickets.folder / name).write_text("garbage")
    contents = store.read_all()
    assert (contents.tickets, contents.corrupt) == ([], [])
    assert sorted(path.name for path in store.tickets.folder.iterdir()) == sorted(names)


@pytest.mark.parametrize("name", ["vms", "vms.eu", "two words", "007", "a.json"])
def test_pools_are_named_by_their_file(store: FileStore, name: str) -> None:
    assert store.pools.key_of(store.pools.path(name).name) == name


@pytest.mark.parametrize("name", [".json", "vms", "vms.json.bak", "vms.json~", ""])
def test_other_names_in_the_folder_of_pools_are_no_documents(store: FileStore, name: str) -> None:
    assert store.pools.key_of(name) is None
