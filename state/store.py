"""The Store: all documents of one state folder, and the only way to them.

Readers take no lock and see the old or the new document. Writers publish one document at one instant; what spans
several is a sequence that can be done again. `state/README.md` tells the layout on disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from state.documents import Agent, Document, Intent, PoolRecord, Resource, Ticket
from state.errors import CorruptDocument, StoreUnavailable, UnreadableDocument
from state.files import layout as tree
from state.files import locks
from state.files.archive import Archived
from state.files.collection import Collection, D, K, Numbered
from state.files.events import EventFiles
from state.files.quarantine import Quarantine
from state.files.samples import Samples
from state.files.staging import Files
from state.files.watch import Watch


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

    `removed` are numbers of intents and agents.
    """

    writes: Sequence[Put | Update] = ()
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
    unreadable_aside: bool = False,
) -> None:
    for key in collection.living():
        try:
            document, fault = collection.get_or_quarantine(key, unreadable=unreadable_aside)
        except StoreUnavailable as refused:
            if not refused.of_one_file:
                raise
            unreadable.append(UnreadableDocument(collection.path(key), refused.error.strerror or str(refused.error)))
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
            tree.make(files)
        except OSError as error:
            raise StoreUnavailable(root, error) from error
        self.tickets = Archived(files, Ticket, "tickets/open", "tickets/done")
        self.resources = Archived(files, Resource, "resources/live", "resources/ended")
        self.pools: Collection[PoolRecord, str] = Collection(files, PoolRecord, "pools")
        self.intents = Numbered(files, Intent, "intents")
        self.agents = Numbered(files, Agent, "agents")
        self.events = EventFiles(files)
        self.runs = root / "runs"
        self.quarantine = Quarantine(files)
        self.samples = Samples(files)

    def read_all(self) -> Contents:
        """Read every living document. Corrupt ones are moved to quarantine and listed; so are, where they stand, those
        that the system refuses to read, but for intents: one that were done later would come behind those after it.
        """
        contents = Contents()
        _read_into(self.tickets, contents.tickets, contents.corrupt, contents.unreadable)
        _read_into(self.resources, contents.resources, contents.corrupt, contents.unreadable)
        _read_into(self.pools, contents.records, contents.corrupt, contents.unreadable)
        _read_into(self.intents, contents.intents, contents.corrupt, contents.unreadable, unreadable_aside=True)
        _read_into(self.agents, contents.agents, contents.corrupt, contents.unreadable)
        return contents

    def mend(self) -> list[str]:
        """Put in order what is no document; returns what was wrong, in words. Raises as `tree.mend` does."""
        wrong = tree.mend(self._files, self.quarantine)
        return wrong + [each for own in (self.tickets, self.resources, self.intents) for each in own.mend_numbers()]

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
        """Watch folders by label: those of the state folder, and `others`.

        Those in `own` only the caller writes: it is told what somebody else did there.
        """
        folders = {
            "tickets": self.tickets.folder,
            "resources": self.resources.folder,
            "pools": self.pools.folder,
            "agents": self.agents.folder,
            "intents": self.intents.folder,
            "runs": self.runs,
            "events": self.events.folder,
            "view": self.root / "view",
            "quarantine": self.quarantine.folder,
        }
        return Watch({label: folders[label] for label in (*labels, *own)} | others, own)

    def leader_lease(self) -> locks.Lease:
        """The role of the one scheduler that writes resources and assigns."""
        return locks.Lease(self.root / "locks" / "leader")

    def mend_lease(self) -> str | None:
        """Move aside what stands in the place of the leader's lock and is no file, or nobody could lead any more.

        Returns that in words, None when there is nothing to do. Raises StoreUnavailable.
        """
        return tree.mend_lock(self._files, self.quarantine, "locks/leader")

    def write_view(self, name: str, content: bytes) -> None:
        """Show something to readers: replaced as a whole, not synced, made anew by the leader after a restart."""
        self._files.show(self.root / "view" / name, content)

    def read_view(self, name: str) -> bytes | None:
        """What the leader shows under this name, None when it shows nothing."""
        return self._files.read(self.root / "view" / name)

    def sweep(self, now: float, ticket_retention: float, resource_retention: float) -> "Swept":
        """Remove what is finished and older than its retention (seconds), and staged files that nobody owns.

        What is in quarantine is kept as long, but for a day at least.
        """
        self.samples.thin_out(now)
        return Swept(
            tickets=self.tickets.thin_out(now - ticket_retention),
            resources=self.resources.thin_out(now - resource_retention),
            staged=self._files.remove_orphans(now),
            quarantined=self.quarantine.thin_out(now, ticket_retention, resource_retention),
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
