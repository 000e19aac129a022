"""Numbered documents that leave their folder for an archive when they are finished.

What is asked for at the same time is done together (`do_all`): each of it has an end of its own, and what all of it
needs, above all a sync, is done once.
"""

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Generic, TypeAlias

from state.errors import CorruptDocument, StateError, StoreUnavailable
from state.files import locks
from state.files.collection import D, Numbered
from state.files.ids import highest_number, is_number
from state.files.staging import Files, tried

STRIPES = 256
ARCHIVE_FOLDER_SIZE = 1000
_MOST_REFUSALS = 10
"""Documents of one subfolder that are tried in vain before the others are left for later."""


@dataclass(frozen=True)
class Create(Generic[D]):
    """Write a new document with the next number."""

    make: Callable[[int], D]


@dataclass(frozen=True)
class Change(Generic[D]):
    """Replace a document by `change(document)`, alone. A change that returns the same object writes nothing."""

    key: int
    change: Callable[[D], D]


@dataclass(frozen=True)
class Read:
    """Read a document whose content is a promise once it is told, whoever wrote it: its folder is synced first."""

    key: int


Call: TypeAlias = Create[D] | Change[D] | Read


@dataclass(frozen=True)
class _Draft(Generic[D]):
    """What is to stand at `path` in place of `base`."""

    base: D | None
    document: D
    path: Path

    @property
    def is_new(self) -> bool:
        return self.document is not self.base


class Archived(Numbered[D]):
    """Documents of `form` in `folder` that go to subfolders of `archive` by number, a thousand in each."""

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

    def look(self, key: int) -> tuple[D, bool]:
        """The document, and whether that it says so is known to last; if not, `Read` sees to it. Raises as `read`."""
        document, path = self._find(key)
        # Only now: what replaced the document meanwhile, and lasts, came after it.
        return document, self._files.lasts(path)

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
        """Finished documents that were written last since this time (Unix seconds), as far as they can be read.

        Those with the highest numbers come first.
        """
        for name in sorted(filter(is_number, self._files.names(self.archive_folder)), key=int, reverse=True):
            folder = self.archive_folder / name
            if _written_at(folder) < at:
                continue
            keys = (self.key_of(file) for file in self._files.names(folder))
            for key in sorted((key for key in keys if key is not None), reverse=True):
                path = self.archive_path(key)
                try:
                    document = self.parse(path, key) if path.stat().st_mtime >= at else None
                except (CorruptDocument, StoreUnavailable, FileNotFoundError):
                    continue
                if document is not None:
                    yield document

    def quarantine_archived(self, key: int) -> CorruptDocument | None:
        """Move a finished document that does not parse aside; None when it does, or is not there."""
        with self.lock(key):
            return self._quarantine(self.archive_path(key), key)

    def read_durable(self, key: int) -> D:
        """Like `read`, and what it says is a promise: its folder is synced first, whoever wrote the document."""
        return self._do(Read(key))

    def update(self, key: int, change: Callable[[D], D]) -> D:
        """Replace the document by `change(document)`, alone; durable when this returns.

        A change that returns the same object writes nothing. Raises NotFound, and what `change` raises.
        """
        return self._do(Change(key, change))

    def _do(self, call: Call[D]) -> D:
        (outcome,) = self.do_all([call])
        if isinstance(outcome, StateError):
            raise outcome
        return outcome

    def do_all(self, calls: Sequence[Call[D]]) -> list[D | StateError]:
        """Do several things; the documents, all durable, and the errors of those that could not be done."""
        creates = sum(isinstance(call, Create) for call in calls)
        numbers = tried(self.reserve, creates) if creates else range(0)
        drafts = self._drafts(calls, numbers)
        contents = [draft.document.to_json() for draft in drafts if isinstance(draft, _Draft) and draft.is_new]
        staged = iter(self._files.stage_each(contents))
        done: list[_Draft[D] | StateError] = []
        for call, draft in zip(calls, drafts, strict=True):
            if isinstance(draft, _Draft) and draft.is_new:
                done.append(tried(self._publish, call, draft, next(staged)))
            else:
                done.append(draft)
        for draft, end in reversed([*zip(drafts, done, strict=True)]):
            if isinstance(draft, _Draft) and draft.base is None and isinstance(end, StateError):
                self._numbers.give_back(draft.document.key)
        return self._lasting(done)

    def _drafts(self, calls: Sequence[Call[D]], numbers: range | StateError) -> list[_Draft[D] | StateError]:
        """What is to be written; without numbers there is nothing to create, but all else goes on."""
        if isinstance(numbers, StateError):
            return [numbers if isinstance(call, Create) else tried(self._draft, call, iter(())) for call in calls]
        left = iter(numbers)
        return [tried(self._draft, call, left) for call in calls]

    def _draft(self, call: Call[D], numbers: Iterator[int]) -> _Draft[D]:
        if isinstance(call, Create):
            document = call.make(next(numbers))
            return _Draft(None, document, self.path(document.key))
        found, path = self._find(call.key)
        return _Draft(found, found if isinstance(call, Read) else call.change(found), path)

    def _publish(self, call: Call[D], draft: _Draft[D], staged: Path | StateError) -> _Draft[D]:
        """Put in its place what was staged of a draft; draw up another when something else is there by now."""
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
        return self._publish(call, draft, self._files.stage(draft.document.to_json())) if draft.is_new else draft

    def _replace(self, draft: _Draft[D], staged: Path) -> bool:
        """Put a staged document in place of the one it was made from; False when that is another by now."""
        try:
            with self.lock(draft.document.key):
                if self.parse(draft.path, draft.document.key) == draft.base:
                    self._files.publish(staged, draft.path)
                    return True
        except BaseException:
            self._files.discard(staged)
            raise
        self._files.discard(staged)
        return False

    def _lasting(self, done: Sequence[_Draft[D] | StateError]) -> list[D | StateError]:
        """The documents, once they last; those in a folder where they may not, the error instead."""
        refused: dict[Path, StateError | None] = {}
        for folder in {each.path.parent for each in done if isinstance(each, _Draft)}:
            refused[folder] = tried(self._files.sync_folder, folder)
        return [each if isinstance(each, StateError) else refused[each.path.parent] or each.document for each in done]

    def _find(self, key: int) -> tuple[D, Path]:
        """The document and where it stands; raises as `read` does."""
        for path in (self.path(key), self.archive_path(key)):
            document = self.parse(path, key)
            if document is not None:
                return document, path
        raise self._missing(key)

    def archive(self, key: int) -> bool:
        """Move a finished document to the archive, durable once both folders are synced; False when it is not here."""
        target = self.archive_path(key)
        self._files.make_folder(target.parent)
        with self.lock(key):
            return self._files.move(self.path(key), target)

    def archive_all(self, keys: Iterable[int]) -> tuple[set[int], dict[Path, StoreUnavailable]]:
        """Move finished documents. Returns which of them are gone from here for good now, and, by the subfolder that
        they would go to, what keeps others from it. Raises StoreFrozen.
        """
        gone: set[int] = set()
        refused: dict[Path, StoreUnavailable] = {}
        for folder, some in groupby(sorted(keys), key=lambda key: self.archive_path(key).parent):
            moved = self._archive_some(some, folder, refused)
            # Also when all of them were moved before, by a call that could not sync.
            if moved and self._lasts(folder, refused):
                gone |= moved
        return (gone, refused) if not gone or self._lasts(self.folder, refused) else (set(), refused)

    def _lasts(self, folder: Path, refused: dict[Path, StoreUnavailable]) -> bool:
        """Sync a folder; tells whether that was done."""
        try:
            self._files.sync_folder(folder)
        except StoreUnavailable as error:
            refused[folder] = error
            return False
        return True

    def _archive_some(self, keys: Iterable[int], folder: Path, refused: dict[Path, StoreUnavailable]) -> set[int]:
        """Those of these documents of one subfolder that were moved; a few that cannot be keep nobody else."""
        moved: set[int] = set()
        left = _MOST_REFUSALS
        for key in keys:
            try:
                self.archive(key)
            except StoreUnavailable as error:
                refused[folder] = error
                left -= 1
                if not left:
                    break
            else:
                moved.add(key)
        return moved

    def thin_out(self, before: float) -> int:
        """Remove the archive's subfolders with nothing written since this time; returns how many documents.

        The newest subfolder stays, for it tells the highest number in use.
        """
        removed = 0
        folders = sorted((int(name), name) for name in self._files.names(self.archive_folder) if is_number(name))
        for _, name in folders[:-1]:
            folder = self.archive_folder / name
            if _written_at(folder) < before:
                removed += len(self._files.names(folder))
                shutil.rmtree(folder, ignore_errors=True)
        return removed

    def _highest(self) -> int:
        return max(super()._highest(), highest_number(self.archive_folder))


def _written_at(folder: Path) -> float:
    """When something was written in this folder last; what cannot be looked at counts as just written."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return math.inf
