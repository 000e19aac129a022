"""Corrupt documents: finds them, says what they may occupy, and writes the last good version of a known one again.

A document that this process never knew stays in quarantine, and what it occupied stays reserved, until an operator
puts the document back or deletes it. Nothing here knows the leader: each function takes what is known of the documents
and returns what it found; `leader.py` applies that.
"""

import logging
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from functions.integrity import salvage
from functions.logfields import of_file
from functions.policy.snapshot.numbers import Reservation
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.history import QuarantinedFile
from state.documents import Document, Resource, ResourceState
from state.errors import CorruptDocument, StoreUnavailable, UnreadableDocument
from state.files.collection import Collection
from state.files.ids import is_number
from state.files.quarantine import Aside
from state.store import Store

log = logging.getLogger(__name__)

SHOWN = 100
"""How many corrupt documents, or archive folders that cannot be written, are listed one by one."""
_ABOUT = {"tickets": "ticket", "resources": "resource", "pools": "pool", "agents": "ticket"}
"""By folder: which field of an event names the document. An agent has the number of its ticket."""


class CorruptionReport:
    """What is corrupt in one state folder, as of the last look at it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.words: list[str] = []
        """One sentence for each corrupt file, up to `SHOWN` of them."""
        self.count = 0
        """How many files are corrupt; there may be more than sentences."""
        self.refused: dict[Path, UnreadableDocument] = {}
        """Documents that the system refuses to read."""
        self.quarantined: set[str] = set()
        """What is in quarantine, as paths below the state folder."""
        self._why: dict[Path, str | None] = {}
        """The known reasons, by path in quarantine."""

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
            "%s is corrupt (%s); moved to %s", fault.path, fault.why, fault.quarantined, extra=of_file(fault.path)
        )
        if fault.quarantined is not None:
            self.explain(fault.quarantined, fault.why)

    def explain(self, path: Path, why: str) -> None:
        """Note why this file is in quarantine."""
        self._why[path] = why

    def refuse(self, fault: UnreadableDocument) -> bool:
        """Note that the system refuses to read a document; returns whether that is new."""
        if fault.path in self.refused:
            return False
        log.error("%s; the file stays where it is and is tried again", fault, extra=of_file(fault.path))
        self.refused[fault.path] = fault
        return True

    def look(self) -> tuple[list[Aside], list[QuarantinedFile]]:
        """List the quarantine: everything in it, and the part that is new."""
        things = self._store.quarantine.list()
        before, self._why = self._why, {}
        for aside in things:
            known = aside.path in before
            self._why[aside.path] = before[aside.path] if known else why_quarantined(self._store, aside)
        moved = [_moved_aside(self._store.root, aside, self._why[aside.path]) for aside in things]
        new = [each for each in moved if each.now not in self.quarantined]
        for aside in things:
            if aside.path not in before:
                log.error("in quarantine: %s", _sentence(aside, self._why[aside.path]), extra=of_file(aside.path))
        self.quarantined = {each.now for each in moved}
        self._describe(things)
        return things, new

    def _describe(self, things: Iterable[Aside]) -> None:
        words = [_sentence(aside, self._why[aside.path]) for aside in things]
        words += [f"{path.relative_to(self._store.root)}: {fault.why}" for path, fault in self.refused.items()]
        self.count = len(words)
        if len(words) > SHOWN:
            words[SHOWN:] = [f"and {len(words) - SHOWN} more"]
        self.words = words


def _sentence(aside: Aside, why: str | None) -> str:
    place = f"{aside.folder}/{aside.key}" if aside.folder else aside.key
    return f"{place}: {why or 'damaged'} ({aside.path.name})"


def about_of(folder: Path, key: object) -> dict[str, Any]:
    """The fields of an event that name the document with this key in a folder."""
    field = next((_ABOUT[part] for part in reversed(folder.parts) if part in _ABOUT), None)
    if field is None:
        return {}
    if field == "pool":
        return {"pool": str(key)}
    return {field: int(str(key))} if is_number(str(key)) else {}


def _moved_aside(root: Path, aside: Aside, why: str | None) -> QuarantinedFile:
    place = f"{aside.folder}/{aside.key}" if aside.folder else aside.key
    now = str(aside.path.relative_to(root))
    return QuarantinedFile(place=place, now=now, at=aside.at, why=why, about=about_of(Path(aside.folder), aside.key))


def why_quarantined(store: Store, aside: Aside) -> str | None:
    """Why another process moved this file to quarantine: what is wrong with it as the document that it was.

    None when it was no document, or a good one that somebody replaced or changed.
    """
    collections: dict[str, Collection[Any, Any]] = {
        "tickets": store.tickets,
        "resources": store.resources,
        "pools": store.pools,
        "agents": store.agents,
        "intents": store.intents,
    }
    collection = collections.get(aside.folder.partition("/")[0])
    key = collection.key_of(f"{aside.key}.json") if collection else None
    if collection is None or key is None:
        return None
    try:
        collection.parse(aside.path, key)
    except CorruptDocument as fault:
        return fault.why
    except StoreUnavailable as refused:
        return refused.error.strerror or str(refused.error)
    return None


class PutBack(Enum):
    """What became of writing a lost document again."""

    WRITTEN = "written"
    PENDING = "pending"
    """It could not be written now, or something else came there; either way it is tried or looked at again."""
    ARCHIVED = "archived"
    """It was not lost: it is finished and was archived meanwhile."""


def put_back(collection: Collection[Any, Any], document: Document) -> PutBack:
    """Write the last good version of a lost or corrupt document again."""
    what = f"{collection.kind} {document.key}"
    about = of_file(collection.path(document.key))
    try:
        if collection.put_back(document):
            log.error("%s: its document was lost or corrupt; the last good one was written again", what, extra=about)
            return PutBack.WRITTEN
        if not os.path.lexists(collection.path(document.key)):
            return PutBack.ARCHIVED
        # Something else came there just now. The leader looks at it when the watch reports it.
    except StoreUnavailable as error:
        log.error("%s: its document was lost or corrupt and cannot be written again now: %s", what, error, extra=about)
    return PutBack.PENDING


@dataclass(frozen=True)
class Checked:
    """What `check_own` found: `document` is what is on disk now, if it can be read."""

    document: Any = None
    corrupt: CorruptDocument | None = None
    """Why the file was moved to quarantine, if it could not be read."""
    foreign: Path | None = None
    """Where in quarantine a good document is that another program wrote, if it could be moved."""
    put_back: Any = None
    """The last good version, if it has to be written again."""


def check_own(store: Store, collection: Collection[Any, Any], key: Any, known: Any, written: Any) -> Checked:
    """Compare a document that only the leader writes with what it wrote last; quarantine any other.

    `known` is the leader's version (None: it knows none), `written` the one that should be on disk. Raises
    StoreUnavailable.
    """
    try:
        found, fault = collection.get_or_quarantine(key)
    except StoreUnavailable as refused:
        if known is None or not refused.of_one_file:
            raise
        found, fault = None, collection.quarantine(key, unreadable=True)
    if found is None:
        return Checked(corrupt=fault, put_back=known)
    if known is None or found == written:
        return Checked(document=found, corrupt=fault)
    path = collection.path(key)
    foreign = store.quarantine.take(path)
    log.error(
        "%s %s: another program changed its document; that version was moved to %s",
        collection.kind,
        key,
        foreign,
        extra=of_file(path),
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


def lost_resources(
    store: Store, known: Container[int], quarantined: Iterable[Aside], refused: Iterable[UnreadableDocument]
) -> dict[int, bytes]:
    """By id: what is left of the document of each resource that is not `known`, in quarantine or refused."""
    lost: dict[int, bytes] = {}
    for aside in quarantined:
        if aside.folder == "resources/live" and is_number(aside.key) and not store.resources.exists(int(aside.key)):
            lost[int(aside.key)] = _left_of(store, aside)
    for fault in refused:
        number = store.resources.key_of(fault.path.name)
        if fault.path.parent == store.resources.folder and number is not None:
            lost[number] = b""
    return {number: content for number, content in lost.items() if number not in known}


def doubtful_resources(
    store: Store,
    snapshot: Snapshot,
    quarantined: Iterable[Aside],
    refused: Iterable[UnreadableDocument],
    now: float,
) -> set[int]:
    """Free resources that a ticket may have whose document is in quarantine or refused."""
    tickets = store.tickets
    lost: list[tuple[int, bytes, float]] = []
    for aside in quarantined:
        if aside.folder == "tickets/open" and is_number(aside.key) and not tickets.exists(int(aside.key)):
            lost.append((int(aside.key), _left_of(store, aside), aside.at))
    for fault in refused:
        number = tickets.key_of(fault.path.name)
        if fault.path.parent == tickets.folder and number is not None:
            lost.append((number, b"", now))
    lost = [ticket for ticket in lost if ticket[0] not in snapshot.tickets]
    if not lost:
        return set()
    resources = snapshot.resources.values()
    free = [found for found in resources if found.state is ResourceState.UP and snapshot.holder(found.id) is None]
    return {resource.id for resource in free if any(salvage.may_have(*ticket, resource) for ticket in lost)}


def _left_of(store: Store, aside: Aside) -> bytes:
    try:
        return store.quarantine.read(aside)
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
