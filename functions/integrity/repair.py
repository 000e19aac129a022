"""Repairs a state folder that nobody leads: only what no scheduler puts right by itself.

The original of whatever is changed is kept in `quarantine/`.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from functions.integrity import salvage
from functions.integrity.fsck import inventory_of, started
from functions.integrity.invariants import RUN_OF, Kind, check
from functions.policy.transitions.run_id import RunId
from functions.policy.transitions.ticket import fail_ticket
from state.documents import HookKind, Resource, Run, Ticket, TicketState
from state.errors import CorruptDocument, StoreUnavailable
from state.files import layout as tree
from state.files.archive import Archived
from state.files.check.survey import survey
from state.files.collection import Collection
from state.files.ids import is_number
from state.files.keys import Keys
from state.files.quarantine import Aside, Quarantine
from state.files.staging import Files
from state.store import Batch, Put, Store


def repair(root: Path, log_dir: Path | None, now: float) -> list[str]:
    """Put right what can be; returns what was done, in words. The caller holds the leader's role.

    The hooks' logs below `log_dir` tell which resources were started, so that no number of them comes again.

    Raises StoreUnavailable, and UnknownFormat when a newer program wrote the folder.
    """
    files = Files(root)
    done = tree.mend(files, Quarantine(files))
    repairing = _Repair(Store(root), started(root, log_dir), now)
    for step in (repairing.move_damaged, repairing.salvage, repairing.mend_counters, repairing.mend_documents):
        done += step()
    removed = files.remove_orphans(now)
    return done + ([f"{removed} files in tmp/ removed"] if removed else [])


class _Repair:
    def __init__(self, store: Store, started: set[int], now: float) -> None:
        self.store = store
        self.started = started
        self.now = now

    def move_damaged(self) -> Iterator[str]:
        """To quarantine, as a scheduler does with living documents."""
        for fault in (*self.store.read_all().corrupt, *self._damaged_for_good()):
            aside = fault.quarantined.name if fault.quarantined else "quarantine"
            yield f"{self._name(fault.path)} was damaged ({fault.why}); moved to quarantine/{aside}"

    def _damaged_for_good(self) -> Iterator[CorruptDocument]:
        """What is finished, and keys. What the system refuses to read stays, and keeps nobody from the others."""
        keys = Keys(self.store)
        checks = [partial(keys.check, name, before=0) for name in keys.names()]
        for archive in (self.store.tickets, self.store.resources):
            checks += [partial(archive.quarantine_archived, key) for key in archive.archived()]
        for check_one in checks:
            try:
                fault = check_one()
            except StoreUnavailable as refused:
                if not refused.of_one_file:
                    raise
                continue
            if fault is not None:
                yield fault

    def salvage(self) -> Iterator[str]:
        """Make of documents in quarantine what can be made of them."""
        for aside in reversed(self.store.quarantine.list()):
            try:
                content = self.store.quarantine.read(aside)
            except StoreUnavailable as refused:
                if not refused.of_one_file:
                    raise
                yield f"quarantine/{aside.path.name} left as it is, since it cannot be read: {refused.error.strerror}"
                continue
            if aside.folder.startswith("tickets/") and is_number(aside.key):
                ticket = salvage.whole(Ticket, content, int(aside.key))
                yield from self._put_back(
                    aside, self.store.tickets, ticket or salvage.failed_ticket(int(aside.key), content, self.now)
                )
            elif aside.folder.startswith("resources/") and is_number(aside.key):
                resource = salvage.whole(Resource, content, int(aside.key))
                if resource is None and aside.folder == "resources/live":
                    resource = salvage.resource_to_delete(int(aside.key), content)
                yield from self._put_back(aside, self.store.resources, resource)

    def _put_back(
        self, aside: Aside, collection: Collection[Any, int], document: Ticket | Resource | None
    ) -> Iterator[str]:
        if document is not None and collection.put_back(document):
            yield f"{collection.kind} {document.id} put back as {document.state}, from quarantine/{aside.path.name}"

    def mend_counters(self) -> Iterator[str]:
        found = survey(self.store.root, self.now)
        wrong = {name.removeprefix("ids/") for name in found.wrong if name.startswith("ids/")}
        wrong |= {fault.file.removeprefix("ids/") for fault in self._faults(Kind.COUNTER)}
        for name, collection in (
            ("tickets", self.store.tickets),
            ("resources", self.store.resources),
            ("intents", self.store.intents),
        ):
            if wrong & {f"{name}.ceiling", f"{name}.next"}:
                given = inventory_of(found, self.started).numbers_given().get(name, set())
                # What is still good of both files counts, too: an operator may have raised the ceiling.
                given |= {found.ceilings.get(name, 1) - 1, found.nexts.get(name, 1) - 1}
                for ending in ("ceiling", "next"):
                    self.store.quarantine.take(self.store.root / "ids" / f"{name}.{ending}")
                ceiling = collection.begin_above(max(given))
                yield f"the numbers of {name} go on at {ceiling}"

    def mend_documents(self) -> Iterator[str]:
        found = survey(self.store.root, self.now)
        for fault in check(inventory_of(found, self.started)):
            path = self.store.root / fault.file
            match fault.kind:
                case Kind.DUPLICATE:
                    self.store.quarantine.take(path)
                    yield f"{fault.file}: {fault.sentence}; moved to quarantine"
                case Kind.WRONG_PLACE:
                    finished = found.done.get(fault.file) or found.ended.get(fault.file)
                    collection: Archived[Any] = self.store.tickets if fault.file in found.done else self.store.resources
                    self.store.quarantine.take(path)
                    collection.put_back(finished)
                    yield f"{fault.file}: {fault.sentence}; put back among the living"
                case Kind.HALF_GRANTED | Kind.DOUBLE_GRANT:
                    self.store.quarantine.keep(path)
                    self.store.tickets.update(found.tickets[fault.file].id, self._fail)
                    yield f"{fault.file}: {fault.sentence}; it is FAILED now"
                case Kind.WRONG_RUN if fault.file in found.resources:
                    self.store.quarantine.keep(path)
                    self.store.commit(Batch([Put(self._with_run(found.resources[fault.file]))]))
                    yield f"{fault.file}: {fault.sentence}; mended"
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

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.store.root))
