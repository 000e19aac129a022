"""The files of events, one for each day (UTC) in `events/`: a line of JSON for each event, only ever appended to.

The lines are copies of what stands in documents: what a crash or a power cut took away is written again, and readers
pass over what is damaged. Only the leader writes.
"""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from state.documents import Event
from state.errors import StoreUnavailable
from state.files.staging import Files

_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.jsonl")
_PLACE = re.compile(r"(\d{4}-\d{2}-\d{2}):(0|[1-9]\d{0,17})")
_CHUNK = 256 * 1024


class Place(NamedTuple):
    """A place between two lines: so many bytes of the file of this day. Later lines have higher places."""

    day: str
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What `str` made of a place; None for anything else."""
        match = _PLACE.fullmatch(text)
        return cls(match[1], int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.day}:{self.offset}"


class Line(NamedTuple):
    """One line without its end, and the place after it."""

    place: Place
    content: bytes

    @property
    def begin(self) -> Place:
        """The place before it."""
        return Place(self.place.day, self.place.offset - len(self.content) - 1)

    def event(self) -> Event | None:
        """What it tells; None when it is damaged."""
        try:
            event = msgspec.json.decode(self.content, type=Event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return None if event.kind is None else event


class Piece(NamedTuple):
    """Some lines, in the order of reading, and how far it was read."""

    place: Place
    lines: list[Line]


class EventFiles:
    """The folder `events/`. Writing raises StoreUnavailable and StoreFrozen.

    Reading passes over a file that the system refuses to read, and notes in `unreadable` why.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.folder = files.root / "events"
        self.unreadable: dict[str, str] = {}
        self._day = ""
        self._unsynced: set[Path] = set()

    def days(self) -> list[str]:
        """The days that have a file, the first one first."""
        return sorted(match[1] for name in self._files.names(self.folder) if (match := _NAME.fullmatch(name)))

    def path(self, day: str) -> Path:
        """Where the events of a day stand."""
        return self.folder / f"{day}.jsonl"

    def end(self) -> Place:
        """The place after all that stands there."""
        day = max(self.days(), default="0000-00-00")
        return Place(day, self._size(day))

    # Writing

    def append(self, events: Sequence[Event], now: float) -> None:
        """Add a line for each event, in one write; `sync` makes them last."""
        path = self.path(self._today(now))
        new = not path.exists()
        self._files.append(path, b"".join(msgspec.json.encode(event) + b"\n" for event in events))
        self._unsynced |= {path, self.folder} if new else {path}

    def sync(self) -> None:
        """Make all that was appended last."""
        while self._unsynced:
            path = self._unsynced.pop()
            if path == self.folder:
                self._files.sync_folder(path)
            else:
                self._files.sync_file(path)

    def check_last(self) -> None:
        """Raises StoreUnavailable when the last file cannot be read, or could not since `unreadable` was empty."""
        for day in self.days()[-1:]:
            if day in self.unreadable:
                raise StoreUnavailable(self.path(day), OSError(errno.EIO, self.unreadable[day]))
            try:
                with self.path(day).open("rb") as file:
                    file.read(1)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise StoreUnavailable(self.path(day), error) from error

    def is_torn(self, day: str) -> bool:
        """Whether the last line of this day has no end."""
        size = self._size(day)
        return self._read(day, max(0, size - 1), size) not in (b"", b"\n")

    def cut_torn(self) -> int:
        """Cut off what stands behind the last whole line; returns how many bytes that was."""
        end = self.end()
        self.unreadable.clear()
        whole = next((line.place for piece in self.backwards() for line in piece.lines), None)
        # What cannot be read is not torn.
        self.check_last()
        kept = whole.offset if whole is not None and whole.day == end.day else 0
        if kept < end.offset:
            self._files.truncate(self.path(end.day), kept)
        return end.offset - kept

    def thin_out(self, before: float) -> int:
        """Remove the files of days that were over before this time (Unix seconds); returns how many."""
        old = [day for day in self.days() if _next(day) <= _day_of(before)]
        for day in old:
            self._files.remove(self.path(day))
        return len(old)

    def _today(self, now: float) -> str:
        """The day whose file is written: none before the last one, so that places only grow.

        When the clock was ahead by more than a day, the file of that future becomes the one of today.
        """
        today = _day_of(now)
        last = max(today, self._day, *self.days()[-1:])
        if last > _next(today):
            self._files.move(self.path(last), self.path(today))
            last = today
        self._day = last
        return last

    # Reading

    def backwards(self, needle: bytes = b"", before: Place | None = None) -> Iterator[Piece]:
        """The lines with `needle` in them, the last one first, from `before` back, in pieces of some hundred KiB."""
        for day in reversed(self.days()):
            if before is None or day < before.day:
                yield from self.last(day, needle)
            elif day == before.day:
                yield from self._backwards(day, min(before.offset, self._size(day)), needle)

    def last(self, day: str, needle: bytes = b"") -> Iterator[Piece]:
        """The same of one day."""
        yield from self._backwards(day, self._size(day), needle)

    def forwards(self, after: Place, needle: bytes = b"") -> Iterator[Piece]:
        """The lines with `needle` in them, the first one first, from `after` on; what has no end yet is left out."""
        for day in self.days():
            if day >= after.day:
                yield from self._forwards(day, after.offset if day == after.day else 0, needle)

    def _backwards(self, day: str, end: int, needle: bytes) -> Iterator[Piece]:
        rest = b""  # the end of a line whose begin was not read yet
        begin = end
        while begin > 0:
            chunk = self._read(day, max(0, begin - _CHUNK), begin)
            begin = max(0, begin - _CHUNK)
            text = chunk + rest if rest else chunk[: chunk.rfind(b"\n") + 1]
            cut = text.find(b"\n") + 1 if begin else 0
            rest, body = text[:cut], text[cut:]
            place = begin + len(text)
            lines = []
            if body and needle in body:
                for content in reversed(body[:-1].split(b"\n")):
                    if needle in content:
                        lines.append(Line(Place(day, place), content))
                    place -= len(content) + 1
            yield Piece(Place(day, begin + cut), lines)

    def _forwards(self, day: str, begin: int, needle: bytes) -> Iterator[Piece]:
        # From one byte before, so that a place inside of a line leads to the next one.
        inside = begin > 0
        begin = max(0, min(begin, self._size(day)) - 1)
        size = _CHUNK
        while True:
            text = self._read(day, begin, begin + size)
            text = text[: text.rfind(b"\n") + 1]
            if not text:
                if begin + size > self._size(day):
                    return
                size *= 2
                continue
            if inside:
                inside = False
                begin += text.find(b"\n") + 1
                text = text[text.find(b"\n") + 1 :]
            lines = []
            place = begin
            if needle in text:
                for content in text[:-1].split(b"\n") if text else ():
                    place += len(content) + 1
                    if needle in content:
                        lines.append(Line(Place(day, place), content))
            begin += len(text)
            yield Piece(Place(day, begin), lines)

    def _size(self, day: str) -> int:
        try:
            return os.stat(self.path(day)).st_size
        except OSError:
            return 0

    def _read(self, day: str, begin: int, end: int) -> bytes:
        try:
            descriptor = os.open(self.path(day), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                return os.pread(descriptor, end - begin, begin)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return b""
        except OSError as error:
            self.unreadable[day] = error.strerror or str(error)
            return b""


def _day_of(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _next(day: str) -> str:
    return _day_of((datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)).timestamp())
