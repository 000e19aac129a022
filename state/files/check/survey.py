"""All that stands in a state folder, read without a lock and without changing anything, for whoever checks it.

Documents and files are named by their path below the folder.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from state.documents import Agent, Document, Intent, PoolRecord, Resource, Ticket
from state.errors import CorruptDocument, StoreUnavailable, UnknownFormat
from state.files.archive import ARCHIVE_FOLDER_SIZE, Archived
from state.files.check.sidefiles import SideFiles
from state.files.collection import Collection, Numbered
from state.files.ids import is_number
from state.files.keys import read_key
from state.files.layout import FOLDERS, blocked_archives, check_format, in_the_way, is_file
from state.files.quarantine import Aside, Quarantine
from state.files.staging import Files


@dataclass
class Survey:
    """What is there. `damaged` and `unreadable` tell why, by file; `wrong` what is amiss with all that is no document.

    `runs` are the ids of hook runs, with whether their supervisor lives; `thinned` the numbers of subfolders that were
    removed from an archive, by "tickets" and "resources"; `garbled` what tells nothing in files that readers can do
    without; `nexts` the next numbers; `told` tickets that were shown as waiting; `happened` what events tell of and
    must be somewhere, as ("tickets", 42), ("resources", 17) or ("agents", 42).
    """

    tickets: dict[str, Ticket] = field(default_factory=dict)
    done: dict[str, Ticket] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    ended: dict[str, Resource] = field(default_factory=dict)
    records: dict[str, PoolRecord] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    garbled: dict[str, str] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)
    staged: list[str] = field(default_factory=list)
    quarantined: list[Aside] = field(default_factory=list)
    ceilings: dict[str, int] = field(default_factory=dict)
    nexts: dict[str, int] = field(default_factory=dict)
    runs: dict[str, bool] = field(default_factory=dict)
    thinned: dict[str, frozenset[int]] = field(default_factory=dict)
    told: list[int] = field(default_factory=list)
    happened: set[tuple[str, int]] = field(default_factory=set)

    def is_forgotten(self, kind: str, number: int) -> bool:
        """Whether the ticket or resource of this number was removed after its retention."""
        return number // ARCHIVE_FOLDER_SIZE in self.thinned[kind]


def survey(root: Path, now: float) -> Survey:
    """Read everything below `root`; raises StoreUnavailable when that is no state folder, UnknownFormat for a newer."""
    return _Surveyor(root, now).look()


class _Surveyor:
    def __init__(self, root: Path, now: float) -> None:
        self.root = root
        self.now = now
        self.files = Files(root)
        self.found = Survey()
        self.sides = SideFiles(self.files, self.found, now)

    def look(self) -> Survey:
        found = self.found
        self._look_at_format()
        # What a document names is read after it, so that it is found although both move meanwhile.
        found.told = self.sides.shown_waiting()
        self.sides.look_at_events()
        for documents, done, folder, archive in (
            (found.tickets, found.done, "tickets/open", "tickets/done"),
            (found.resources, found.ended, "resources/live", "resources/ended"),
        ):
            form: type[Any] = Ticket if folder == "tickets/open" else Resource
            collection: Archived[Any] = Archived(self.files, form, folder, archive)
            self._read(documents, collection)
            self._read_archive(done, collection)
            found.thinned[folder.partition("/")[0]] = self._thinned(collection.archive_folder)
        pools: Collection[PoolRecord, str] = Collection(self.files, PoolRecord, "pools")
        self._read(found.records, pools)
        self._read(found.intents, Numbered(self.files, Intent, "intents"))
        self._read(found.agents, Numbered(self.files, Agent, "agents"))
        self._read_keys()
        self.sides.look_at_samples()
        self.sides.look_at_views()
        self.sides.look_at_runs()
        found.quarantined = Quarantine(self.files).list()
        found.staged = [self._name(path) for path in self.files.orphans(self.now)]
        for name in ("tickets", "resources", "intents"):
            self.sides.look_at_counter(name)
        self._look_at_places()
        return found

    def _look_at_format(self) -> None:
        there = os.path.lexists(self.root / "FORMAT")
        if not there and not any((self.root / folder).is_dir() for folder in ("tickets", "resources", "ids")):
            raise StoreUnavailable(self.root, FileNotFoundError(2, "no state folder"))
        try:
            if not check_format(self.files):
                self.found.wrong["FORMAT"] = "it is gone"
        except UnknownFormat as unknown:
            if not unknown.damaged:
                raise
            self.found.wrong["FORMAT"] = f"it says {unknown.found!r} and names no layout"

    def _read(self, documents: dict[str, Any], collection: Collection[Any, Any]) -> None:
        for name in sorted(self.files.names(collection.folder)):
            key = collection.key_of(name)
            if key is None:
                self.found.strays.append(self._name(collection.folder / name))
            else:
                self._read_one(documents, collection.path(key), collection, key)

    def _read_archive(self, documents: dict[str, Any], collection: Archived[Any]) -> None:
        for key in sorted(collection.archived()):
            self._read_one(documents, collection.archive_path(key), collection, key)

    def _read_one(
        self, documents: dict[str, Document], path: Path, collection: Collection[Any, Any], key: int | str
    ) -> None:
        try:
            document = collection.parse(path, key)
        except CorruptDocument as fault:
            self.found.damaged[self._name(path)] = fault.why
        except StoreUnavailable as refused:
            if not refused.of_one_file:
                raise
            self.found.unreadable[self._name(path)] = refused.error.strerror or str(refused.error)
        else:
            if document is not None:
                documents[self._name(path)] = document

    def _read_keys(self) -> None:
        folder = self.root / "tickets" / "keys"
        for name in sorted(self.files.names(folder)):
            path = folder / name
            try:
                key = read_key(self.files, path)
            except CorruptDocument as fault:
                self.found.damaged[self._name(path)] = fault.why
            except StoreUnavailable as refused:
                self.found.unreadable[self._name(path)] = refused.error.strerror or str(refused.error)
            else:
                if key is not None:
                    self.found.keys[self._name(path)] = key.ticket

    def _thinned(self, archive: Path) -> frozenset[int]:
        there = {int(name) for name in self.files.names(archive) if is_number(name)}
        return frozenset(range(max(there, default=0))) - there

    def _look_at_places(self) -> None:
        for folder in FOLDERS:
            if not (self.root / folder).is_dir():
                blocked = in_the_way(self.root, folder) is not None
                self.found.wrong[f"{folder}/"] = "a file stands in its place" if blocked else "there is no such folder"
        for folder in blocked_archives(self.files):
            self.found.wrong[f"{folder}/"] = "a file stands in its place"
        for folder in ("locks", "locks/tickets", "ids", "view", "samples", "runs"):
            for name in self.files.names(self.root / folder):
                path = self.root / folder / name
                if self._name(path) not in FOLDERS and not is_file(path):
                    self.found.wrong[self._name(path)] = "it is no file"

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.root))
