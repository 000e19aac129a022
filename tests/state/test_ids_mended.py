"""The files of the next numbers: a corrupt one is quarantined and reported, and no number is used twice."""

import errno
import os
from pathlib import Path

import pytest

from state.documents import Ticket
from state.files.disk import Disk, DiskError
from state.files.ids import CEILING_STEP
from state.files.store import FileStore


def test_a_create_quarantines_a_folder_in_the_place_of_a_counter(store: FileStore) -> None:
    """Given a folder in the place of a counter, when a ticket is created, then that is in quarantine."""
    last = store.tickets.reserve(5)[-1]
    counter = store.root / "ids" / "tickets.next"
    counter.unlink()
    counter.mkdir()
    assert store.tickets.create(lambda number: Ticket(id=number)).id > last
    assert [thing.place.split(".")[:2] for thing in store.quarantine.list()] == [["quarantine/ids-tickets", "next"]]


@pytest.mark.parametrize(("times", "moved"), [(1, 0), (100, 1)])
def test_an_unreadable_counter_is_quarantined_if_it_stays_unreadable(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, times: int, moved: int
) -> None:
    """Given a counter that the system refuses to read, once or always, when mended, then only the latter is moved."""
    last = store.tickets.reserve(5)[-1]
    counter, read = store.root / "ids" / "tickets.next", Disk.read
    refusals = iter(range(times))

    def refuse(files: Disk, path: Path) -> bytes | None:
        if path == counter and next(refusals, None) is not None:
            raise DiskError(str(path), OSError(errno.EACCES, os.strerror(errno.EACCES)))
        return read(files, path)

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "read", refuse)
        assert len(store.corruption.mend()) == moved
    assert len(store.quarantine.list()) == moved
    assert store.tickets.reserve(1).start > last


def test_a_create_reports_a_corrupt_counter(store: FileStore, caplog: pytest.LogCaptureFixture) -> None:
    """Given a corrupt counter, when a ticket is created, then the log reports it, once."""
    last = store.tickets.reserve(5)[-1]
    (store.root / "ids" / "tickets.next").write_bytes(b"damaged")
    for _ in range(2):
        assert store.tickets.create(lambda number: Ticket(id=number)).id > last
    assert caplog.messages == ["ids/tickets.next was corrupt: numbers continue above the ceiling"]


def test_while_neither_file_can_be_read_both_stay(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a counter and a ceiling that the system refuses to read, when mended, then nothing is moved."""
    last = store.tickets.reserve(5)[-1]
    read = Disk.read

    def refuse(files: Disk, path: Path) -> bytes | None:
        if path.name.startswith("tickets."):
            raise DiskError(str(path), OSError(errno.EACCES, os.strerror(errno.EACCES)))
        return read(files, path)

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "read", refuse)
        assert store.corruption.mend() == ["ids/tickets.ceiling cannot be read"]
    assert store.quarantine.list() == []
    assert store.tickets.reserve(1).start == last + 1


@pytest.mark.parametrize(
    ("name", "content", "reported"),
    [
        ("next", b"not a counter\n", "tickets.next was corrupt and is removed"),
        ("next", b"", "tickets.next was corrupt and is removed"),
        ("ceiling", b"", "tickets.ceiling was corrupt; moved to quarantine/ids-tickets.ceiling."),
        ("ceiling", b"?", "tickets.ceiling was corrupt; moved to quarantine/ids-tickets.ceiling."),
        ("ceiling", b"2\n", "tickets.ceiling was corrupt; moved to quarantine/ids-tickets.ceiling."),
        ("ceiling", None, "tickets.ceiling is written anew: "),
    ],
)
def test_corrupt_files_of_numbers_are_repaired_and_reported(
    store: FileStore, name: str, content: bytes | None, reported: str
) -> None:
    """Given one corrupt file of numbers, when mended, then that is reported, and no number is ever used twice."""
    last = store.tickets.reserve(5)[-1]
    path = store.root / "ids" / f"tickets.{name}"
    path.unlink() if content is None else path.write_bytes(content)
    assert store.corruption.mend()[0].startswith(f"ids/{reported}")
    assert store.corruption.mend() == []
    assert store.tickets.reserve(1).start > last
    if name == "ceiling":
        (store.root / "ids" / "tickets.next").unlink()
        assert store.tickets.reserve(1).start > CEILING_STEP


def test_good_files_of_numbers_are_left_alone(store: FileStore) -> None:
    """Given new numbers, used ones, and ones after a restore, when mended, then nothing is reported or changed."""
    assert store.corruption.mend() == []
    store.tickets.reserve(5)
    assert store.corruption.mend() == []
    (store.root / "ids" / "tickets.next").unlink()
    (store.root / "ids" / "tickets.ceiling").write_text("100000\n")
    assert store.corruption.mend() == []
    assert store.tickets.reserve(1).start == 100_000
