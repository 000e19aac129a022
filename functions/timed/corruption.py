"""Corrupt documents: finds them, says what they may occupy, and writes the last good version of a known one again.

A document that this process never knew stays in quarantine, and what it occupied stays reserved, until an operator
puts the document back or deletes it. Nothing here knows the leader: each function takes what is known of the documents
and returns what it found; `leader.py` applies that.
"""

import logging
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from functions.integrity import salvage
from functions.logfields import of_place
from functions.policy.snapshot.numbers import Reservation
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.history import QuarantinedFile
from state.documents import Agent, AgentState, Document, PoolRecord, Resource, ResourceState, is_number
from state.errors import CorruptDocument, NewerDocument, StoreUnavailable, UnreadableDocument
from state.store import Documents, PutBack, Store
from state.survey import Quarantined

log = logging.getLogger(__name__)

D = TypeVar("D", bound=Document)
K = TypeVar("K", int, str)


SHOWN = 100
"""How many corrupt documents, or archive folders that cannot be written, are listed one by one."""
_ABOUT = {"tickets": "ticket", "resources": "resource", "pools": "pool", "agents": "ticket"}
"""By part of a place: which field of an event names the document. An agent has the number of its ticket."""


class CorruptionReport:
    """What is corrupt in one store, as of the last look at it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.words: list[str] = []
        """One sentence for each corrupt file, up to `SHOWN` of them."""
        self.count = 0
        """How many files are corrupt; there may be more than sentences."""
        self.refused: dict[str, UnreadableDocument] = {}
        """Documents that cannot be read, by place."""
        self.quarantined: set[str] = set()
        """The places of what is in quarantine."""
        self._reasons: dict[str, str | None] = {}
        """The known reasons, by place in quarantine."""

    def read_anew(self, corrupt: Iterable[CorruptDocument], unreadable: Iterable[UnreadableDocument]) -> None:
        """Note that all documents were read: these were moved to quarantine, and only these others are refused."""
        for fault in corrupt:
            self.moved(fault)
        self.refused = {}
        for refused in unreadable:
            self.refuse(refused)

    def moved(self, fault: CorruptDocument) -> None:
        """Note and log that a document was moved to quarantine."""
        log.error(
            "%s is corrupt (%s); moved to %s", fault.place, fault.reason, fault.quarantined, extra=of_place(fault.place)
        )
        if fault.quarantined is not None:
            self.explain(fault.quarantined, fault.reason)

    def explain(self, place: str, reason: str) -> None:
        """Note why the thing at this place is in quarantine."""
        self._reasons[place] = reason

    def refuse(self, fault: UnreadableDocument) -> bool:
        """Note that a document cannot be read; returns whether that is new."""
        if fault.place in self.refused:
            return False
        log.error("%s; it stays where it is and is tried again", fault, extra=of_place(fault.place))
        self.refused[fault.place] = fault
        return True

    def is_newer(self, place: str) -> bool:
        """Whether a newer version of this program wrote the document at this place."""
        return isinstance(self.refused.get(place), NewerDocument)

    def list_quarantine(self) -> tuple[list[Quarantined], list[QuarantinedFile]]:
        """List the quarantine: everything in it, and the part that is new."""
        corruption = self._store.corruption
        things = corruption.quarantined() if corruption else []
        before, self._reasons = self._reasons, {}
        for thing in things:
            known = thing.place in before
            self._reasons[thing.place] = before[thing.place] if known or not corruption else corruption.reason(thing)
        moved = [_quarantined_file(thing, self._reasons[thing.place]) for thing in things]
        new = [each for each in moved if each.now not in self.quarantined]
        for thing in things:
            if thing.place not in before:
                log.error("in quarantine: %s", _sentence(thing, self._reasons[thing.place]))
        self.quarantined = {each.now for each in moved}
        self._describe(things)
        return things, new

    def _describe(self, things: Iterable[Quarantined]) -> None:
        words = [_sentence(thing, self._reasons[thing.place]) for thing in things]
        words += [str(fault) for fault in self.refused.values()]
        self.count = len(words)
        if len(words) > SHOWN:
            words[SHOWN:] = [f"and {len(words) - SHOWN} more"]
        self.words = words


def _sentence(thing: Quarantined, reason: str | None) -> str:
    return f"{thing.origin}: {reason or 'corrupt'} ({thing.place.rpartition('/')[2]})"


def about_of(place: str) -> dict[str, Any]:
    """The fields of an event that name the document at a place."""
    *folders, key = place.split("/")
    field = next((_ABOUT[part] for part in reversed(folders) if part in _ABOUT), None)
    if field is None:
        return {}
    if field == "pool":
        return {"pool": key}
    return {field: int(key)} if is_number(key) else {}


def _quarantined_file(thing: Quarantined, reason: str | None) -> QuarantinedFile:
    return QuarantinedFile(place=thing.origin, now=thing.place, at=thing.at, why=reason, about=about_of(thing.origin))


def read_document(
    store: Store, documents: Documents[D, K], key: K, unreadable: bool = False
) -> tuple[D | None, CorruptDocument | None]:
    """A living document, if there is one; a corrupt one is quarantined and returned as the fault.

    With `unreadable` so is one that cannot be read twice. Raises StoreUnavailable and NewerDocument.
    """
    if store.corruption is None:
        return documents.get(key), None
    return store.corruption.read(documents, key, unreadable)


def quarantine(store: Store, documents: Documents[D, K], key: K) -> CorruptDocument | None:
    """Quarantine a living document that is corrupt or cannot be read; None when it is neither."""
    return store.corruption.quarantine(documents, key, unreadable=True) if store.corruption else None


def put_back(store: Store, documents: Documents[Any, Any], document: Document) -> PutBack:
    """Write the last good version of a lost or corrupt document again; PENDING also when that fails now."""
    if store.corruption is None:
        return PutBack.ARCHIVED
    what = f"{documents.kind} {document.key}"
    about = of_place(documents.place(document.key))
    try:
        result = store.corruption.put_back(documents, document)
        if result is PutBack.WRITTEN:
            log.error("%s: its document was lost or corrupt; the last good one was written again", what, extra=about)
        return result
    except StoreUnavailable as error:
        log.error("%s: its document was lost or corrupt and cannot be written again now: %s", what, error, extra=about)
    return PutBack.PENDING


@dataclass(frozen=True)
class Checked:
    """What `compare_with_disk` found: `document` is what is on disk now, if it can be read."""

    document: Any = None
    corrupt: CorruptDocument | None = None
    """Why the document was moved to quarantine, if it could not be read."""
    foreign: str | None = None
    """The place in quarantine of a good document that another program wrote, if it could be moved."""
    put_back: Any = None
    """The last good version, if it has to be written again."""


def compare_with_disk(store: Store, documents: Documents[Any, Any], key: Any, known: Any, written: Any) -> Checked:
    """Compare a document that only the leader writes with what it wrote last; quarantine any other.

    `known` is the leader's version (None: it knows none), `written` the one that should be on disk. Raises
    StoreUnavailable.
    """
    try:
        found, fault = read_document(store, documents, key)
    except StoreUnavailable as refused:
        if known is None or not refused.one_document:
            raise
        found, fault = None, quarantine(store, documents, key)
    if found is None:
        return Checked(corrupt=fault, put_back=known)
    if known is None or found == written:
        return Checked(document=found, corrupt=fault)
    foreign = store.corruption.displace(documents, key) if store.corruption else None
    log.error(
        "%s %s: another program changed its document; that version was moved to %s",
        documents.kind,
        key,
        foreign,
        extra=of_place(documents.place(key)),
    )
    return Checked(document=found, corrupt=fault, foreign=foreign, put_back=known)


def lost_documents(known: Mapping[Any, Document], present: Container[Any], under_way: Container[str]) -> list[Document]:
    """The known documents that are not present any more. `under_way` are ids of hook runs.

    A STARTING resource without a run is not among them: writing it failed, so its hook never ran.
    """
    return [
        document for key, document in known.items() if key not in present and not _never_written(document, under_way)
    ]


def _never_written(document: Document, under_way: Container[str]) -> bool:
    return (
        isinstance(document, Resource)
        and document.state is ResourceState.STARTING
        and document.run is not None
        and document.run.id not in under_way
    )


def stand_ins(newer: Iterable[UnreadableDocument]) -> Iterator[PoolRecord]:
    """For each pool record of a newer version, one for the mirror alone: of a pool that is not in pools.yaml.

    So nothing starts in the pool, and its resources are checked, released and deleted by its last options.
    """
    for fault in newer:
        if isinstance(fault, NewerDocument) and fault.kind == "poolrecord":
            fields = salvage.fields_of(PoolRecord, fault.content)
            yield PoolRecord(**{**fields, "name": str(fault.key), "configured": False})


def agents_to_count(refused: Iterable[UnreadableDocument]) -> Iterator[Agent]:
    """For each agent of a newer version, one that counts in its group; its state is only a stand-in."""
    for fault in refused:
        if isinstance(fault, NewerDocument) and fault.kind == "agent":
            group = str(salvage.fields_of(Agent, fault.content).get("group", ""))
            yield Agent(id=int(fault.key), group=group, state=AgentState.PREPARING)


def lost_resources(
    store: Store, known: Container[int], quarantined: Iterable[Quarantined], refused: Iterable[UnreadableDocument]
) -> dict[int, bytes]:
    """By id: what is left of the document of each resource that is not `known`, in quarantine or refused."""
    lost = {number: _left_of(store, thing) for number, thing in _missing(store, store.resources, quarantined)}
    lost |= {
        number: fault.content for fault in refused if (number := _number_at(store.resources, fault.place)) is not None
    }
    return {number: content for number, content in lost.items() if number not in known}


def doubtful_resources(
    store: Store,
    snapshot: Snapshot,
    quarantined: Iterable[Quarantined],
    refused: Iterable[UnreadableDocument],
    now: float,
) -> set[int]:
    """Free resources that a ticket may have whose document is in quarantine or refused."""
    tickets = store.tickets
    missing = _missing(store, tickets, quarantined)
    lost = [(number, _left_of(store, thing), thing.at) for number, thing in missing]
    lost += [
        (number, fault.content, now) for fault in refused if (number := _number_at(tickets, fault.place)) is not None
    ]
    lost = [ticket for ticket in lost if ticket[0] not in snapshot.tickets]
    if not lost:
        return set()
    resources = snapshot.resources.values()
    free = [found for found in resources if found.state is ResourceState.UP and snapshot.holder(found.id) is None]
    return {resource.id for resource in free if any(salvage.may_have(*ticket, resource) for ticket in lost)}


def _missing(
    store: Store, documents: Documents[Any, int], quarantined: Iterable[Quarantined]
) -> Iterator[tuple[int, Quarantined]]:
    """The numbers of quarantined living documents in whose place there is nothing."""
    for thing in quarantined:
        number = _number_at(documents, thing.origin)
        if number is not None and store.corruption and not store.corruption.exists(documents, number):
            yield number, thing


def _number_at(documents: Documents[Any, int], place: str) -> int | None:
    """The number of the living document at a place, None when it is the place of something else."""
    number = place.rpartition("/")[2]
    return int(number) if is_number(number) and documents.place(int(number)) == place else None


def _left_of(store: Store, thing: Quarantined) -> bytes:
    try:
        return store.corruption.content(thing) if store.corruption else b""
    except StoreUnavailable:
        return b""


def reservations(snapshot: Snapshot, number: int, content: bytes) -> Iterator[Reservation]:
    """What a lost resource occupies: as the rest of its document or its ticket shows, else the most it can."""
    fields = salvage.fields_of(Resource, content)
    if fields.get("state") is ResourceState.ENDED:
        return
    tickets = (ticket for ticket in snapshot.tickets.values() if ticket.resource == number)
    pool_name = fields.get("pool") or next((ticket.pool for ticket in tickets), None)
    pools = [pool_name] if pool_name is not None else list(snapshot.pools)
    for name in pools:
        yield Reservation(pool=name, id_in_pool=fields.get("id_in_pool"))
    options = [snapshot.options_of(name) for name in pools]
    unknown = {counter: None for pool in options if pool for counter in pool.named_counters}
    yield Reservation(counters=fields.get("counters", unknown))
