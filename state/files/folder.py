"""Folders of documents of one kind: read, created, quarantined and written again."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from state.documents import Document, is_number
from state.errors import CorruptDocument, NewerDocument, NotFound, StateError
from state.files import checksum
from state.files.disk import NOT_A_DOCUMENT, Disk, DiskError, result_or_error
from state.files.ids import Numbers, highest_number
from state.files.quarantine import Quarantine
from state.host.machine import FileStamp, stamp_of

D = TypeVar("D", bound=Document)
K = TypeVar("K", int, str)

_NUMBERED_NAME = re.compile(r"(0|[1-9][0-9]*)\.json")


class Folder(Generic[D, K]):
    """Documents of `form`, one `KEY.json` each, in one folder. See `state.store.Documents`."""

    def __init__(self, disk: Disk, form: type[D], folder: str) -> None:
        self._disk = disk
        self.form = form
        self.kind = form.__name__.lower()
        self.folder = disk.root / folder
        self._name = folder
        self._quarantine = Quarantine(disk)
        self._cached: tuple[dict[str, tuple[FileStamp, D | None]], tuple[D, ...]] = {}, ()

    def path(self, key: K) -> Path:
        """The file of the living document."""
        return self.folder / f"{key}.json"

    def place(self, key: K) -> str:
        return f"{self._name}/{key}"

    def living(self) -> Iterator[K]:
        for name in self._disk.names(self.folder):
            key = self.key_of(name)
            if key is not None:
                yield key

    def key_of(self, name: str) -> K | None:
        """The key in a file's name, None when no document has this name."""
        stem, dot, ending = name.rpartition(".")
        return stem if dot and ending == "json" and stem else None  # type: ignore[return-value]

    def get(self, key: K) -> D | None:
        return self.parse(self.path(key), key)

    def read(self, key: K) -> D:
        document = self.get(key)
        if document is None:
            raise self._missing(key)
        return document

    def all(self) -> tuple[D, ...]:
        before, documents = self._cached
        known: dict[str, tuple[FileStamp, D | None]] = {}
        different = False
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    stamp = stamp_of(entry)
                    if stamp is None:
                        continue
                    kept = before.get(entry.name)
                    if kept is None or kept[0] != stamp:
                        kept = stamp, self._get_named(entry.name)
                        different = True
                    known[entry.name] = kept
        except OSError as error:
            raise DiskError(self._name, error) from error
        if different or len(known) != len(before):
            found = [document for _, document in known.values() if document is not None]
            documents = tuple(sorted(found, key=lambda document: document.key))
            self._cached = known, documents
        return documents

    def _get_named(self, name: str) -> D | None:
        key = self.key_of(name)
        try:
            return None if key is None else self.get(key)
        except (CorruptDocument, NewerDocument):
            return None

    def exists(self, key: K) -> bool:
        """Whether anything is in the place of the document, finished ones too."""
        return os.path.lexists(self.path(key))

    def lock(self, key: K) -> AbstractContextManager[None]:
        """Keep other writers of this document waiting for a moment."""
        return self._disk.lock(self.kind)

    def get_or_quarantine(self, key: K, unreadable: bool = False) -> tuple[D | None, CorruptDocument | None]:
        """Like `get`, and a corrupt document is quarantined and returned as the fault.

        With `unreadable` so is one that the system refuses to read twice. Raises NewerDocument in any case.
        """
        try:
            return self.get(key), None
        except CorruptDocument:
            pass
        except DiskError as refused:
            if not (unreadable and refused.one_document):
                raise
        fault = self.quarantine(key, unreadable)
        return (None, fault) if fault else (self.get(key), None)

    def quarantine(self, key: K, unreadable: bool = False) -> CorruptDocument | None:
        """Quarantine a document if it is corrupt, after reading it again; None when it is not.

        With `unreadable` also one that the system refuses to read, since its content is unknown. Raises NewerDocument.
        """
        with self.lock(key):
            return self._quarantine_file(self.path(key), key, unreadable)

    def put_back(self, document: D) -> bool:
        """Write a document whose file is missing, unless something is in its place; durable when this returns."""
        with self.lock(document.key):
            if self.exists(document.key):
                return False
            # An operator, who takes no lock, may put one there in this moment.
            if not self._publish_new(self._disk.stage(checksum.encode(document)), document):
                return False
        self._disk.sync_folder(self.folder)
        return True

    def _publish_new(self, staged: Path, document: D) -> bool:
        """Publish a staged document; False when something is in its place."""
        try:
            self._disk.publish_new(staged, self.path(document.key))
        except FileExistsError:
            self._disk.discard(staged)
            return False
        except BaseException:
            self._disk.discard(staged)
            raise
        return True

    def _quarantine_file(self, path: Path, key: K, unreadable: bool = False) -> CorruptDocument | None:
        try:
            self.parse(path, key)
        except CorruptDocument as fault:
            return CorruptDocument(fault.place, fault.reason, self._quarantine.take(path))
        except DiskError as refused:
            if not (unreadable and refused.one_document):
                raise
            return CorruptDocument(refused.place, refused.reason, self._quarantine.take(path))
        return None

    def parse(self, path: Path, key: K) -> D | None:
        """The document `key` in a file, None when there is no file.

        Raises CorruptDocument, NewerDocument and StoreUnavailable.
        """
        try:
            content = self._disk.read(path)
        except DiskError as refused:
            if refused.error.errno not in NOT_A_DOCUMENT:
                raise
            raise CorruptDocument(refused.place, NOT_A_DOCUMENT[refused.error.errno]) from refused
        if content is None:
            return None
        try:
            document = checksum.decode(self.form, content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            place = self._disk.place(path)
            if checksum.is_newer(self.form, content, key):
                raise NewerDocument(place, self.kind, key, str(error), content) from error
            raise CorruptDocument(place, str(error)) from error
        if document.key != key:
            raise CorruptDocument(self._disk.place(path), f"it says that it is {self.kind} {document.key}")
        return document

    def _missing(self, key: K) -> NotFound | CorruptDocument:
        """The error for a document that is not there: one in quarantine is not deleted, but corrupt."""
        if self._quarantine.holds(self._name, key):
            return CorruptDocument(self.place(key), "it is in quarantine")
        return NotFound(self.kind, key)


class NumberedFolder(Folder[D, int]):
    """Documents with numbers that the store assigns. See `state.store.Numbered`."""

    def __init__(self, disk: Disk, form: type[D], folder: str) -> None:
        super().__init__(disk, form, folder)
        self._numbers = Numbers(disk, folder.partition("/")[0], self._highest)

    def key_of(self, name: str) -> int | None:
        match = _NUMBERED_NAME.fullmatch(name)
        return int(match[1]) if match else None

    def create(self, make: Callable[[int], D]) -> D:
        document = self._create(make)
        self._disk.sync_folder(self.folder)
        return document

    def create_all(self, makes: Sequence[Callable[[int], D]]) -> list[D]:
        if not makes:
            return []
        documents = [make(number) for make, number in zip(makes, self.reserve(len(makes)), strict=True)]
        staged = self._disk.stage_all([checksum.encode(document) for document in documents])
        published = [
            result_or_error(self._publish_new, path, each) for path, each in zip(staged, documents, strict=True)
        ]
        for index, outcome in enumerate(published):
            if isinstance(outcome, StateError):
                raise outcome
            if not outcome:
                documents[index] = self._create(makes[index])
        self._disk.sync_folder(self.folder)
        return documents

    def _create(self, make: Callable[[int], D]) -> D:
        """Create a document without the sync of its folder.

        A number is in use when the counter was lost and an older one was restored: then the next one is taken.
        """
        while True:
            (number,) = self._numbers.reserve(1)
            try:
                document = make(number)
                if self._publish_new(self._disk.stage(checksum.encode(document)), document):
                    return document
            except StateError:
                self._numbers.give_back(number)
                raise

    def create_reserved(self, document: D) -> bool:
        created = self._publish_new(self._disk.stage(checksum.encode(document)), document)
        if created:
            self._disk.sync_folder(self.folder)
        return created

    def reserve(self, count: int) -> range:
        return self._numbers.reserve(count)

    def mend_numbers(self) -> list[str]:
        """Repair the files that hold the next number; returns what was wrong, in words."""
        return self._numbers.mend()

    def begin_above(self, number: int) -> int:
        """Continue the numbers above this one and above all in use; returns the next. For repairs."""
        return self._numbers.begin_above(number)

    def _highest(self) -> int:
        quarantined = [thing for thing in self._quarantine.list() if thing.folder == self._name]
        numbers = [int(thing.key) for thing in quarantined if is_number(thing.key)]
        return max(highest_number(self.folder), *numbers, 0)
