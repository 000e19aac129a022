"""What the leading scheduler keeps between two calls of a timed function: a mirror of the documents.

Everything here can be made anew from the state folder; nothing here is the only place of a fact.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from config.settings import Settings
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.history import KEPT, Key, Teller, key_of
from functions.timed.damage import (
    Patrol,
    check_own,
    doubtful_resources,
    lost_resources,
    put_back,
    put_back_known,
    reservations,
)
from functions.timed.damage_report import DamageReport
from functions.timed.hooks import HookRunner
from functions.timed.measures import Measures
from functions.timed.pools_file import PoolsFile, last_good
from state.documents import Actor, Agent, Document, Event, PoolRecord, Resource, ResourceState, Ticket
from state.errors import CorruptDocument, UnreadableDocument
from state.files.collection import Collection, D, K
from state.store import Contents, Store

log = logging.getLogger(__name__)

Changes = Mapping[str, set[str] | None]
"""Changed file names by folder label; None stands for all of them."""
_MOST_CHANGES = KEPT // 4
"""Of one document, before its events are written: each makes four of them at most."""
OWN = ("resources", "pools", "agents")
"""Labels of the folders that only the leader writes."""


class Farm:
    """The documents as the leader knows them (`snapshot`), and its tools.

    `clock` gives Unix seconds, `random_name` a new sandbox name. Only the process that holds the leader's lease may
    have one.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        hooks: HookRunner,
        clock: Callable[[], float],
        random_name: Callable[[], str],
        measures: Measures | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.hooks = hooks
        self.clock = clock
        self.random_name = random_name
        self.measures = measures or Measures()
        self.snapshot = Snapshot()
        self.config_faults: tuple[str, ...] = ()
        self.config_warnings: tuple[str, ...] = ()
        self.damage = DamageReport(store)
        self.agents: dict[int, Agent] = {}
        self.agent_faults: tuple[str, ...] = ()
        self.configured = False
        self.finished_tickets: dict[int, int | None] = {}
        """Tickets that are done with and still stand in their living folder, each with the resource that it had."""
        self.finished_resources: set[int] = set()
        """ENDED resources that still stand there."""
        self.not_archived: dict[str, str] = {}
        """Why these cannot be moved, by the folder of the archive that they would go to."""
        self.late_records: dict[str, PoolRecord] = {}
        """By pool: what was written last of records that have statistics which are not written yet."""
        self.changed_since_shown = True
        self.unwritten: dict[Key, Teller] = {}
        """What may tell of events which are not yet in the files of events."""
        self._changes_unwritten: Counter[Key] = Counter()
        self.remarks: list[Event] = []
        """Events that belong to no document, to be written there, too."""
        self.crowded = False
        """Whether a document was changed so often that it may soon list events no more which are not written yet."""
        self.taken_times: dict[str, list[float]] = {}
        """By pool: for how long (seconds) tickets kept its resources, since that was last written down."""
        self._touched: dict[int, Resource] = {}
        self.loaded_anew = False
        """Whether documents may wait for runs that nobody knows."""
        self._pools_file = PoolsFile(settings.pools_file)
        self.patrol = Patrol()

    def load(self) -> None:
        """Read everything: at the start, and after anything that left the mirror in doubt.

        Documents that were known before and are lost now are written again.
        """
        self.mend()
        contents = self.store.read_all()
        self.loaded_anew = True
        before, agents_before = self.snapshot, self.agents
        try:
            self._take_in(contents, before, agents_before)
        except BaseException:
            # What was known must not be forgotten before it could be written again.
            self.snapshot, self.agents = before, agents_before
            raise

    def _take_in(self, contents: Contents, before: Snapshot, agents_before: dict[int, Agent]) -> None:
        self.snapshot = Snapshot()
        self.finished_tickets.clear()
        self.finished_resources.clear()
        self.late_records.clear()
        for record in contents.records:
            self.snapshot.put_record(record)
        for resource in contents.resources:
            if resource.state is ResourceState.ENDED:
                self.finished_resources.add(resource.id)
            else:
                self.snapshot.put_resource(resource)
        for ticket in contents.tickets:
            self.snapshot.put_ticket(ticket)
        for intent in contents.intents:
            self.snapshot.put_intent(intent)
        self.agents = {agent.id: agent for agent in contents.agents}
        self.damage.read_anew(contents.corrupt, contents.unreadable)
        for document in (*contents.records, *contents.resources, *contents.tickets, *contents.agents):
            self._note_change(document)
        put_back_known(self, before, agents_before, contents.unreadable)
        if before.pools:
            self.snapshot.set_pools(list(before.pools.values()))
        elif any(record.configured for record in contents.records):
            self.snapshot.set_pools(last_good(contents.records))
        self.look_at_quarantine()

    def keep(self, document: Document) -> None:
        """Take a document that was just written, or read again, into the mirror."""
        self.changed_since_shown = True
        self._note_change(document)
        match document:
            case Ticket():
                self.snapshot.put_ticket(document)
            case Resource(state=ResourceState.ENDED):
                self.snapshot.drop_resource(document.id)
                self.finished_resources.add(document.id)
            case Resource():
                self.snapshot.put_resource(document)
                self.touch(document)
            case PoolRecord():
                self.late_records.pop(document.name, None)
                self.snapshot.put_record(document)
            case Agent():
                self.agents[document.id] = document

    def _note_change(self, document: Teller) -> None:
        key = key_of(document)
        if key is not None:
            self.unwritten[key] = document
            self._changes_unwritten[key] += 1
            self.crowded |= self._changes_unwritten[key] >= _MOST_CHANGES

    def events_are_written(self) -> None:
        """Forget what was to be written to the files of events."""
        self.unwritten.clear()
        self.remarks.clear()
        self._changes_unwritten.clear()
        self.crowded = False

    def remark(self, kind: str, event: str, reason: str | None = None, **about: Any) -> None:
        """Have an event written that belongs to no document; `about` are fields of it."""
        self.remarks.append(Event(at=self.clock(), kind=kind, event=event, actor=Actor.LEADER, reason=reason, **about))

    def touch(self, resource: Resource) -> None:
        """Note that when to check this resource has to be thought over."""
        self._touched[resource.id] = resource

    def touched(self) -> list[Resource]:
        """The resources that were kept or touched since the last call."""
        touched, self._touched = self._touched, {}
        return list(touched.values())

    def forget_tickets(self, tickets: Iterable[int]) -> None:
        """Take tickets out of the mirror."""
        for ticket in tickets:
            self.changed_since_shown = True
            self.snapshot.drop_ticket(ticket)

    def finish_tickets(self, tickets: Sequence[int]) -> None:
        """Take tickets out of the mirror with which all is done but to archive them."""
        self.finished_tickets |= {ticket: self.snapshot.tickets[ticket].resource for ticket in tickets}
        self.forget_tickets(tickets)

    def refresh(self, changes: Changes) -> bool:
        """Read the documents with these names again; tells whether anything is different."""
        different = False
        for label, names in changes.items():
            if names is None:
                self.load()
                return True
            if label == "tickets":
                for key in _keys(self.store.tickets, names):
                    different |= self._refresh_ticket(key)
            elif label == "intents":
                for key in _keys(self.store.intents, names):
                    different |= self._refresh_intent(key)
            elif label in OWN:
                collection = getattr(self.store, label)
                for key in _keys(collection, names):
                    check_own(self, collection, key)
            elif label == "quarantine":
                self.look_at_quarantine()
                different = True
        return different

    def _refresh_ticket(self, key: int) -> bool:
        if key in self.finished_tickets:
            # Word of its end that comes late: it was read before, and nothing changes it any more.
            return False
        known = self.snapshot.tickets.get(key)
        ticket, fault = self.store.tickets.get_or_quarantine(key, unreadable=known is not None)
        if fault is not None:
            self.report(fault)
        if ticket == known:
            return False
        if ticket is None:
            # A ticket is never forgotten because its file went bad or away: only when it was moved to the finished.
            if known is None or put_back(self, self.store.tickets, known):
                return False
            self.forget_tickets([key])
        else:
            self.keep(ticket)
            if self.damage.refused.pop(self.store.tickets.path(key), None) is not None:
                self.look_at_quarantine()
        return True

    def _refresh_intent(self, key: int) -> bool:
        intent, fault = self.store.intents.get_or_quarantine(key, unreadable=True)
        if fault is not None:
            self.report(fault)
        if intent is None:
            self.snapshot.drop_intent(key)
            return False
        self.snapshot.put_intent(intent)
        return True

    def report(self, fault: CorruptDocument) -> None:
        """Tell that a document was moved to quarantine."""
        self.damage.moved(fault)
        self.look_at_quarantine()

    def note_aside(self, path: Path, why: str) -> None:
        """Tell why this file is in quarantine now."""
        self.damage.explain(path, why)
        self.look_at_quarantine()

    def note_refused(self, fault: UnreadableDocument) -> None:
        """Tell, once, that the system refuses to read a document."""
        if self.damage.refuse(fault):
            self.look_at_quarantine()

    def mend(self) -> None:
        """Put in order what is no document, and tell it. Raises StoreUnavailable and UnknownFormat."""
        for wrong in self.store.mend():
            log.error("%s: %s", self.store.root, wrong)

    def look_at_quarantine(self) -> None:
        """See what is in quarantine, to tell it and to reserve what lost resources occupy."""
        told_before = self.damage.words
        things, new = self.damage.look()
        for moved in new:
            self._note_change(moved)
        self.changed_since_shown |= self.damage.words != told_before
        refused = list(self.damage.refused.values())
        lost = lost_resources(self, things, refused)
        for number in self.snapshot.lost - lost.keys():
            check_own(self, self.store.resources, number)
        left = lost.items()
        self.snapshot.reserve(lost, [wanted for each in left for wanted in reservations(self.snapshot, *each)])
        self.snapshot.doubt(doubtful_resources(self, things, refused))

    def reload_pools(self) -> bool:
        """Read pools.yaml if it changed; a broken one keeps the last good one in force. Tells whether it was read."""
        return self._pools_file.reload(self)

    def has_corrupt_resource(self) -> bool:
        """Whether a resource's document cannot be read, so that what it was is not known."""
        return bool(self.snapshot.lost)


def _keys(collection: Collection[D, K], names: Iterable[str]) -> list[K]:
    keys = [collection.key_of(name) for name in names]
    return [key for key in keys if key is not None]
