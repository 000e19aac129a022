"""Folders of numbered documents that are replaced one by one, and move to an archive when they are finished."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from state import locks
from state.collection import D, Numbered, only
from state.errors import CorruptDocument, StateError, StoreUnavailable
from state.files import Files
from state.ids import highest_number, is_number

A = TypeVar("A")

STRIPES = 256
ARCHIVE_FOLDER_SIZE = 1000


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
        return only(self.read_all_durable([key]))

    def read_all_durable(self, keys: Sequence[int]) -> list[D | StateError]:
        """Read documents whose contents are promises; each folder is synced once."""
        return self._each(keys, self._find)

    def update(self, key: int, change: Callable[[D], D]) -> D:
        """Replace the document by `change(document)`, alone; durable when this returns.

        A change that returns the same object writes nothing. Raises NotFound, and what `change` raises.
        """
        return only(self.update_all([(key, change)]))

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
