"""Folders of documents of one kind: read, create, update, archive."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

import msgspec

from state.documents import Document
from state.errors import CorruptDocument, NotFound, StateError, StoreUnavailable
from state.files import locks
from state.files.disk import NO_DOCUMENT
from state.files.ids import Numbers, highest_number, is_number
from state.files.quarantine import Quarantine
from state.files.staging import Files

D = TypeVar("D", bound=Document)
K = TypeVar("K", int, str)
P = ParamSpec("P")
R = TypeVar("R")

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

    def get_or_quarantine(self, key: K, unreadable: bool = False) -> tuple[D | None, CorruptDocument | None]:
        """Like `get`, and what does not parse is moved to quarantine and told; raises StoreUnavailable.

        With `unreadable` also what the system refuses to read twice.
        """
        try:
            return self.get(key), None
        except CorruptDocument:
            pass
        except StoreUnavailable as refused:
            if not (unreadable and refused.of_one_file):
                raise
        fault = self.quarantine(key, unreadable)
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
            # An operator, who takes no lock, may put one there in this moment.
            if not self._publish_new(self._files.stage(document.to_json()), document):
                return False
        self._files.sync_folder(self.folder)
        return True

    def _publish_new(self, staged: Path, document: D) -> bool:
        try:
            self._files.publish_new(staged, self.path(document.key))
        except FileExistsError:
            self._files.discard(staged)
            return False
        except BaseException:
            self._files.discard(staged)
            raise
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
            if refused.error.errno not in NO_DOCUMENT:
                raise
            raise CorruptDocument(path, NO_DOCUMENT[refused.error.errno]) from refused
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
        document = self._create(make)
        self._files.sync_folder(self.folder)
        return document

    def _create(self, make: Callable[[int], D]) -> D:
        """Without the sync of its folder. A number is in use when the counter was lost and an older one restored."""
        while True:
            (number,) = self._numbers.reserve(1)
            try:
                document = make(number)
                if self._publish_new(self._files.stage(document.to_json()), document):
                    return document
            except StateError:
                self._numbers.give_back(number)
                raise

    def create_reserved(self, document: D) -> bool:
        """Write a new document with its reserved number, durably; False when the number is in use by now."""
        created = self._publish_new(self._files.stage(document.to_json()), document)
        if created:
            self._files.sync_folder(self.folder)
        return created

    def reserve(self, count: int) -> range:
        """Numbers for documents that a batch will write."""
        return self._numbers.reserve(count)

    def mend_numbers(self) -> list[str]:
        """Put in order the files that tell the next number; returns what was wrong, in words."""
        return self._numbers.mend()

    def begin_above(self, number: int) -> int:
        """Let the numbers go on above this one and all in use; returns the next. For repairs."""
        return self._numbers.begin_above(number)

    def _highest(self) -> int:
        aside = [int(found.key) for found in self._aside.list() if found.folder == self._place and is_number(found.key)]
        return max(highest_number(self.folder), *aside, 0)
