"""The file store: all documents as JSON files below one folder. `state/README.md` describes the layout on disk.

Readers take no lock and see the old or the new document. A writer publishes each document at one instant; what spans
several documents is a sequence that can be repeated.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from state.documents import Agent, Document, Intent, PoolRecord, Resource, Ticket
from state.errors import NewerDocument, UnreadableDocument
from state.files import checksum, layout
from state.files.archive import ArchivedFolder
from state.files.check.survey import survey
from state.files.corruption import FileCorruption
from state.files.disk import Disk, DiskError
from state.files.events import EventFiles
from state.files.folder import D, Folder, K, NumberedFolder
from state.files.keys import KeyFiles
from state.files.leader import LeaderLease, has_leader
from state.files.quarantine import Quarantine
from state.files.samples import SampleFiles
from state.host.machine import stamp_of
from state.host.watch import FolderWatch
from state.store import Batch, ChangedKeys, Contents, Put, Shown, Swept, Update
from state.survey import Survey

KeyOf = Callable[[str], int | str | None]
"""The key in a file's name, None when no document has this name."""


class FolderChanges:
    """See `state.store.Changes`. `folders` are, by kind, a folder and how its names are turned into keys."""

    def __init__(self, folders: Mapping[str, tuple[Path, KeyOf]], own: Sequence[str]) -> None:
        self._watch = FolderWatch({kind: folder for kind, (folder, _) in folders.items()}, own)
        self._key_of = {kind: key_of for kind, (_, key_of) in folders.items()}

    def wait(self, seconds: float | None = None) -> ChangedKeys:
        changes: ChangedKeys = {}
        for kind, names in self._watch.wait(seconds).items():
            if names is None:
                changes[kind] = None
            elif keys := {key for name in names if (key := self._key_of[kind](name)) is not None}:
                changes[kind] = keys
        return changes

    def fileno(self) -> int:
        return self._watch.fileno()

    def close(self) -> None:
        self._watch.close()


class FileStore:
    """The store below the folder `root`, whose tree it makes if needed. See `state.store.Store`.

    Raises StoreUnavailable when the folder cannot be used and UnknownFormat when a newer program wrote it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)
        self._disk = disk = Disk(root)
        try:
            layout.make(disk)
        except OSError as error:
            raise DiskError(self.name, error) from error
        self.tickets = ArchivedFolder(disk, Ticket, "tickets/open", "tickets/done")
        self.resources = ArchivedFolder(disk, Resource, "resources/live", "resources/ended")
        self.pools: Folder[PoolRecord, str] = Folder(disk, PoolRecord, "pools")
        self.intents = NumberedFolder(disk, Intent, "intents")
        self.agents = NumberedFolder(disk, Agent, "agents")
        self.keys = KeyFiles(disk, self.tickets)
        self.events = EventFiles(disk)
        self.samples = SampleFiles(disk)
        self.quarantine = Quarantine(disk)
        folders: dict[str, Folder[Any, Any]] = {
            "tickets": self.tickets,
            "resources": self.resources,
            "pools": self.pools,
            "agents": self.agents,
            "intents": self.intents,
        }
        self.corruption = FileCorruption(disk, folders)

    def read_all(self) -> Contents:
        contents = Contents()
        _read_into(contents, self.tickets, contents.tickets)
        _read_into(contents, self.resources, contents.resources)
        _read_into(contents, self.pools, contents.records)
        _read_into(contents, self.intents, contents.intents, quarantine_unreadable=True)
        _read_into(contents, self.agents, contents.agents)
        return contents

    def commit(self, batch: Batch) -> list[Ticket]:
        staged = self._disk.stage_all([checksum.encode(write.document) for write in batch.writes])
        try:
            conflicts, folders = self._publish(staged, batch.writes)
        except BaseException:
            for path in staged:
                self._disk.discard(path)
            raise
        for number in batch.removed_intents:
            self._disk.remove(self.intents.path(number))
        for number in batch.removed_agents:
            self._disk.remove(self.agents.path(number))
        for folder in folders:
            self._disk.sync_folder(folder)
        return conflicts

    def _publish(self, staged: Sequence[Path], writes: Sequence[Put | Update]) -> tuple[list[Ticket], set[Path]]:
        """Publish staged writes; returns the bases of conflicts, and the folders to sync."""
        conflicts: list[Ticket] = []
        folders: set[Path] = set()
        for path, write in zip(staged, writes, strict=True):
            target = self._path(write.document)
            if isinstance(write, Update):
                with self.tickets.lock(write.base.id):
                    if not self._is_unchanged(write.base):
                        conflicts.append(write.base)
                        self._disk.discard(path)
                        continue
                    self._disk.publish(path, target)
            else:
                self._disk.publish(path, target)
            folders.add(target.parent)
        return conflicts, folders

    def _is_unchanged(self, base: Ticket) -> bool:
        try:
            return self.tickets.get(base.id) == base
        except NewerDocument:
            return False

    def _path(self, document: Document) -> Path:
        match document:
            case Ticket():
                return self.tickets.path(document.id)
            case Resource():
                return self.resources.path(document.id)
            case PoolRecord():
                return self.pools.path(document.name)
            case Agent():
                return self.agents.path(document.id)
            case _:
                raise TypeError(type(document))

    def changes(self, *kinds: str, own: Sequence[str] = ()) -> FolderChanges:
        folders: dict[str, tuple[Path, KeyOf]] = {
            "tickets": (self.tickets.folder, self.tickets.key_of),
            "resources": (self.resources.folder, self.resources.key_of),
            "pools": (self.pools.folder, self.pools.key_of),
            "agents": (self.agents.folder, self.agents.key_of),
            "intents": (self.intents.folder, self.intents.key_of),
            "events": (self.events.folder, _any_name),
            "corruption": (self.quarantine.folder, _any_name),
        }
        return FolderChanges({kind: folders[kind] for kind in (*kinds, *own)}, own)

    def lead(self) -> LeaderLease:
        return LeaderLease(self._disk)

    def has_leader(self) -> bool:
        return has_leader(self._disk)

    def show(self, name: str, content: bytes) -> None:
        self._disk.show(self._view(name), content)

    def shown(self, name: str, known: Hashable = None) -> Shown | None:
        stamp = stamp_of(self._view(name))
        if stamp is None:
            return None
        if stamp == known:
            return Shown(stamp, None)
        content = self._disk.read(self._view(name))
        return None if content is None else Shown(stamp, content)

    def _view(self, name: str) -> Path:
        return self.root / "view" / name

    def sweep(self, now: float, ticket_retention: float, resource_retention: float) -> Swept:
        self.samples.thin_out(now)
        return Swept(
            tickets=self.tickets.thin_out(now - ticket_retention),
            resources=self.resources.thin_out(now - resource_retention),
            leftovers=self._disk.remove_orphans(now),
            quarantined=self.quarantine.thin_out(now, ticket_retention, resource_retention),
        )

    def check_writable(self) -> None:
        self._disk.discard(self._disk.stage(b"probe\n"))

    def survey(self, now: float) -> Survey:
        return survey(self.root, now)


def _any_name(name: str) -> str:
    return name


def _read_into(
    contents: Contents, folder: Folder[D, K], documents: list[D], quarantine_unreadable: bool = False
) -> None:
    """Read all documents of a folder into `documents`, and its faults into `contents`."""
    for key in folder.living():
        try:
            document, fault = folder.get_or_quarantine(key, unreadable=quarantine_unreadable)
        except NewerDocument as newer:
            contents.unreadable.append(newer)
            continue
        except DiskError as refused:
            if not refused.one_document:
                raise
            contents.unreadable.append(UnreadableDocument(folder.place(key), refused.reason))
            continue
        if document is not None:
            documents.append(document)
        if fault is not None:
            contents.corrupt.append(fault)
