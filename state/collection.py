"""Folders of documents of one kind: read, create, update, archive."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from state import locks
from state.documents import Document
from state.errors import CorruptDocument, NotFound
from state.files import Files
from state.ids import Numbers, highest_number, is_number

D = TypeVar("D", bound=Document)
K = TypeVar("K", int, str)

STRIPES = 256
ARCHIVE_FOLDER_SIZE = 1000
_NUMBERED_NAME = re.compile(r"(0|[1-9][0-9]*)\.json")


class Collection(Generic[D, K]):
    """Documents of `form`, one `KEY.json` each, in one folder."""

    def __init__(self, files: Files, form: type[D], folder: str) -> None:
        self._files = files
        self.form = form
        self.kind = form.__name__.lower()
        self.folder = files.root / folder

    def path(self, key: K) -> Path:
        """Where the living document stands."""
        return self.folder / f"{key}.json"

    def living(self) -> Iterator[K]:
        """The keys of all living documents, in no order."""
        for name in self._files.names(self.folder):
            key = self.key_of(name)
            if key is not None:
                yield key

    def key_of(self, name: str) -> K | None:
        """The key in a file's name, None when it is no document's."""
        stem, dot, ending = name.rpartition(".")
        return stem if dot and ending == "json" and stem else None  # type: ignore[return-value]

    def get(self, key: K) -> D | None:
        """The living document, None when there is none; raises CorruptDocument and StoreUnavailable."""
        return self._parse(self.path(key))

    def read(self, key: K) -> D:
        """The document, finished ones too; raises NotFound, CorruptDocument and StoreUnavailable."""
        document = self.get(key)
        if document is None:
            raise NotFound(self.kind, key)
        return document

    def lock(self, key: K) -> AbstractContextManager[None]:
        """Hold off other writers of this document for a moment."""
        return locks.brief(self._files.root / "locks" / self.kind)

    def get_or_quarantine(self, key: K) -> tuple[D | None, CorruptDocument | None]:
        """Like `get`, and what does not parse is moved to quarantine and told; raises StoreUnavailable."""
        try:
            return self.get(key), None
        except CorruptDocument:
            fault = self.quarantine(key)
            return (None, fault) if fault else (self.get(key), None)

    def quarantine(self, key: K) -> CorruptDocument | None:
        """Move a document that does not parse aside, after reading it again; None when it does parse now."""
        path = self.path(key)
        with self.lock(key):
            try:
                self.get(key)
            except CorruptDocument as fault:
                place = f"{self.folder.relative_to(self._files.root)}".replace("/", "-")
                aside = self._files.root / "quarantine" / f"{place}-{key}.{time.time_ns()}"
                self._files.move(path, aside)
                self._files.sync_folder(path.parent)
                self._files.sync_folder(aside.parent)
                return CorruptDocument(path, fault.why, aside)
        return None

    def _parse(self, path: Path) -> D | None:
        content = self._files.read(path)
        if content is None:
            return None
        try:
            return self.form.from_json(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorruptDocument(path, str(error)) from error


class Numbered(Collection[D, int]):
    """Documents with numbers that the store gives."""

    def __init__(self, files: Files, form: type[D], folder: str) -> None:
        super().__init__(files, form, folder)
        self._numbers = Numbers(files, folder.partition("/")[0], self._highest)

    def key_of(self, name: str) -> int | None:
        match = _NUMBERED_NAME.fullmatch(name)
        return int(match[1]) if match else None

    def create(self, make: Callable[[int], D]) -> D:
        """Write a new document with the next number; it lasts when this returns."""
        while True:
            (number,) = self._numbers.reserve()
            document = make(number)
            staged = self._files.stage(document.to_json())
            try:
                self._files.publish_new(staged, self.path(number))
            except FileExistsError:
                # The counter was lost and somebody restored an older one: the number is in use, so take the next.
                self._files.discard(staged)
                continue
            except BaseException:
                self._files.discard(staged)
                raise
            self._files.sync_folder(self.folder)
            return document

    def reserve(self, count: int) -> range:
        """Numbers for documents that a batch will write."""
        return self._numbers.reserve(count)

    def _highest(self) -> int:
        return highest_number(self.folder)


class Archived(Numbered[D]):
    """Numbered documents that leave their folder for an archive when they are finished."""

    def __init__(self, files: Files, form: type[D], folder: str, archive: str) -> None:
        super().__init__(files, form, folder)
        self.archive_folder = files.root / archive

    def archive_path(self, key: int) -> Path:
        """Where the finished document stands."""
        return self.archive_folder / str(key // ARCHIVE_FOLDER_SIZE) / f"{key}.json"

    def lock(self, key: int) -> AbstractContextManager[None]:
        return locks.brief(self._files.root / "locks" / "tickets" / f"{key % STRIPES:02x}")

    def read(self, key: int) -> D:
        document = self.get(key) or self._parse(self.archive_path(key))
        if document is None:
            raise NotFound(self.kind, key)
        return document

    def read_durable(self, key: int) -> D:
        """Like `read`, and what it says is a promise: its folder is synced first, whoever wrote the document."""
        document = self.get(key)
        if document is not None:
            self._files.sync_folder(self.folder)
            return document
        document = self.read(key)
        self._files.sync_folder(self.archive_path(key).parent)
        return document

    def update(self, key: int, change: Callable[[D], D]) -> D:
        """Replace the document by `change(document)`, alone; durable when this returns.

        A change that returns the same object writes nothing. Raises NotFound, and what `change` raises.
        """
        with self.lock(key):
            document = self.read(key)
            changed = change(document)
            path = self.path(key)
            if not path.exists():
                path = self.archive_path(key)
            if changed is not document:
                staged = self._files.stage(changed.to_json())
                try:
                    self._files.publish(staged, path)
                except BaseException:
                    self._files.discard(staged)
                    raise
        self._files.sync_folder(path.parent)
        return changed

    def archive(self, key: int) -> set[Path]:
        """Move a finished document to the archive; returns the folders to sync."""
        target = self.archive_path(key)
        self._files.make_folder(target.parent)
        with self.lock(key):
            moved = self._files.move(self.path(key), target)
        return {self.folder, target.parent} if moved else set()

    def thin_out(self, before: float) -> int:
        """Remove the archive's subfolders with nothing written since this time; returns how many documents.

        The newest subfolder stays, for it tells the highest number in use.
        """
        removed = 0
        folders = sorted((int(name), name) for name in self._files.names(self.archive_folder) if is_number(name))
        for _, name in folders[:-1]:
            folder = self.archive_folder / name
            if folder.stat().st_mtime < before:
                removed += len(self._files.names(folder))
                shutil.rmtree(folder, ignore_errors=True)
        return removed

    def _highest(self) -> int:
        return max(highest_number(self.folder), highest_number(self.archive_folder))
