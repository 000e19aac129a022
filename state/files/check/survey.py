"""Reads everything in a state folder for fsck, without a lock and without changing anything.

Documents and files are named by their path below the folder.
"""

import os
from pathlib import Path
from typing import Any

from state.documents import Agent, Document, Intent, PoolRecord, Resource, Ticket, is_number
from state.errors import CorruptDocument, NewerDocument, UnknownFormat
from state.files.archive import ArchivedFolder
from state.files.check.sidefiles import SideFiles
from state.files.disk import Disk, DiskError
from state.files.folder import Folder, NumberedFolder
from state.files.keys import read_key
from state.files.layout import FOLDERS, blocked_archives, check_format, in_the_way, is_file
from state.files.quarantine import Quarantine
from state.survey import Survey


def survey(root: Path, now: float) -> Survey:
    """Read everything below `root`; raises StoreUnavailable if it is no state folder, UnknownFormat if it is newer."""
    return _Surveyor(root, now).read()


class _Surveyor:
    def __init__(self, root: Path, now: float) -> None:
        self.root = root
        self.now = now
        self.disk = Disk(root)
        self.found = Survey()
        self.sides = SideFiles(self.disk, self.found, now)

    def read(self) -> Survey:
        found = self.found
        self._read_format()
        # What a document refers to is read after it, so that it is found although both may move meanwhile.
        found.shown_waiting = self.sides.shown_waiting()
        self.sides.read_events()
        for documents, done, folder, archive in (
            (found.tickets, found.done, "tickets/open", "tickets/done"),
            (found.resources, found.ended, "resources/live", "resources/ended"),
        ):
            form: type[Any] = Ticket if folder == "tickets/open" else Resource
            documents_folder: ArchivedFolder[Any] = ArchivedFolder(self.disk, form, folder, archive)
            self._read_folder(documents, documents_folder)
            self._read_archive(done, documents_folder)
            found.thinned[folder.partition("/")[0]] = self._thinned(documents_folder.archive_folder)
        pools: Folder[PoolRecord, str] = Folder(self.disk, PoolRecord, "pools")
        self._read_folder(found.records, pools)
        self._read_folder(found.intents, NumberedFolder(self.disk, Intent, "intents"))
        self._read_folder(found.agents, NumberedFolder(self.disk, Agent, "agents"))
        self._read_keys()
        self.sides.read_samples()
        self.sides.read_views()
        self.sides.read_runs()
        found.quarantined = Quarantine(self.disk).list()
        found.staged = [self._name(path) for path in self.disk.orphans(self.now)]
        for name in ("tickets", "resources", "intents"):
            self.sides.read_counter(name)
        self._check_places()
        return found

    def _read_format(self) -> None:
        try:
            self.found.made_at = os.lstat(self.root / "FORMAT").st_mtime
        except OSError as error:
            if not any((self.root / folder).is_dir() for folder in ("tickets", "resources", "ids")):
                raise DiskError(str(self.root), FileNotFoundError(2, "no state folder")) from error
        try:
            if not check_format(self.disk):
                self.found.wrong["FORMAT"] = "it is missing"
        except UnknownFormat as unknown:
            if not unknown.corrupt:
                raise
            self.found.wrong["FORMAT"] = f"it says {unknown.found!r} and names no layout"

    def _read_folder(self, documents: dict[str, Any], folder: Folder[Any, Any]) -> None:
        for name in sorted(self.disk.names(folder.folder)):
            key = folder.key_of(name)
            if key is None:
                self.found.strays.append(self._name(folder.folder / name))
            else:
                self._read_one(documents, folder.path(key), folder, key)

    def _read_archive(self, documents: dict[str, Any], folder: ArchivedFolder[Any]) -> None:
        for key in sorted(folder.archived()):
            self._read_one(documents, folder.archive_path(key), folder, key)

    def _read_one(self, documents: dict[str, Document], path: Path, folder: Folder[Any, Any], key: int | str) -> None:
        try:
            document = folder.parse(path, key)
        except CorruptDocument as fault:
            self.found.corrupt[self._name(path)] = fault.reason
        except NewerDocument as newer:
            self.found.newer[self._name(path)] = newer.reason
        except DiskError as refused:
            if not refused.one_document:
                raise
            self.found.unreadable[self._name(path)] = refused.reason
        else:
            if document is not None:
                documents[self._name(path)] = document

    def _read_keys(self) -> None:
        folder = self.root / "tickets" / "keys"
        for name in sorted(self.disk.names(folder)):
            path = folder / name
            try:
                key = read_key(self.disk, path)
            except CorruptDocument as fault:
                self.found.corrupt[self._name(path)] = fault.reason
            except DiskError as refused:
                self.found.unreadable[self._name(path)] = refused.reason
            else:
                if key is not None:
                    self.found.keys[self._name(path)] = key.ticket

    def _thinned(self, archive: Path) -> frozenset[int]:
        kept = {int(name) for name in self.disk.names(archive) if is_number(name)}
        return frozenset(range(max(kept, default=0))) - kept

    def _check_places(self) -> None:
        for folder in FOLDERS:
            if not (self.root / folder).is_dir():
                blocked = in_the_way(self.root, folder) is not None
                self.found.wrong[f"{folder}/"] = "a file is in its place" if blocked else "there is no such folder"
        for folder in blocked_archives(self.disk):
            self.found.wrong[f"{folder}/"] = "a file is in its place"
        for folder in ("locks", "locks/tickets", "ids", "view", "samples", "runs"):
            for name in self.disk.names(self.root / folder):
                path = self.root / folder / name
                if self._name(path) not in FOLDERS and not is_file(path):
                    self.found.wrong[self._name(path)] = "it is no file"

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.root))
