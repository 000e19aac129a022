"""The Store: all documents of one state folder, and the only way to them.

Readers take no lock and see the old or the new document. Writers publish one document at one instant; what spans
several is a sequence that can be done again. `state/README.md` tells the layout on disk.
"""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from state import locks
from state.collection import Archived, Collection, D, K, Numbered
from state.documents import Agent, Document, Intent, PoolRecord, Resource, Ticket
from state.errors import CorruptDocument, StoreUnavailable, UnknownFormat, UnreadableDocument
from state.files import Files
from state.ids import is_number
from state.quarantine import Quarantine
from state.watch import Watch

FORMAT = 1
_FOLDERS = (
    "tmp",
    "tickets/open",
    "tickets/done",
    "tickets/keys",
    "resources/live",
    "resources/ended",
    "pools",
    "intents",
    "agents",
    "runs",
    "ids",
    "locks/tickets",
    "view",
    "quarantine",
)


@dataclass(frozen=True)
class Put:
    """Put `document` in place of what is there: for documents that only the leader writes."""

    document: Document


@dataclass(frozen=True)
class Update:
    """Replace a ticket that must still equal `base`; a conflict otherwise."""

    base: Ticket
    document: Ticket


@dataclass(frozen=True)
class Batch:
    """Writes that are staged and synced together. They become visible one by one, each whole.

    `archived` are numbers of tickets and resources that leave their living folder, `removed` numbers of intents and
    agents.
    """

    writes: Sequence[Put | Update] = ()
    archived_tickets: Sequence[int] = ()
    archived_resources: Sequence[int] = ()
    removed_intents: Sequence[int] = ()
    removed_agents: Sequence[int] = ()


@dataclass(frozen=True)
class Contents:
    """Everything alive in the folder, and what could not be read."""

    tickets: list[Ticket] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    records: list[PoolRecord] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)
    corrupt: list[CorruptDocument] = field(default_factory=list)
    unreadable: list[UnreadableDocument] = field(default_factory=list)


def _read_into(
    collection: Collection[D, K],
    documents: list[D],
    corrupt: list[CorruptDocument],
    unreadable: list[UnreadableDocument],
) -> None:
    for key in collection.living():
        try:
            document, fault = collection.get_or_quarantine(key)
        except StoreUnavailable as refused:
            if not refused.of_one_file:
                raise
            unreadable.append(UnreadableDocument(refused.path, refused.error.strerror or str(refused.error)))
            continue
        if document is not None:
            documents.append(document)
        if fault is not None:
            corrupt.append(fault)


class Store:
    """Documents below `root`. Makes the folder tree when it is missing.

    Raises StoreUnavailable when the folder cannot be used and UnknownFormat when a newer program wrote it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files = files = Files(root)
        try:
            self._check_format()
            for folder in _FOLDERS:
                files.make_folder(root / folder)
            self._write_format()
        except OSError as error:
            raise StoreUnavailable(root, error) from error
        self.tickets = Archived(files, Ticket, "tickets/open", "tickets/done")
        self.resources = Archived(files, Resource, "resources/live", "resources/ended")
        self.pools: Collection[PoolRecord, str] = Collection(files, PoolRecord, "pools")
        self.intents = Numbered(files, Intent, "intents")
        self.agents = Numbered(files, Agent, "agents")
        self.runs = root / "runs"
        self.quarantine = Quarantine(files)

    def _check_format(self) -> bool:
        return check_format(self._files)

    def _write_format(self) -> None:
        path = self.root / "FORMAT"
        if self._files.read(path) is not None:
            return
        with locks.brief(self.root / "locks" / "format"):
            if self._files.read(path) is None:
                self._files.publish(self._files.stage(f"{FORMAT}\n".encode()), path)
                self._files.sync_folder(self.root)

    def read_all(self) -> Contents:
        """Read every living document. Corrupt ones are moved to quarantine and listed; so are, where they stand, those
        that the system refuses to read.
        """
        contents = Contents()
        _read_into(self.tickets, contents.tickets, contents.corrupt, contents.unreadable)
        _read_into(self.resources, contents.resources, contents.corrupt, contents.unreadable)
        _read_into(self.pools, contents.records, contents.corrupt, contents.unreadable)
        _read_into(self.intents, contents.intents, contents.corrupt, contents.unreadable)
        _read_into(self.agents, contents.agents, contents.corrupt, contents.unreadable)
        return contents

    def mend(self) -> list[str]:
        """Put in order what is no document; returns what was wrong, in words.

        Makes missing folders or FORMAT anew, and moves aside what stands in the place of locks, counters and views
        and is no file. Raises StoreUnavailable, also when so much is gone that the disk itself must be, and
        UnknownFormat when a newer program took the folder over.
        """
        wrong = []
        gone = [folder for folder in _FOLDERS if not (self.root / folder).is_dir()]
        if gone and not os.path.lexists(self.root / "FORMAT"):
            raise StoreUnavailable(self.root, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
        for folder in gone:
            try:
                self._files.make_folder(self.root / folder)
            except FileExistsError as error:
                raise StoreUnavailable(self.root / folder, error) from error
            wrong.append(f"{folder}/ was gone and is made anew, empty")
        for folder in ("locks", "locks/tickets", "ids", "view"):
            for name in self._files.names(self.root / folder):
                path = self.root / folder / name
                if not _is_file(path) and f"{folder}/{name}" not in _FOLDERS:
                    aside = self.quarantine.take(path)
                    if aside is not None:
                        wrong.append(f"{folder}/{name} was no file; moved to quarantine/{aside.name}")
        wrong += self._mend_format()
        return wrong

    def _mend_format(self) -> list[str]:
        path = self.root / "FORMAT"
        try:
            if self._check_format():
                return []
            wrong = "FORMAT was gone; written anew"
        except UnknownFormat as unknown:
            if not unknown.damaged:
                raise
            aside = self.quarantine.take(path)
            wrong = f"FORMAT said {unknown.found!r}; moved to quarantine/{aside.name if aside else ''}, written anew"
        self._write_format()
        return [wrong]

    def commit(self, batch: Batch) -> list[Ticket]:
        """Write a batch durably; returns the bases of updates that came too late and were not made.

        When staging fails nothing is written. A failure later leaves each document old or new.
        """
        staged = self._files.stage_all([write.document.to_json() for write in batch.writes])
        try:
            conflicts, folders = self._publish(staged, batch.writes)
        except BaseException:
            for path in staged:
                self._files.discard(path)
            raise
        for number in batch.archived_tickets:
            folders |= self.tickets.archive(number)
        for number in batch.archived_resources:
            folders |= self.resources.archive(number)
        for number in batch.removed_intents:
            self._files.remove(self.intents.path(number))
        for number in batch.removed_agents:
            self._files.remove(self.agents.path(number))
        for folder in folders:
            self._files.sync_folder(folder)
        return conflicts

    def _publish(self, staged: Sequence[Path], writes: Sequence[Put | Update]) -> tuple[list[Ticket], set[Path]]:
        """Let staged writes be seen; returns the bases that were not there any more, and the folders to sync."""
        conflicts: list[Ticket] = []
        folders: set[Path] = set()
        for path, write in zip(staged, writes, strict=True):
            target = self._place(write.document)
            if isinstance(write, Update):
                with self.tickets.lock(write.base.id):
                    if self.tickets.get(write.base.id) != write.base:
                        conflicts.append(write.base)
                        self._files.discard(path)
                        continue
                    self._files.publish(path, target)
            else:
                self._files.publish(path, target)
            folders.add(target.parent)
        return conflicts, folders

    def _place(self, document: Document) -> Path:
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

    def watch(self, *labels: str, own: Sequence[str] = (), **others: Path) -> Watch:
        """Watch folders by label: `tickets`, `resources`, `pools`, `intents`, `runs`, `view`, `quarantine`, `others`.

        Those in `own` only the caller writes: it is told what somebody else did there.
        """
        folders = {
            "tickets": self.tickets.folder,
            "resources": self.resources.folder,
            "pools": self.pools.folder,
            "agents": self.agents.folder,
            "intents": self.intents.folder,
            "runs": self.runs,
            "view": self.root / "view",
            "quarantine": self.quarantine.folder,
        }
        return Watch({label: folders[label] for label in (*labels, *own)} | others, own)

    def leader_lease(self) -> locks.Lease:
        """The role of the one scheduler that writes resources and assigns."""
        return locks.Lease(self.root / "locks" / "leader")

    def write_view(self, name: str, content: bytes) -> None:
        """Show something to readers: replaced as a whole, not synced, made anew by the leader after a restart."""
        self._files.show(self.root / "view" / name, content)

    def read_view(self, name: str) -> bytes | None:
        """What the leader shows under this name, None when it shows nothing."""
        return self._files.read(self.root / "view" / name)

    def sweep(self, now: float, ticket_retention: float, resource_retention: float) -> "Swept":
        """Remove what is finished and older than its retention (seconds), and staged files that nobody owns.

        What is in quarantine is kept for the longer of both.
        """
        return Swept(
            tickets=self.tickets.thin_out(now - ticket_retention),
            resources=self.resources.thin_out(now - resource_retention),
            staged=self._files.remove_orphans(now),
            quarantined=self.quarantine.thin_out(now - max(ticket_retention, resource_retention)),
        )

    def check_writable(self) -> None:
        """Try to stage a file; raises StoreUnavailable or StoreFrozen."""
        self._files.discard(self._files.stage(b"probe\n"))


@dataclass(frozen=True)
class Swept:
    """How many files a sweep removed."""

    tickets: int
    resources: int
    staged: int
    quarantined: int


def check_format(files: Files) -> bool:
    """Whether FORMAT is there; raises UnknownFormat when it does not name a layout that this program knows."""
    path = files.root / "FORMAT"
    try:
        content = files.read(path)
    except StoreUnavailable as refused:
        if refused.error.errno != errno.EISDIR:
            raise
        raise UnknownFormat(path, "", FORMAT) from refused
    if content is None:
        return False
    found = content.decode(errors="replace").strip()
    if not is_number(found) or int(found) > FORMAT:
        raise UnknownFormat(path, found, FORMAT)
    return True


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True
