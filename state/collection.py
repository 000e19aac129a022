"""Folders of documents of one kind: read, create, update, archive."""

import errno
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from state import locks
from state.documents import Document
from state.errors import CorruptDocument, NotFound, StateError, StoreUnavailable
from state.files import Files
from state.ids import Numbers, highest_number, is_number
from state.quarantine import Quarantine

D = TypeVar("D", bound=Document)
K = TypeVar("K", int, str)
A = TypeVar("A")

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
        self._place = folder
        self._aside = Quarantine(files)

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
        return self.parse(self.path(key), key)

    def read(self, key: K) -> D:
        """The document, finished ones too; raises NotFound, CorruptDocument and StoreUnavailable.

        One that is in quarantine counts as corrupt, for it is not gone.
        """
        document = self.get(key)
        if document is None:
            raise self._missing(key)
        return document

    def exists(self, key: K) -> bool:
        """Whether something stands at the document's place, finished ones' too."""
        return os.path.lexists(self.path(key))

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

    def quarantine(self, key: K, unreadable: bool = False) -> CorruptDocument | None:
        """Move a document that does not parse aside, after reading it again; None when it does parse now.

        With `unreadable` also one that the system refuses to read: for who knows what it said.
        """
        with self.lock(key):
            return self._quarantine(self.path(key), key, unreadable)

    def put_back(self, document: D) -> bool:
        """Write a document whose file went away again, unless something stands there; durable when this returns."""
        with self.lock(document.key):
            if self.exists(document.key):
                return False
            staged = self._files.stage(document.to_json())
            try:
                self._files.publish_new(staged, self.path(document.key))
            except BaseException:
                self._files.discard(staged)
                raise
        self._files.sync_folder(self.folder)
        return True

    def _quarantine(self, path: Path, key: K, unreadable: bool = False) -> CorruptDocument | None:
        try:
            self.parse(path, key)
        except CorruptDocument as fault:
            return CorruptDocument(path, fault.why, self._aside.take(path))
        except StoreUnavailable as refused:
            if not (unreadable and refused.of_one_file):
                raise
            return CorruptDocument(path, refused.error.strerror or str(refused.error), self._aside.take(path))
        return None

    def parse(self, path: Path, key: K) -> D | None:
        """The document that should stand there, None when nothing does; raises CorruptDocument and StoreUnavailable."""
        try:
            content = self._files.read(path)
        except StoreUnavailable as refused:
            if refused.error.errno != errno.EISDIR:
                raise
            raise CorruptDocument(path, "it is a folder") from refused
        if content is None:
            return None
        try:
            document = self.form.from_json(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorruptDocument(path, str(error)) from error
        if document.key != key:
            raise CorruptDocument(path, f"it says that it is {self.kind} {document.key}")
        return document

    def _missing(self, key: K) -> NotFound | CorruptDocument:
        if self._aside.holds(self._place, key):
            return CorruptDocument(self.path(key), "it is in quarantine")
        return NotFound(self.kind, key)


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
        return _only(self.create_all([make]))

    def create_all(self, makes: Sequence[Callable[[int], D]]) -> list[D | StateError]:
        """Write new documents with the next numbers; those that could be written last when this returns."""
        numbers = deque(self._numbers.reserve(len(makes)))
        outcomes: list[D | StateError] = []
        for make in makes:
            try:
                outcomes.append(self._create_next(make, numbers))
            except StateError as error:
                outcomes.append(error)
        while numbers:
            self._numbers.give_back(numbers.pop())
        return self._synced({self.folder}, outcomes)

    def _create_next(self, make: Callable[[int], D], numbers: deque[int]) -> D:
        while True:
            if not numbers:
                numbers.extend(self._numbers.reserve(1))
            document = make(numbers[0])
            created = self._publish_new(document)
            # In use when the counter was lost and somebody restored an older one: then take the next.
            numbers.popleft()
            if created:
                return document

    def create_reserved(self, document: D) -> bool:
        """Write a new document with its reserved number, durably; False when the number is in use by now."""
        created = self._publish_new(document)
        if created:
            self._files.sync_folder(self.folder)
        return created

    def _publish_new(self, document: D) -> bool:
        staged = self._files.stage(document.to_json())
        try:
            self._files.publish_new(staged, self.path(document.key))
        except FileExistsError:
            self._files.discard(staged)
            return False
        except BaseException:
            self._files.discard(staged)
            raise
        return True

    def _synced(self, folders: set[Path], outcomes: list[D | StateError]) -> list[D | StateError]:
        """What was done in these folders, once it lasts; when it may not, the error instead."""
        if all(isinstance(outcome, StateError) for outcome in outcomes):
            return outcomes
        try:
            for folder in folders:
                self._files.sync_folder(folder)
        except StateError as error:
            return [outcome if isinstance(outcome, StateError) else error for outcome in outcomes]
        return outcomes

    def reserve(self, count: int) -> range:
        """Numbers for documents that a batch will write."""
        return self._numbers.reserve(count)

    def begin_above(self, number: int) -> int:
        """Let the numbers go on above this one and all in use; returns the next. For repairs."""
        return self._numbers.begin_above(number)

    def _highest(self) -> int:
        aside = [int(found.key) for found in self._aside.list() if found.folder == self._place and is_number(found.key)]
        return max(highest_number(self.folder), *aside, 0)


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
        return self._find(key)[0]

    def exists(self, key: int) -> bool:
        return super().exists(key) or os.path.lexists(self.archive_path(key))

    def archived(self) -> Iterator[int]:
        """The keys of all finished documents, in no order."""
        for name in self._files.names(self.archive_folder):
            if is_number(name):
                for file in self._files.names(self.archive_folder / name):
                    key = self.key_of(file)
                    if key is not None:
                        yield key

    def finished_since(self, at: float) -> Iterator[D]:
        """Finished documents that were written last since this time (Unix seconds), as far as they can be read."""
        for name in self._files.names(self.archive_folder):
            folder = self.archive_folder / name
            if is_number(name) and folder.stat().st_mtime >= at:
                for file in self._files.names(folder):
                    key = self.key_of(file)
                    try:
                        if key is not None and (folder / file).stat().st_mtime >= at:
                            document = self.parse(folder / file, key)
                            if document is not None:
                                yield document
                    except (CorruptDocument, StoreUnavailable, FileNotFoundError):
                        continue

    def quarantine_archived(self, key: int) -> CorruptDocument | None:
        """Move a finished document that does not parse aside; None when it does, or is not there."""
        with self.lock(key):
            return self._quarantine(self.archive_path(key), key)

    def read_durable(self, key: int) -> D:
        """Like `read`, and what it says is a promise: its folder is synced first, whoever wrote the document."""
        return _only(self.read_all_durable([key]))

    def read_all_durable(self, keys: Sequence[int]) -> list[D | StateError]:
        """Read documents whose contents are promises; each folder is synced once."""
        return self._each(keys, self._find)

    def update(self, key: int, change: Callable[[D], D]) -> D:
        """Replace the document by `change(document)`, alone; durable when this returns.

        A change that returns the same object writes nothing. Raises NotFound, and what `change` raises.
        """
        return _only(self.update_all([(key, change)]))

    def update_all(self, changes: Sequence[tuple[int, Callable[[D], D]]]) -> list[D | StateError]:
        """Replace documents, each alone; those that could be are durable when this returns."""
        return self._each(changes, self._change)

    def _each(self, arguments: Sequence[A], act: Callable[[A], tuple[D, Path]]) -> list[D | StateError]:
        """Do something with each; it tells the document and the folder that has to be synced for it."""
        folders: set[Path] = set()
        outcomes: list[D | StateError] = []
        for argument in arguments:
            try:
                document, path = act(argument)
            except StateError as error:
                outcomes.append(error)
            else:
                folders.add(path.parent)
                outcomes.append(document)
        return self._synced(folders, outcomes)

    def _find(self, key: int) -> tuple[D, Path]:
        """The document and where it stands; raises as `read` does."""
        for path in (self.path(key), self.archive_path(key)):
            document = self.parse(path, key)
            if document is not None:
                return document, path
        raise self._missing(key)

    def _change(self, call: tuple[int, Callable[[D], D]]) -> tuple[D, Path]:
        key, change = call
        with self.lock(key):
            document, path = self._find(key)
            changed = change(document)
            if changed is not document:
                staged = self._files.stage(changed.to_json())
                try:
                    self._files.publish(staged, path)
                except BaseException:
                    self._files.discard(staged)
                    raise
        return changed, path

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
        return max(super()._highest(), highest_number(self.archive_folder))


def _only(outcomes: Sequence[D | StateError]) -> D:
    (outcome,) = outcomes
    if isinstance(outcome, StateError):
        raise outcome
    return outcome
