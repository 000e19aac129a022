"""The folder tree and its version."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from state.documents import Ticket
from state.errors import StoreUnavailable, UnknownFormat
from state.files.layout import FORMAT
from state.files.store import FileStore
from tests.state.children import Child, Send, barrier
from tests.state.snapshot import snapshot

TREE = {
    "tmp",
    "tickets/open",
    "tickets/done",
    "resources/live",
    "resources/ended",
    "pools",
    "intents",
    "runs",
    "ids",
    "locks/tickets",
    "view",
    "quarantine",
}


def open_store(send: Send, root: Path, together: object) -> None:
    together.wait()  # type: ignore[attr-defined]
    send(FileStore(root).tickets.create(lambda number: Ticket(id=number)).id)


def test_a_new_folder_gets_its_tree_and_its_version(tmp_path: Path) -> None:
    root = tmp_path / "not" / "there" / "yet"
    FileStore(root)
    assert (root / "FORMAT").read_text() == f"{FORMAT}\n"
    assert all((root / folder).is_dir() for folder in TREE)
    assert os.listdir(root / "tmp") == []


def test_every_new_folder_is_durable_in_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    root = tmp_path / "deep" / "state"
    FileStore(root)
    made = [path for path in [tmp_path / "deep", root, *root.rglob("*")] if path.is_dir()]
    assert {str(path.parent) for path in made} <= set(synced)


def test_missing_folders_are_made_anew_and_the_rest_stays(store: FileStore) -> None:
    kept = store.tickets.create(lambda number: Ticket(id=number))
    for folder in ("tmp", "view", "locks", "quarantine", "resources"):
        shutil.rmtree(store.root / folder)
    again = FileStore(store.root)
    assert all((store.root / folder).is_dir() for folder in TREE)
    assert again.tickets.read(kept.id) == kept
    assert again.tickets.create(lambda number: Ticket(id=number)).id == kept.id + 1


def test_a_missing_version_is_written_and_a_known_one_is_left_alone(
    store: FileStore, journal: list[tuple[str, str]]
) -> None:
    version = store.root / "FORMAT"
    before = version.stat()
    FileStore(store.root)
    assert version.stat() == before
    version.unlink()
    FileStore(store.root)
    # The folders are synced before: the process that made them may have been killed before its sync.
    assert {name for name, _ in journal[:-4]} == {"fsync"}
    assert journal[-4:] == [("write", "tmp/*"), ("fsync", "tmp/*"), ("rename", "FORMAT"), ("fsync", ".")]
    assert version.read_text() == f"{FORMAT}\n"


def test_several_processes_may_open_a_new_folder_at_once(tmp_path: Path, start: Callable[..., Child]) -> None:
    together = barrier(4)
    children = [start(open_store, tmp_path / "state", together) for _ in range(4)]
    assert sorted(child.finish()[0] for child in children) == [1, 2, 3, 4]


@pytest.mark.parametrize("found", [str(FORMAT + 1), "99", "", "one", "1.5", "-1", "²", "1 2", "\x00"])
def test_another_version_is_refused_and_nothing_is_touched(tmp_path: Path, found: str) -> None:
    root = tmp_path / "state"
    root.mkdir()
    (root / "FORMAT").write_text(f"{found}\n")
    with pytest.raises(UnknownFormat) as caught:
        FileStore(root)
    assert (caught.value.place, caught.value.found, caught.value.known) == ("FORMAT", found, FORMAT)
    assert os.listdir(root) == ["FORMAT"]


def test_mending_a_healthy_folder_does_nothing(store: FileStore) -> None:
    before = snapshot(store)
    assert store.corruption.mend() == []
    assert snapshot(store) == before


@pytest.mark.parametrize("content", ["", "\n", "q\n", "\x00\x00", "1*", None])
def test_a_corrupt_format_is_repaired_while_the_store_is_open(store: FileStore, content: str | None) -> None:
    version = store.root / "FORMAT"
    version.unlink()
    if content is not None:
        version.write_text(content)
    (wrong,) = store.corruption.mend()
    assert wrong.startswith("FORMAT ")
    assert version.read_text() == f"{FORMAT}\n"
    assert [store.quarantine.path(thing).read_text() for thing in store.quarantine.list()] == (
        [] if content is None else [content]
    )


@pytest.mark.parametrize("content", [str(FORMAT + 1), "23", "unfinished-import"])
def test_the_version_of_another_program_is_never_mended(store: FileStore, content: str) -> None:
    (store.root / "FORMAT").write_text(content)
    with pytest.raises(UnknownFormat):
        store.corruption.mend()
    assert (store.root / "FORMAT").read_text() == content


def test_missing_folders_are_reported_and_a_folder_in_place_of_a_lock_is_moved(store: FileStore) -> None:
    shutil.rmtree(store.root / "view")
    (store.root / "locks/tickets/2a").mkdir()
    (store.root / "ids/tickets.next").mkdir()
    assert [wrong.partition(" ")[0] for wrong in store.corruption.mend()] == [
        "view/",
        "locks/tickets/2a",
        "ids/tickets.next",
    ]
    assert store.corruption.mend() == []
    assert store.tickets.create(lambda number: Ticket(id=number)).id == 1


def test_a_folder_of_which_nearly_everything_is_missing_is_not_made_anew(store: FileStore) -> None:
    shutil.rmtree(store.root)
    store.root.mkdir()
    with pytest.raises(StoreUnavailable):
        store.corruption.mend()
    assert os.listdir(store.root) == []


def test_a_version_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "FORMAT").write_bytes(b"\xff\xfe1")
    with pytest.raises(UnknownFormat):
        FileStore(tmp_path)
