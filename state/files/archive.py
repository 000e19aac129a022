"""Numbered documents that are moved to an archive when they are finished.

Concurrent calls are batched (`do_all`): each has its own result or error, and what all of them need, above all a sync,
is done once.
"""

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Generic

from state.documents import is_number
from state.errors import CorruptDocument, NewerDocument, StateError, StoreUnavailable, UnreadableDocument
from state.files import checksum
from state.files.disk import Disk, DiskError, result_or_error
from state.files.folder import D, NumberedFolder
from state.files.ids import highest_number
from state.store import Call, Change, Create, Read
from state.survey import GROUP_SIZE

STRIPES = 256
"""How many locks the documents share."""
_MOST_REFUSALS = 10
"""Documents of one subfolder that are tried in vain before the others are left for later."""


@dataclass(frozen=True)
class _Draft(Generic[D]):
    """The document that is to replace `base` in the file `path`."""

    base: D | None
    document: D
    path: Path

    @property
    def is_new(self) -> bool:
        """Whether there is something to write: not for a Read, nor for a change that changed nothing."""
        return self.document is not self.base


class ArchivedFolder(NumberedFolder[D]):
    """Documents of `form` in `folder`, archived in subfolders of `archive` by number, a thousand in each.

    See `state.store.Finished`.
    """

    def __init__(self, disk: Disk, form: type[D], folder: str, archive: str) -> None:
        super().__init__(disk, form, folder)
        self.archive_folder = disk.root / archive

    def archive_path(self, key: int) -> Path:
        """The file of the finished document."""
        return self.archive_folder / str(key // GROUP_SIZE) / f"{key}.json"

    def lock(self, key: int) -> AbstractContextManager[None]:
        return self._disk.lock(f"tickets/{key % STRIPES:02x}")

    def read(self, key: int) -> D:
        return self._find(key)[0]

    def read_with_durability(self, key: int) -> tuple[D, bool]:
        document, path = self._find(key)
        # A later version that replaced this one after it was read counts too: a durable one is as good.
        return document, self._disk.is_durable(path)

    def exists(self, key: int) -> bool:
        return super().exists(key) or os.path.lexists(self.archive_path(key))

    def archived(self) -> Iterator[int]:
        for name in self._disk.names(self.archive_folder):
            if is_number(name):
                for file in self._disk.names(self.archive_folder / name):
                    key = self.key_of(file)
                    if key is not None:
                        yield key

    def finished_since(self, time: float) -> Iterator[D]:
        for name in sorted(filter(is_number, self._disk.names(self.archive_folder)), key=int, reverse=True):
            folder = self.archive_folder / name
            if _written_at(folder) < time:
                continue
            keys = (self.key_of(file) for file in self._disk.names(folder))
            for key in sorted((key for key in keys if key is not None), reverse=True):
                path = self.archive_path(key)
                try:
                    document = self.parse(path, key) if path.stat().st_mtime >= time else None
                except (CorruptDocument, NewerDocument, StoreUnavailable, FileNotFoundError):
                    continue
                if document is not None:
                    yield document

    def check_archived(self) -> Iterator[CorruptDocument | UnreadableDocument | None]:
        """Quarantine corrupt finished documents, one step at a time; each item is the fault of one document."""
        for key in self.archived():
            try:
                yield self.quarantine_archived(key)
            except NewerDocument as newer:
                yield newer
            except DiskError as refused:
                if not refused.one_document:
                    raise
                yield UnreadableDocument(refused.place, refused.reason)

    def quarantine_archived(self, key: int) -> CorruptDocument | None:
        """Quarantine a finished document if it is corrupt; None when it is not, or does not exist."""
        with self.lock(key):
            return self._quarantine_file(self.archive_path(key), key)

    def read_durable(self, key: int) -> D:
        return self._do(Read(key))

    def update(self, key: int, change: Callable[[D], D]) -> D:
        return self._do(Change(key, change))

    def _do(self, call: Call[D]) -> D:
        (outcome,) = self.do_all([call])
        if isinstance(outcome, StateError):
            raise outcome
        return outcome

    def do_all(self, calls: Sequence[Call[D]]) -> list[D | StateError]:
        drafts = self._drafts(calls)
        contents = [checksum.encode(draft.document) for draft in drafts if isinstance(draft, _Draft) and draft.is_new]
        staged = iter(self._disk.stage_each(contents))
        done: list[_Draft[D] | StateError] = []
        for call, draft in zip(calls, drafts, strict=True):
            if isinstance(draft, _Draft) and draft.is_new:
                done.append(result_or_error(self._publish, call, draft, next(staged)))
            else:
                done.append(draft)
        # From the highest number down, since only the last number can be given back.
        for draft, result in reversed([*zip(drafts, done, strict=True)]):
            if isinstance(draft, _Draft) and draft.base is None and isinstance(result, StateError):
                self._numbers.give_back(draft.document.key)
        return self._synced(done)

    def _drafts(self, calls: Sequence[Call[D]]) -> list[_Draft[D] | StateError]:
        """The draft or the error of each call; when no numbers can be reserved, only the creates fail."""
        creates = sum(isinstance(call, Create) for call in calls)
        numbers = result_or_error(self.reserve, creates) if creates else range(0)
        if isinstance(numbers, StateError):
            return [
                numbers if isinstance(call, Create) else result_or_error(self._draft, call, iter(())) for call in calls
            ]
        left = iter(numbers)
        return [result_or_error(self._draft, call, left) for call in calls]

    def _draft(self, call: Call[D], numbers: Iterator[int]) -> _Draft[D]:
        if isinstance(call, Create):
            document = call.make(next(numbers))
            return _Draft(None, document, self.path(document.key))
        found, path = self._find(call.key)
        return _Draft(found, found if isinstance(call, Read) else call.change(found), path)

    def _publish(self, call: Call[D], draft: _Draft[D], staged: Path | StateError) -> _Draft[D]:
        """Publish the staged file of a draft; make another draft when the document has changed meanwhile."""
        if isinstance(staged, StateError):
            raise staged
        if isinstance(call, Create):
            if self._publish_new(staged, draft.document):
                return draft
            document = self._create(call.make)
            return _Draft(None, document, self.path(document.key))
        if self._replace(draft, staged):
            return draft
        draft = self._draft(call, iter(()))
        return self._publish(call, draft, self._disk.stage(checksum.encode(draft.document))) if draft.is_new else draft

    def _replace(self, draft: _Draft[D], staged: Path) -> bool:
        """Put a staged document in place of its base; False when that has changed meanwhile."""
        try:
            with self.lock(draft.document.key):
                if self.parse(draft.path, draft.document.key) == draft.base:
                    self._disk.publish(staged, draft.path)
                    return True
        except BaseException:
            self._disk.discard(staged)
            raise
        self._disk.discard(staged)
        return False

    def _synced(self, done: Sequence[_Draft[D] | StateError]) -> list[D | StateError]:
        """Sync the folders of the drafts; returns their documents, or the error of their folder."""
        refused: dict[Path, StateError | None] = {}
        for folder in {each.path.parent for each in done if isinstance(each, _Draft)}:
            refused[folder] = result_or_error(self._disk.sync_folder, folder)
        return [each if isinstance(each, StateError) else refused[each.path.parent] or each.document for each in done]

    def _find(self, key: int) -> tuple[D, Path]:
        """The document and its file; raises as `read` does."""
        for path in (self.path(key), self.archive_path(key)):
            document = self.parse(path, key)
            if document is not None:
                return document, path
        raise self._missing(key)

    def archive(self, key: int) -> bool:
        """Move a document to the archive, durable once both folders are synced; False when it is not living."""
        target = self.archive_path(key)
        self._disk.make_folder(target.parent)
        with self.lock(key):
            return self._disk.move(self.path(key), target)

    def archive_all(self, keys: Iterable[int]) -> tuple[set[int], dict[str, StoreUnavailable]]:
        archived: set[int] = set()
        refused: dict[str, StoreUnavailable] = {}
        for folder, some in groupby(sorted(keys), key=lambda key: self.archive_path(key).parent):
            moved = self._archive_some(some, folder, refused)
            # Also when all of them were moved before, by a call that could not sync.
            if moved and self._sync(folder, refused):
                archived |= moved
        return (archived, refused) if not archived or self._sync(self.folder, refused) else (set(), refused)

    def _sync(self, folder: Path, refused: dict[str, StoreUnavailable]) -> bool:
        """Sync a folder; returns whether that succeeded."""
        try:
            self._disk.sync_folder(folder)
        except StoreUnavailable as error:
            refused[self._disk.place(folder)] = error
            return False
        return True

    def _archive_some(self, keys: Iterable[int], folder: Path, refused: dict[str, StoreUnavailable]) -> set[int]:
        """Move documents to one subfolder; returns those that were moved. A few failures do not stop the others."""
        moved: set[int] = set()
        left = _MOST_REFUSALS
        for key in keys:
            try:
                self.archive(key)
            except StoreUnavailable as error:
                refused[self._disk.place(folder)] = error
                left -= 1
                if not left:
                    break
            else:
                moved.add(key)
        return moved

    def thin_out(self, before: float) -> int:
        """Remove the archive's subfolders without a write since this time; returns how many documents.

        The newest subfolder stays, because it holds the highest number in use.
        """
        removed = 0
        folders = sorted((int(name), name) for name in self._disk.names(self.archive_folder) if is_number(name))
        for _, name in folders[:-1]:
            folder = self.archive_folder / name
            if _written_at(folder) < before:
                removed += len(self._disk.names(folder))
                shutil.rmtree(folder, ignore_errors=True)
        return removed

    def _highest(self) -> int:
        return max(super()._highest(), highest_number(self.archive_folder))


def _written_at(folder: Path) -> float:
    """When something was last written in this folder; infinite for a folder that cannot be examined."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return math.inf
