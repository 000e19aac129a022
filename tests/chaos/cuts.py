"""The contents of a disk after a power cut: a model of files and folders and their guarantees.

Guaranteed is what was synced: a file's content by a sync of the file, a name by a sync of its folder. Of all else any
part may be there or not. A rename between two folders can be seen in the new one before it is in the old one, but what
was renamed is never in none of them. That is less than ext4, xfs and btrfs promise.
"""

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.disk import Operation


@dataclass(eq=False)
class File:
    """`synced` is the content that lasts, `versions` are those that it had since."""

    synced: bytes = b""
    versions: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return self.versions[-1] if self.versions else self.synced


@dataclass(eq=False)
class Change:
    """`name` refers to `after` from now on, not durably so far; once it is durable, `first` is durable too."""

    name: str
    after: "File | Folder | None"
    first: "tuple[Folder, Change] | None" = None


@dataclass(eq=False)
class Folder:
    """`synced` are the names that last, `pending` changes of names since."""

    synced: dict[str, "File | Folder"] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def now(self) -> dict[str, "File | Folder"]:
        """The names as a process sees them."""
        return self.after(self.pending)

    def sync_until(self, last: Change) -> None:
        """Make this change last, and with it the earlier ones of the same name."""
        if last in self.pending:
            earlier = self.pending[: self.pending.index(last) + 1]
            lasting = [change for change in earlier if change.name == last.name]
            self.synced = self.after(lasting)
            self.pending = [change for change in self.pending if change not in lasting]

    def after(self, changes: Iterable[Change]) -> dict[str, "File | Folder"]:
        """The names when these changes lasted."""
        names = dict(self.synced)
        for change in changes:
            if change.after is None:
                names.pop(change.name, None)
            else:
                names[change.name] = change.after
        return names


class Disk:
    """The disk below one root, brought to where it is by `apply`."""

    def __init__(self) -> None:
        self.root = Folder()

    def apply(self, operation: Operation, root: str) -> None:
        """Take in one operation that was made below `root`."""
        place = self._split(operation.path, root)
        match operation.name:
            case "open":
                self._open(place, operation.truncates)
            case "write":
                self._write(self._find(place), operation.data or b"", operation.offset)
            case "truncate":
                self._truncate(self._find(place), operation.offset or 0)
            case "fsync":
                self._sync(self._find(place))
            case "mkdir":
                if place:
                    self._set(place, Folder())
            case "unlink" | "rmdir":
                self._set(place, None)
            case "link":
                self._set(self._split(operation.target or "", root), self._find(place))
            case "rename":
                came = self._set(self._split(operation.target or "", root), self._find(place))
                self._set(place, None, came)

    @staticmethod
    def _split(path: str, root: str) -> list[str]:
        inside = os.path.relpath(path, root)
        return [] if inside == "." else inside.split(os.sep)

    def _find(self, place: list[str]) -> File | Folder:
        found: File | Folder = self.root
        for name in place:
            assert isinstance(found, Folder)
            found = found.now()[name]
        return found

    def _set(
        self, place: list[str], after: File | Folder | None, first: tuple[Folder, Change] | None = None
    ) -> tuple[Folder, Change]:
        folder = self._find(place[:-1])
        assert isinstance(folder, Folder)
        change = Change(place[-1], after, first)
        folder.pending.append(change)
        return folder, change

    def _open(self, place: list[str], truncates: bool) -> None:
        folder = self._find(place[:-1])
        assert isinstance(folder, Folder)
        found = folder.now().get(place[-1])
        if found is None:
            self._set(place, File())
        elif truncates and isinstance(found, File):
            found.versions.append(b"")

    @staticmethod
    def _write(file: File | Folder, data: bytes, offset: int | None) -> None:
        assert isinstance(file, File)
        before = file.content
        at = len(before) if offset is None else offset
        file.versions.append(before[:at].ljust(at, b"\0") + data + before[at + len(data) :])

    @staticmethod
    def _truncate(file: File | Folder, size: int) -> None:
        assert isinstance(file, File)
        file.versions.append(file.content[:size].ljust(size, b"\0"))

    def _sync(self, found: File | Folder) -> None:
        if isinstance(found, File):
            found.synced, found.versions = found.content, []
            return
        for change in found.pending:
            if change.first is not None:
                folder, came = change.first
                if folder is not found:
                    folder.sync_until(came)
        found.synced, found.pending = found.now(), []

    def lay_out(self, place: Path, choose: "Choice") -> None:
        """Write to `place` one disk that may be found after a cut at this moment."""
        lasting: set[int] = set()
        self._choose(self.root, choose, lasting)
        self._lay_out(self.root, place, choose, lasting)

    def _choose(self, folder: Folder, choose: "Choice", lasting: set[int]) -> None:
        for change in folder.pending:
            if choose.keeps():
                lasting.add(id(change))
                if change.first is not None:
                    lasting.add(id(change.first[1]))
        for found in {id(found): found for found in (*folder.synced.values(), *_came(folder))}.values():
            if isinstance(found, Folder):
                self._choose(found, choose, lasting)

    def _lay_out(self, folder: Folder, place: Path, choose: "Choice", lasting: set[int]) -> None:
        place.mkdir(parents=True, exist_ok=True)
        for name, found in folder.after(change for change in folder.pending if id(change) in lasting).items():
            if isinstance(found, Folder):
                self._lay_out(found, place / name, choose, lasting)
            else:
                (place / name).write_bytes(choose.content(found))


def _came(folder: Folder) -> Iterable[File | Folder]:
    return [change.after for change in folder.pending if change.after is not None]


@dataclass(frozen=True)
class Choice:
    """Which of all possible outcomes of a cut: whether a change of a name lasts, and what is in a file."""

    keeps: Callable[[], bool]
    content: Callable[[File], bytes]


LEAST = Choice(lambda: False, lambda file: file.synced)
"""Nothing lasts but what is guaranteed."""
NAMES_ONLY = Choice(lambda: True, lambda file: file.synced)
"""Names last before what is in the files, as on many file systems."""
MOST = Choice(lambda: True, lambda file: file.content)
"""The cut came just after everything was written."""


def any_of(chance: random.Random) -> Choice:
    """An outcome by chance: any part of what was not synced."""

    def content(file: File) -> bytes:
        found = chance.choice([file.synced, *file.versions])
        if file.versions and chance.random() < 0.3:
            length = chance.randrange(len(found) + 1)
            return found[:length] + (b"\0" * (len(found) - length) if chance.random() < 0.5 else b"")
        return found

    return Choice(lambda: chance.random() < 0.5, content)
