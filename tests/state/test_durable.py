"""Documents that are known to be durable without another sync."""

import os
import time
from pathlib import Path

import pytest

from state.documents import Ticket, TicketState
from state.errors import StateError
from state.files.disk import MARGIN, Moment, Syncs
from state.files.store import FileStore
from state.store import Change, Read
from tests.waiting import until

HOUR = 3_600_000_000_000


def ticket(number: int) -> Ticket:
    return Ticket(id=number, tags=("A",), created_at=1.0)


def closed(before: Ticket) -> Ticket:
    return before.replace(state=TicketState.CLOSED, closed_at=2.0)


def file_and_moment(folder: Path) -> tuple[Path, Moment]:
    """A file, and a moment when it was there for so long that a sync which began then made it last."""
    path = folder / "1.json"
    path.touch()
    wall = path.stat().st_ctime_ns + MARGIN + 1
    return path, Moment(wall, wall - time.monotonic_ns())


def test_a_file_from_before_a_sync_is_durable(tmp_path: Path) -> None:
    path, moment = file_and_moment(tmp_path)
    syncs = Syncs()
    syncs.note(tmp_path, moment)
    assert syncs.cover(path, moment)


def test_a_file_that_came_just_before_the_sync_or_later_may_not_be_durable(tmp_path: Path) -> None:
    path, moment = file_and_moment(tmp_path)
    syncs = Syncs()
    syncs.note(tmp_path, Moment(moment.wall - 1, moment.ahead))
    assert not syncs.cover(path, moment)
    # A rename does not change when a file was written.
    syncs.note(tmp_path, moment)
    os.utime(path, (0, 0))
    until(lambda: _renamed(path).stat().st_ctime_ns >= moment.wall, what="a rename after the sync")
    assert not syncs.cover(path, moment)


def _renamed(path: Path) -> Path:
    beside = path.with_name("beside")
    path.rename(beside)
    return beside.rename(path)


def test_no_file_is_known_to_be_durable_in_an_unsynced_folder_or_when_it_is_deleted(tmp_path: Path) -> None:
    path, moment = file_and_moment(tmp_path)
    syncs = Syncs()
    assert not syncs.cover(path, moment)
    syncs.note(tmp_path, moment)
    assert not syncs.cover(tmp_path / "2.json", moment)


@pytest.mark.parametrize(("set_back", "sure"), [(HOUR, False), (MARGIN, False), (MARGIN // 4, True), (-HOUR, True)])
def test_no_file_is_known_to_be_durable_after_the_clock_was_set_back(tmp_path: Path, set_back: int, sure: bool) -> None:
    path, moment = file_and_moment(tmp_path)
    syncs = Syncs()
    syncs.note(tmp_path, moment)
    assert syncs.cover(path, Moment(moment.wall - set_back, moment.ahead - set_back)) is sure


def test_a_document_that_was_read_durably_is_durable_until_it_is_replaced(tmp_path: Path) -> None:
    here, elsewhere = FileStore(tmp_path / "state"), FileStore(tmp_path / "state")
    number = elsewhere.tickets.create(ticket).id
    assert here.tickets.read_with_durability(number) == (ticket(number), False)

    def known_to_last() -> bool:
        here.tickets.do_all([Read(number)])
        return here.tickets.read_with_durability(number)[1]

    until(known_to_last, what="a sync that began a while after the ticket was written")
    elsewhere.tickets.do_all([Change(number, closed)])
    assert here.tickets.read_with_durability(number) == (closed(ticket(number)), False)


def test_a_finished_document_in_the_archive_is_known_to_last_too(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "state")
    number = store.tickets.create(ticket).id
    store.tickets.archive(number)
    assert not store.tickets.read_with_durability(number)[1]

    def known_to_last() -> bool:
        store.tickets.do_all([Read(number)])
        return store.tickets.read_with_durability(number)[1]

    until(known_to_last, what="a sync of the archive's folder")


def test_no_file_is_known_to_be_durable_after_a_failed_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path / "state")
    number = store.tickets.create(ticket).id

    def known_to_last() -> bool:
        store.tickets.do_all([Read(number)])
        return store.tickets.read_with_durability(number)[1]

    until(known_to_last, what="a sync")

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    (refused,) = store.tickets.do_all([Read(number)])
    assert isinstance(refused, StateError)
    assert not store.tickets.read_with_durability(number)[1]
