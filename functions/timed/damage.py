"""What the leader does about documents that go bad or away: the last good version stays in force and is written again.

What was never known to this process stays in quarantine, and what it occupied stays occupied, until an operator has
put it back or removed it.
"""

import logging
import os
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from functions.integrity import salvage
from functions.logfields import of_file
from functions.policy.snapshot.reservations import Reservation
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.history import MovedAside
from state.documents import Agent, Document, Resource, ResourceState
from state.errors import CorruptDocument, StoreUnavailable, UnreadableDocument
from state.files.collection import Collection
from state.files.ids import is_number
from state.files.keys import Keys
from state.files.quarantine import Aside
from state.store import Store

if TYPE_CHECKING:
    from functions.timed.farm import Farm

log = logging.getLogger(__name__)

_ABOUT = {"tickets": "ticket", "resources": "resource", "pools": "pool", "agents": "ticket"}
"""By folder: which field of an event names the document. An agent has the number of its ticket."""


def about_of(folder: Path, key: object) -> dict[str, Any]:
    """The fields of an event that name what stands, or stood, in a folder under this key."""
    field = next((_ABOUT[part] for part in reversed(folder.parts) if part in _ABOUT), None)
    if field is None:
        return {}
    if field == "pool":
        return {"pool": str(key)}
    return {field: int(str(key))} if is_number(str(key)) else {}


def moved_aside(root: Path, aside: Aside, why: str | None) -> MovedAside:
    """What a thing in the quarantine of the state folder `root` tells of its move there."""
    place = f"{aside.folder}/{aside.key}" if aside.folder else aside.key
    now = str(aside.path.relative_to(root))
    return MovedAside(place=place, now=now, at=aside.at, why=why, about=about_of(Path(aside.folder), aside.key))


def why_aside(store: Store, aside: Aside) -> str | None:
    """Why a thing that another process moved to quarantine is there: what is wrong with it as what it was.

    None when it is no document, or a good one, which was replaced or changed by somebody else.
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


def put_back_known(farm: "Farm", before: Snapshot, agents: dict[int, Agent], refused: list[UnreadableDocument]) -> None:
    """After everything was read again: write what was known before and cannot be read any more."""
    unreadable = {fault.path for fault in refused}
    under_way = set(farm.hooks.under_way())
    places: tuple[tuple[Collection[Any, Any], Mapping[Any, Document], Container[Any]], ...] = (
        (farm.store.tickets, before.tickets, farm.snapshot.tickets.keys()),
        (farm.store.resources, before.resources, farm.snapshot.resources.keys() | farm.finished_resources),
        (farm.store.pools, before.records, farm.snapshot.records.keys()),
        (farm.store.agents, agents, farm.agents.keys()),
    )
    for collection, known, present in places:
        for key, document in known.items():
            if key not in present and not _never_written(document, under_way):
                if collection.path(key) in unreadable and collection.quarantine(key, unreadable=True) is None:
                    found = collection.get(key)
                    if found is not None:
                        # It was refused for a moment only.
                        farm.keep(found)
                        continue
                put_back(farm, collection, document)


def put_back(farm: "Farm", collection: Collection[Any, Any], document: Document) -> bool:
    """Keep the last good version of a document in force, and write it again; False when it has moved on meanwhile."""
    what = f"{collection.kind} {document.key}"
    about = of_file(collection.path(document.key))
    try:
        if collection.put_back(document):
            log.error("%s: its document was lost or damaged; the last good one was written again", what, extra=about)
            farm.remark("document", "last good one written again", **about_of(collection.folder, document.key))
        elif not os.path.lexists(collection.path(document.key)):
            return False
        # Else something came there in this moment: it is looked at when word of that comes.
    except StoreUnavailable as error:
        log.error("%s: its document was lost or damaged, and cannot be written again now: %s", what, error, extra=about)
    farm.keep(document)
    return True


def check_own(farm: "Farm", collection: Collection[Any, Any], key: Any) -> None:
    """See that a document that only the leader writes is what it wrote last; if not, write that again.

    One that was not known, which an operator has mended and put back, is taken in.
    """
    known = known_own(farm, collection).get(key)
    written = farm.late_records.get(key, known) if collection is farm.store.pools else known
    try:
        found, fault = collection.get_or_quarantine(key)
    except StoreUnavailable as refused:
        if known is None or not refused.of_one_file:
            raise
        found, fault = None, collection.quarantine(key, unreadable=True)
    if fault is not None:
        farm.report(fault)
    if found is None:
        if known is not None:
            put_back(farm, collection, known)
    elif known is None:
        if key not in farm.finished_resources or collection is not farm.store.resources:
            log.info("%s %s: its document was put back", collection.kind, key, extra=of_file(collection.path(key)))
            farm.keep(found)
    elif found != written:
        aside = farm.store.quarantine.take(collection.path(key))
        log.error(
            "%s %s: somebody else changed its document; that was moved to %s",
            collection.kind,
            key,
            aside,
            extra=of_file(collection.path(key)),
        )
        if aside is not None:
            farm.note_aside(aside, "somebody else changed it")
        put_back(farm, collection, known)


def known_own(farm: "Farm", collection: Collection[Any, Any]) -> dict[Any, Any]:
    """The last good versions of the documents in a folder that only the leader writes."""
    if collection is farm.store.resources:
        return farm.snapshot.resources
    return farm.snapshot.records if collection is farm.store.pools else farm.agents


def lost_resources(farm: "Farm", aside: list[Aside], refused: list[UnreadableDocument]) -> dict[int, bytes]:
    """What is left of the documents of resources that nobody knows: in quarantine, or refused by the system."""
    store = farm.store
    lost: dict[int, bytes] = {}
    for thing in aside:
        if thing.folder == "resources/live" and is_number(thing.key) and not store.resources.exists(int(thing.key)):
            lost[int(thing.key)] = _left_of(farm, thing)
    for fault in refused:
        number = store.resources.key_of(fault.path.name)
        if fault.path.parent == store.resources.folder and number is not None:
            lost[number] = b""
    return {number: content for number, content in lost.items() if number not in farm.snapshot.resources}


def doubtful_resources(farm: "Farm", aside: list[Aside], refused: list[UnreadableDocument]) -> set[int]:
    """Resources that a ticket may have whose document nobody can read: in quarantine, or refused by the system."""
    tickets = farm.store.tickets
    lost: list[tuple[int, bytes, float]] = []
    for thing in aside:
        if thing.folder == "tickets/open" and is_number(thing.key) and not tickets.exists(int(thing.key)):
            lost.append((int(thing.key), _left_of(farm, thing), thing.at))
    for fault in refused:
        number = tickets.key_of(fault.path.name)
        if fault.path.parent == tickets.folder and number is not None:
            lost.append((number, b"", farm.clock()))
    lost = [ticket for ticket in lost if ticket[0] not in farm.snapshot.tickets]
    if not lost:
        return set()
    resources = farm.snapshot.resources.values()
    free = [found for found in resources if found.state is ResourceState.UP and farm.snapshot.holder(found.id) is None]
    return {resource.id for resource in free if any(salvage.may_have(*ticket, resource) for ticket in lost)}


def _left_of(farm: "Farm", thing: Aside) -> bytes:
    try:
        return farm.store.quarantine.read(thing)
    except StoreUnavailable:
        return b""


def reservations(snapshot: Snapshot, number: int, content: bytes) -> Iterator[Reservation]:
    """What a lost resource occupies, as far as what is left of its document or its ticket tells, else at most."""
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


def _never_written(document: Document, under_way: set[str]) -> bool:
    """Whether it may be a resource that was about to be written when that failed, so that its hook never ran."""
    return (
        isinstance(document, Resource)
        and document.state is ResourceState.STARTING
        and document.run is not None
        and document.run.id not in under_way
    )


class Patrol:
    """Looks at all files again and again, some at a time: at the living ones, and at those that are finished."""

    LIVING, FINISHED = 500, 1000
    """How many files one call looks at: some 30 ms. What stands on a disk rots slowly."""

    def __init__(self) -> None:
        self._living: Iterator[None] | None = None
        self._finished: Iterator[None] | None = None

    def walk(self, farm: "Farm") -> None:
        """Go on where the last call ended. Raises StoreUnavailable and StoreFrozen."""
        self._living = _some(self._living or _look_at_living(farm), self.LIVING)
        self._finished = _some(self._finished or _look_at_finished(farm), self.FINISHED)


def _some(walk: Iterator[None], count: int) -> Iterator[None] | None:
    """The rest of the walk after so many files, None at its end."""
    return walk if sum(1 for _ in islice(walk, count)) == count else None


def _look_at_living(farm: "Farm") -> Iterator[None]:
    store = farm.store
    for key in {*farm.snapshot.tickets, *store.tickets.living()}:
        with _refusals_noted(farm):
            farm.refresh({"tickets": {f"{key}.json"}})
        yield
    for key in sorted({*farm.snapshot.intents, *store.intents.living()}):
        with _refusals_noted(farm):
            farm.refresh({"intents": {f"{key}.json"}})
        yield
    for collection in (store.resources, store.pools, store.agents):
        for key in {*known_own(farm, collection), *collection.living()}:
            with _refusals_noted(farm):
                check_own(farm, collection, key)
            yield


def _look_at_finished(farm: "Farm") -> Iterator[None]:
    keys = Keys(farm.store)
    for name in keys.names():
        with _refusals_noted(farm):
            fault = keys.check(name, farm.clock() - farm.settings.ticket_retention)
            if fault is not None:
                farm.report(fault)
        yield
    for collection in (farm.store.tickets, farm.store.resources):
        for key in collection.archived():
            with _refusals_noted(farm):
                fault = collection.quarantine_archived(key)
                if fault is not None:
                    farm.report(fault)
            yield


@contextmanager
def _refusals_noted(farm: "Farm") -> Iterator[None]:
    """One file that the system refuses keeps nobody from looking at the others."""
    try:
        yield
    except StoreUnavailable as refused:
        if not refused.of_one_file:
            raise
        farm.note_refused(UnreadableDocument(refused.path, refused.error.strerror or str(refused.error)))
