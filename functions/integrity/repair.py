"""Repairs a state folder that no scheduler leads: only what a scheduler does not repair by itself.

The original of whatever is changed is kept in `quarantine/`.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from functions.integrity import salvage
from functions.integrity.fsck import inventory_of, started_resources
from functions.integrity.invariants import RUN_OF, Kind, check
from functions.policy.transitions.run_id import RunId
from functions.policy.transitions.ticket import fail_ticket
from state.documents import Document, HookKind, Resource, Run, Ticket, TicketState, is_number
from state.errors import CorruptDocument, StoreUnavailable
from state.files import checksum, layout
from state.files.archive import ArchivedFolder
from state.files.check.survey import survey
from state.files.disk import Disk
from state.files.folder import Folder
from state.files.quarantine import Quarantine
from state.files.store import FileStore
from state.store import Batch, Put
from state.survey import Quarantined

D = TypeVar("D", bound=Document)


def repair(root: Path, log_dir: Path | None, now: float) -> list[str]:
    """Repair what can be repaired; returns what was done, in sentences. The caller holds the leader's lock.

    The hooks' logs below `log_dir` show which resources were started, so that their numbers are not used again.

    Raises StoreUnavailable, and UnknownFormat when a newer program wrote the folder.
    """
    disk = Disk(root)
    done = layout.mend(disk, Quarantine(disk))
    repairing = _Repair(FileStore(root), started_resources(survey(root, now), log_dir), now)
    for step in (repairing.quarantine_corrupt, repairing.salvage, repairing.mend_counters, repairing.mend_documents):
        done += step()
    removed = disk.remove_orphans(now)
    return done + ([f"{removed} files in tmp/ removed"] if removed else [])


class _Repair:
    """The steps of a repair. Each returns what it did, in sentences."""

    def __init__(self, store: FileStore, started: set[int], now: float) -> None:
        self.store = store
        self.started = started
        self.now = now

    def quarantine_corrupt(self) -> Iterator[str]:
        """Move corrupt documents to quarantine, as a scheduler does with living ones."""
        for fault in (*self.store.read_all().corrupt, *self._corrupt_finished()):
            yield f"{fault.place} was corrupt ({fault.reason}); moved to {fault.quarantined or 'quarantine'}"

    def _corrupt_finished(self) -> Iterator[CorruptDocument]:
        """Move corrupt archived documents and keys to quarantine. Files that the system refuses to read stay."""
        for fault in chain(self.store.keys.forget_before(0.0), self.store.corruption.check_finished()):
            if isinstance(fault, CorruptDocument):
                yield fault

    def salvage(self) -> Iterator[str]:
        """Recover documents in quarantine as far as possible."""
        for copy in reversed(self.store.quarantine.list()):
            try:
                content = self.store.quarantine.read(copy)
            except StoreUnavailable as refused:
                if not refused.one_document:
                    raise
                yield f"{copy.place} left as it is, since it cannot be read: {refused.reason}"
                continue
            if copy.folder.startswith("tickets/") and is_number(copy.key):
                ticket = _whole(Ticket, content, int(copy.key))
                yield from self._put_back(
                    copy, self.store.tickets, ticket or salvage.failed_ticket(int(copy.key), content, self.now)
                )
            elif copy.folder.startswith("resources/") and is_number(copy.key):
                resource = _whole(Resource, content, int(copy.key))
                if resource is None and copy.folder == "resources/live":
                    resource = salvage.resource_to_delete(int(copy.key), content)
                yield from self._put_back(copy, self.store.resources, resource)

    def _put_back(
        self, copy: Quarantined, collection: Folder[Any, int], document: Ticket | Resource | None
    ) -> Iterator[str]:
        if document is not None and collection.put_back(document):
            yield f"{collection.kind} {document.id} put back as {document.state}, from {copy.place}"

    def mend_counters(self) -> Iterator[str]:
        """Raise the ceilings that are too low or cannot be read, so that no id is used twice."""
        found = survey(self.store.root, self.now)
        wrong = {name.removeprefix("ids/") for name in found.wrong if name.startswith("ids/")}
        wrong |= {fault.file.removeprefix("ids/") for fault in self._faults(Kind.COUNTER)}
        for name, collection in (
            ("tickets", self.store.tickets),
            ("resources", self.store.resources),
            ("intents", self.store.intents),
        ):
            if wrong & {f"{name}.ceiling", f"{name}.next"}:
                used = inventory_of(found, self.started).numbers_used().get(name, set())
                # What can be read of both files counts, too: an operator may have raised the ceiling.
                used |= {found.ceilings.get(name, 1) - 1, found.nexts.get(name, 1) - 1}
                for ending in ("ceiling", "next"):
                    self.store.quarantine.take(self.store.root / "ids" / f"{name}.{ending}")
                ceiling = collection.begin_above(max(used))
                yield f"the numbers of {name} continue at {ceiling}"

    def mend_documents(self) -> Iterator[str]:
        """Repair documents that contradict each other or are in the wrong folder."""
        found = survey(self.store.root, self.now)
        for fault in check(inventory_of(found, self.started)):
            path = self.store.root / fault.file
            match fault.kind:
                case Kind.DUPLICATE:
                    self.store.quarantine.take(path)
                    yield f"{fault.file}: {fault.sentence}; moved to quarantine"
                case Kind.WRONG_PLACE:
                    finished = found.done.get(fault.file) or found.ended.get(fault.file)
                    is_ticket = fault.file in found.done
                    archive: ArchivedFolder[Any] = self.store.tickets if is_ticket else self.store.resources
                    self.store.quarantine.take(path)
                    archive.put_back(finished)
                    yield f"{fault.file}: {fault.sentence}; moved back to the living ones"
                case Kind.HALF_GRANTED | Kind.DOUBLE_GRANT:
                    self.store.quarantine.keep(path)
                    self.store.tickets.update(found.tickets[fault.file].id, self._fail)
                    yield f"{fault.file}: {fault.sentence}; it is FAILED now"
                case Kind.WRONG_RUN if fault.file in found.resources:
                    self.store.quarantine.keep(path)
                    self.store.commit(Batch([Put(self._with_run(found.resources[fault.file]))]))
                    yield f"{fault.file}: {fault.sentence}; repaired"
                case _:
                    pass

    def _fail(self, ticket: Ticket) -> Ticket:
        return fail_ticket(ticket, salvage.REASON, self.now) if ticket.state is TicketState.OPEN else ticket

    def _with_run(self, resource: Resource) -> Resource:
        kind = RUN_OF.get(resource.state)
        if kind is None:
            return resource.replace(run=None)
        number = {HookKind.RELEASE: resource.releases_counter, HookKind.TERMINATE: resource.delete_failures + 1}
        run = Run(id=str(RunId(kind, resource.id, number.get(kind, 1))), kind=kind, started_at=resource.created_at)
        return resource.replace(run=run)

    def _faults(self, kind: Kind) -> list[Any]:
        found = survey(self.store.root, self.now)
        return [fault for fault in check(inventory_of(found, self.started)) if fault.kind is kind]


def _whole(document_type: type[D], content: bytes, key: int) -> D | None:
    """The document when all of its fields can be read and its check sum, if that is still there, is theirs."""
    document = salvage.whole(document_type, content, key)
    written = checksum.stated(content)
    if document is not None and written not in (None, checksum.stated(checksum.encode(document))):
        return None
    return document
