"""The files of events: one for each day (UTC) in `events/`, a line of JSON for each event, only ever appended to.

The lines are copies of what documents say: lines that are lost in a crash or a power cut are written again, and readers
skip corrupt ones. Only the leader writes. A position is a day and an offset in the file of that day.
"""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from state.documents import Event
from state.files.disk import Disk, DiskError
from state.store import Line, Piece, Position

_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.jsonl")
_CHUNK = 256 * 1024


class EventFiles:
    """The folder `events/`. See `state.store.Events`.

    Reading skips a file that the system refuses to read, and keeps the reason in `unreadable`, by day.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.folder = disk.root / "events"
        self.unreadable: dict[str, str] = {}
        self._day = ""
        self._unsynced: set[Path] = set()

    def days(self) -> list[str]:
        """The days that have a file, in order."""
        return sorted(match[1] for name in self._disk.names(self.folder) if (match := _NAME.fullmatch(name)))

    def path(self, day: str) -> Path:
        """The file of a day."""
        return self.folder / f"{day}.jsonl"

    def end(self) -> Position:
        day = max(self.days(), default="0000-00-00")
        return Position(day, self._size(day))

    # Writing

    def append(self, events: Sequence[Event], now: float) -> None:
        # In one write.
        path = self.path(self._today(now))
        new = not path.exists()
        self._disk.append(path, b"".join(msgspec.json.encode(event) + b"\n" for event in events))
        self._unsynced |= {path, self.folder} if new else {path}

    def sync(self) -> None:
        while self._unsynced:
            path = self._unsynced.pop()
            if path == self.folder:
                self._disk.sync_folder(path)
            else:
                self._disk.sync_file(path)

    def _check_readable(self, day: str) -> None:
        """Raises StoreUnavailable when the system refuses to read the file of this day."""
        with self._disk.disk_errors(self.path(day)):
            try:
                with self.path(day).open("rb") as file:
                    file.read(1)
            except FileNotFoundError:
                pass

    def is_torn(self, day: str) -> bool:
        """Whether the last line of this day is incomplete."""
        size = self._size(day)
        return self._read(day, max(0, size - 1), size) not in (b"", b"\n")

    def recover(self) -> str | None:
        cut = self.cut_torn()
        return f"events/: the last line was torn; {cut} bytes cut off" if cut else None

    def cut_torn(self) -> int:
        """Cut off what is behind the last whole line; returns how many bytes that was."""
        end = self.end()
        # Strict, since an unreadable file is not torn.
        whole = next((line.end for piece in self.backwards(strict=True) for line in piece.lines), None)
        kept = whole.offset if whole is not None and whole.day == end.day else 0
        if kept < end.offset:
            self._disk.truncate(self.path(end.day), kept)
        return end.offset - kept

    def thin_out(self, before: float) -> int:
        old = [day for day in self.days() if _next(day) <= _day_of(before)]
        for day in old:
            self._disk.remove(self.path(day))
        return len(old)

    def _today(self, now: float) -> str:
        """The day whose file is written: never one before the last file, so that positions only grow.

        When the clock was ahead by more than a day, the file of that future day becomes the file of today.
        """
        today = _day_of(now)
        last = max(today, self._day, *self.days()[-1:])
        if last > _next(today):
            self._disk.move(self.path(last), self.path(today))
            last = today
        self._day = last
        return last

    # Reading

    def backwards(self, needle: bytes = b"", before: Position | None = None, strict: bool = False) -> Iterator[Piece]:
        # In pieces of some hundred KiB.
        days = self.days()
        for day in reversed(days):
            if before is not None and day > before.day:
                continue
            if strict and day == days[-1]:
                self._check_readable(day)
            size = self._size(day)
            end = size if before is None or day < before.day else min(before.offset, size)
            yield from self._backwards(day, end, needle, strict and day == days[-1])

    def forwards(self, after: Position, needle: bytes = b"") -> Iterator[Piece]:
        # An incomplete last line is left out.
        for day in self.days():
            if day >= after.day:
                yield from self._forwards(day, after.offset if day == after.day else 0, needle)

    def _backwards(self, day: str, end: int, needle: bytes, strict: bool) -> Iterator[Piece]:
        rest = b""  # the end of a line whose beginning was not read yet
        begin = end
        while begin > 0:
            chunk = self._read(day, max(0, begin - _CHUNK), begin, strict)
            begin = max(0, begin - _CHUNK)
            text = chunk + rest if rest else chunk[: chunk.rfind(b"\n") + 1]
            cut = text.find(b"\n") + 1 if begin else 0
            rest, body = text[:cut], text[cut:]
            at = begin + len(text)
            lines = []
            if body and needle in body:
                for content in reversed(body[:-1].split(b"\n")):
                    before = at - len(content) - 1
                    if needle in content:
                        lines.append(Line(Position(day, before), Position(day, at), content))
                    at = before
            yield Piece(Position(day, begin + cut), lines)

    def _forwards(self, day: str, begin: int, needle: bytes) -> Iterator[Piece]:
        # From one byte before, so that a position inside a line leads to the next line.
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
            at = begin
            if needle in text:
                for content in text[:-1].split(b"\n") if text else ():
                    before, at = at, at + len(content) + 1
                    if needle in content:
                        lines.append(Line(Position(day, before), Position(day, at), content))
            begin += len(text)
            yield Piece(Position(day, begin), lines)

    def _size(self, day: str) -> int:
        try:
            return os.stat(self.path(day)).st_size
        except OSError:
            return 0

    def _read(self, day: str, begin: int, end: int, strict: bool = False) -> bytes:
        try:
            descriptor = os.open(self.path(day), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                return os.pread(descriptor, end - begin, begin)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return b""
        except OSError as error:
            if strict:
                raise DiskError(self._disk.place(self.path(day)), error) from error
            self.unreadable[day] = error.strerror or str(error)
            return b""


def _day_of(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _next(day: str) -> str:
    return _day_of((datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)).timestamp())
