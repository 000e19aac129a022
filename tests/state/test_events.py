"""The files of events: lines are appended, read from either end, and survive torn or corrupt lines."""

import errno
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from state.documents import Event
from state.errors import StoreUnavailable
from state.files.disk import Disk
from state.files.events import EventFiles
from state.files.store import FileStore
from state.store import Position

DAY = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
HOURS = 3600.0


def an_event(number: int, **fields: object) -> Event:
    return Event(
        **{"at": DAY, "kind": "ticket", "ticket": number, "n": 1, "event": "taken", "actor": "client", **fields}
    )


def read(pieces: Iterable) -> list[int | None]:
    """The tickets in these lines; None for a corrupt one."""
    events = [line.event() for piece in pieces for line in piece.lines]
    return [event.ticket if event else None for event in events]


@pytest.fixture
def events(store: FileStore) -> EventFiles:
    return store.events


def test_lines_stand_in_the_file_of_their_day(events: EventFiles) -> None:
    """Given events of two days (UTC), when written, then each day has a file with a line of JSON for each."""
    events.append([an_event(1), an_event(2)], DAY)
    events.append([an_event(3)], DAY + 13 * HOURS)
    assert events.days() == ["2026-11-24", "2026-11-25"]
    assert events.path("2026-11-25").read_text() == (
        '{"at":1795521600.0,"kind":"ticket","n":1,"event":"taken","ticket":3,"actor":"client"}\n'
    )
    assert read(events.forwards(Position("", 0))) == [1, 2, 3]
    assert read(events.backwards()) == [3, 2, 1]


def test_reading_continues_from_any_position(events: EventFiles) -> None:
    """Given the place of a line, when read from there, then the lines after it are returned, or those before it."""
    events.append([an_event(1), an_event(2)], DAY)
    events.append([an_event(3), an_event(4)], DAY + 13 * HOURS)
    lines = [line for piece in events.forwards(Position("", 0)) for line in piece.lines]
    for number, line in enumerate(lines, start=1):
        assert Position.parse(str(line.end)) == line.end
        assert read(events.forwards(line.end)) == [1, 2, 3, 4][number:]
        assert read(events.backwards(before=line.end)) == [4, 3, 2, 1][4 - number :]
    assert lines[-1].end == events.end()


def test_a_position_inside_of_a_line_leads_to_the_next_one(events: EventFiles) -> None:
    """Given a place that is no end of a line, when read from there, then whole lines come."""
    events.append([an_event(1), an_event(2)], DAY)
    assert read(events.forwards(Position("2026-11-24", 10))) == [2]
    assert read(events.backwards(before=Position("2026-11-24", events.end().offset - 10))) == [1]
    events.append([an_event(3)], DAY)
    assert read(events.forwards(Position("2026-11-24", 10_000))) == []


@pytest.mark.parametrize("text", ["", "x", "2026-11-24", "2026-11-24:", "2026-11-24:-1", "2026-11-24:01", "../x:1"])
def test_a_text_that_is_no_position_is_refused(text: str) -> None:
    assert Position.parse(text) is None


def test_many_lines_are_read_in_pieces(events: EventFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given pieces smaller than some lines, when read from either end, then each line comes whole and once."""
    monkeypatch.setattr("state.files.events._CHUNK", 100)
    events.append([an_event(number, reason="x" * (number * 7 % 300)) for number in range(200)], DAY)
    assert read(events.forwards(Position("", 0))) == list(range(200))
    assert read(events.backwards()) == list(range(199, -1, -1))
    assert read(events.forwards(Position("", 0), b'"ticket":19')) == [19, *range(190, 200)]
    assert read(events.backwards(b'"ticket":19')) == [*range(199, 189, -1), 19]
    positions = [piece.reached for piece in events.forwards(Position("", 0), b"nothing")]
    assert positions == sorted(positions)
    assert positions[-1] == events.end()


def test_a_line_without_its_end_is_none(events: EventFiles) -> None:
    """Given half a line at the end, when read, then it is left out; when cut off, then the next one is whole."""
    events.append([an_event(1)], DAY)
    with events.path("2026-11-24").open("ab") as file:
        file.write(b'{"at":1.0,"ki')
    assert read(events.forwards(Position("", 0))) == read(events.backwards()) == [1]
    assert events.cut_torn() == 13
    assert events.cut_torn() == 0
    events.append([an_event(2)], DAY)
    assert read(events.backwards()) == [2, 1]


def test_a_file_with_nothing_but_half_a_line_is_emptied(events: EventFiles) -> None:
    """Given a day that begins with half a line, when cut off, then the day before is left alone."""
    events.append([an_event(1)], DAY)
    events.path("2026-11-25").write_bytes(b"\0" * 600_000)
    assert events.cut_torn() == 600_000
    assert read(events.backwards()) == [1]


@pytest.mark.parametrize("corrupt", [b"\xff\xfe", b"\0\0", b"null", b"{", b'{"at":"noon"}', b""])
def test_a_corrupt_line_hides_no_other(events: EventFiles, corrupt: bytes) -> None:
    """Given a line that is no event, when read, then it is skipped, and the others are returned."""
    events.append([an_event(1)], DAY)
    with events.path("2026-11-24").open("ab") as file:
        file.write(corrupt + b"\n")
    events.append([an_event(2)], DAY)
    assert read(events.backwards()) == [2, None, 1]
    assert read(events.forwards(Position("", 0))) == [1, None, 2]


def test_an_unreadable_file_is_skipped_and_reported(events: EventFiles) -> None:
    """Given a folder in the place of a day, when read, then the other days come, and why is noted."""
    events.append([an_event(1)], DAY)
    events.path("2026-11-25").mkdir()
    events.append([an_event(2)], DAY + 48 * HOURS)
    assert read(events.backwards()) == [2, 1]
    assert events.unreadable == {"2026-11-25": "Is a directory"}


def test_a_write_that_fails_leaves_no_half_line(events: EventFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a disk that is full in the middle of a write, then it is refused and the file is as before."""
    events.append([an_event(1)], DAY)
    real = os.write

    def write(descriptor: int, content: bytes) -> int:
        if len(content) < 80:
            raise OSError(errno.ENOSPC, "no space")
        return real(descriptor, content[:80])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StoreUnavailable, match="no space"):
        events.append([an_event(2, reason="x" * 40)], DAY)
    monkeypatch.undo()
    assert events.cut_torn() == 0
    assert read(events.backwards()) == [1]


def test_old_days_are_removed_as_a_whole(events: EventFiles) -> None:
    """Given three days, when those before some noon are removed, then the day with this noon stays."""
    for day in range(3):
        events.append([an_event(day)], DAY + day * 24 * HOURS)
    assert events.thin_out(DAY + 24 * HOURS) == 1
    assert events.days() == ["2026-11-25", "2026-11-26"]
    assert events.thin_out(DAY) == 0


def test_after_a_clock_that_was_ahead_the_days_are_right_again(events: EventFiles) -> None:
    """Given a line of next year, when the next one is written today, then both are in today's file."""
    events.append([an_event(1)], DAY + 365 * 24 * HOURS)
    events.append([an_event(2)], DAY)
    assert events.days() == ["2026-11-24"]
    assert read(events.forwards(Position("", 0))) == [1, 2]


def test_a_clock_that_is_set_back_a_little_changes_no_order(events: EventFiles) -> None:
    """Given a line after midnight, when the clock is set back before it, then the next line follows that one."""
    events.append([an_event(1)], DAY + 12 * HOURS)
    events.append([an_event(2)], DAY + 11.9 * HOURS)
    assert read(events.forwards(Position("", 0))) == [1, 2]
    assert events.days() == ["2026-11-25"]


def test_appended_events_are_synced_with_their_folder(store: FileStore, journal: list[tuple[str, str]]) -> None:
    """Given a new file, when synced, then the file and the folder are, and later only the file."""
    store.events.append([an_event(1)], DAY)
    store.events.append([an_event(2)], DAY)
    store.events.sync()
    assert sorted(name for call, name in journal if call == "fsync") == ["events", "events/2026-11-24.jsonl"]
    journal.clear()
    store.events.sync()
    store.events.append([an_event(3)], DAY)
    store.events.sync()
    assert journal == [("write", "events/2026-11-24.jsonl"), ("fsync", "events/2026-11-24.jsonl")]


def test_a_removed_file_does_no_harm(tmp_path: Path) -> None:
    """Given a file that was removed before its sync, when synced and written, then a new one begins."""
    (tmp_path / "events").mkdir()
    events = EventFiles(Disk(tmp_path))
    events.append([an_event(1)], DAY)
    events.path("2026-11-24").unlink()
    events.sync()
    events.append([an_event(2)], DAY)
    assert read(events.backwards()) == [2]


def test_a_file_that_cannot_be_read_for_a_moment_is_not_cut(
    events: EventFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a read that fails once, when torn lines are looked for, then it is refused, and nothing is cut off."""
    events.append([an_event(1), an_event(2)], DAY)
    open_file, refusals = os.open, iter([errno.EIO])

    def refuse_once(path: str, flags: int, *arguments: int, **options: int) -> int:
        number = next(refusals, None) if str(path).endswith(".jsonl") else None
        if number is not None:
            raise OSError(number, os.strerror(number), str(path))
        return open_file(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse_once)
    with pytest.raises(StoreUnavailable):
        events.cut_torn()
    assert events.cut_torn() == 0
    assert read(events.forwards(Position("", 0))) == [1, 2]
