"""The leader: the store, the settings, the clock and the hooks, with the mirror of the documents and the journal.

Every timed function takes one. Only the process that holds the leader's lease may have one.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from config.errors import Problem
from config.pools import Pool
from config.settings import Settings
from functions.logfields import of_place, of_problem
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.pool import updated_records
from functions.timed.corruption import (
    CorruptionReport,
    about_of,
    compare_with_disk,
    doubtful_resources,
    lost_documents,
    lost_resources,
    put_back,
    quarantine,
    read_document,
    reservations,
    stand_ins,
)
from functions.timed.hook_runs import HookRunner
from functions.timed.journal import Journal
from functions.timed.measures import Measures
from functions.timed.mirror import Mirror
from functions.timed.pools_file import Faults, Pools, PoolsFile, Unchanged, last_good
from state.documents import Agent, Document, ResourceState
from state.errors import CorruptDocument, NewerDocument, StoreUnavailable, UnreadableDocument
from state.store import Batch, Contents, D, Documents, K, Put, PutBack, Store

log = logging.getLogger(__name__)

Changes = Mapping[str, Set[int | str] | None]
"""The keys of changed documents by kind; None means all of them."""
LEADER_ONLY = ("resources", "pools", "agents")
"""Kinds of documents that only the leader writes."""
SHOWN_FAULTS = 5
"""How many faults of the configuration one event lists."""


@dataclass
class ConfigReport:
    """What is wrong with the configuration files, as sentences."""

    pool_faults: tuple[str, ...] = ()
    agent_faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Leader:
    """What all timed functions share, with methods that read documents into the mirror, repair and report them.

    `clock` gives Unix seconds, `random_name` a new sandbox name.
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
        self.mirror = Mirror()
        self.journal = Journal(clock)
        self.corruption = CorruptionReport(store)
        self.config = ConfigReport()
        self._pools_file = PoolsFile(settings.pools_file)

    def keep(self, document: Document) -> None:
        """Take a document that was just written or read into the mirror, and its new events into the journal."""
        self.journal.note(document)
        self.mirror.put(document)

    # Read documents

    def load(self) -> None:
        """Read all documents: at the start, and whenever the mirror may be wrong.

        Documents that were known before and are lost now are written again.
        """
        self.mend()
        contents = self.store.read_all()
        mirror = self.mirror
        mirror.may_miss_runs = True
        snapshot, agents = mirror.snapshot, mirror.agents
        try:
            self._fill_mirror(contents, snapshot, agents)
        except BaseException:
            # What was known must not be forgotten before it could be written again.
            mirror.snapshot, mirror.agents = snapshot, agents
            raise

    def _fill_mirror(self, contents: Contents, before: Snapshot, agents_before: dict[int, Agent]) -> None:
        mirror = self.mirror
        mirror.snapshot = snapshot = Snapshot()
        mirror.finished_tickets.clear()
        mirror.finished_resources.clear()
        mirror.written_records.clear()
        for record in contents.records:
            snapshot.put_record(record)
        for resource in contents.resources:
            if resource.state is ResourceState.ENDED:
                mirror.finished_resources.add(resource.id)
            else:
                snapshot.put_resource(resource)
        for ticket in contents.tickets:
            snapshot.put_ticket(ticket)
        for intent in contents.intents:
            snapshot.put_intent(intent)
        mirror.agents = {agent.id: agent for agent in contents.agents}
        for name in filter(self.is_newer_pool, [*before.records]):
            # A stand-in is never written.
            del before.records[name]
        self.corruption.read_anew(contents.corrupt, contents.unreadable)
        for record in stand_ins(contents.unreadable):
            snapshot.put_record(record)
        for document in (*contents.records, *contents.resources, *contents.tickets, *contents.agents):
            self.journal.note(document)
        self._put_back_lost(before, agents_before, contents.unreadable)
        if before.pools:
            snapshot.set_pools(self._known_pools(before.pools.values()))
        elif any(record.configured for record in contents.records):
            snapshot.set_pools(last_good(contents.records))
        self.check_quarantine()

    def refresh(self, changes: Changes) -> bool:
        """Read these documents again; returns whether anything is different."""
        different = False
        for kind, keys in changes.items():
            if keys is None:
                self.load()
                return True
            if kind == "tickets":
                for key in keys:
                    different |= self._refresh_ticket(int(key))
            elif kind == "intents":
                for key in keys:
                    different |= self._refresh_intent(int(key))
            elif kind in LEADER_ONLY:
                documents = getattr(self.store, kind)
                for key in keys:
                    self.check_document(documents, key)
            elif kind == "corruption":
                self.check_quarantine()
                different = True
        return different

    def _refresh_ticket(self, key: int) -> bool:
        if key in self.mirror.finished_tickets:
            # A late notification about a finished ticket that was already processed.
            return False
        known = self.mirror.snapshot.tickets.get(key)
        try:
            ticket, fault = self._read(self.store.tickets, key, unreadable=known is not None)
        except NewerDocument as newer:
            self.mirror.forget_tickets([key] if known is not None else [])
            self.report_refused(newer)
            return known is not None
        if fault is not None:
            self.report_corrupt(fault)
        is_read_again = self.corruption.refused.pop(self.store.tickets.place(key), None) is not None
        if ticket == known:
            if is_read_again:
                self.check_quarantine()
            return False
        if ticket is None:
            # A ticket is never forgotten because its document is corrupt or missing, only when it was archived.
            if known is None or self._put_back(self.store.tickets, known):
                return False
            self.mirror.forget_tickets([key])
        else:
            self.keep(ticket)
        if is_read_again:
            self.check_quarantine()
        return True

    def _refresh_intent(self, key: int) -> bool:
        try:
            intent, fault = self._read(self.store.intents, key, unreadable=True)
        except NewerDocument as newer:
            self.mirror.snapshot.drop_intent(key)
            self.report_refused(newer)
            return False
        if fault is not None:
            self.report_corrupt(fault)
        if self.corruption.refused.pop(self.store.intents.place(key), None) is not None:
            self.check_quarantine()
        if intent is None:
            self.mirror.snapshot.drop_intent(key)
            return False
        self.mirror.snapshot.put_intent(intent)
        return True

    def _read(self, documents: Documents[D, K], key: K, unreadable: bool) -> tuple[D | None, CorruptDocument | None]:
        """As `read_document`, which only documents need that cannot be read."""
        try:
            return documents.get(key), None
        except (CorruptDocument, StoreUnavailable):
            return read_document(self.store, documents, key, unreadable)

    # Repair documents

    def mend(self) -> None:
        """Repair the store, and log what was wrong. Raises StoreUnavailable and UnknownFormat."""
        for wrong in self.store.corruption.mend() if self.store.corruption else ():
            log.error("%s: %s", self.store.name, wrong)

    def known_documents(self, documents: Documents[Any, Any]) -> dict[Any, Any]:
        """The mirror's documents of a kind that only the leader writes."""
        if documents is self.store.resources:
            return self.mirror.snapshot.resources
        return self.mirror.snapshot.records if documents is self.store.pools else self.mirror.agents

    def check_document(self, documents: Documents[Any, Any], key: Any) -> None:
        """Compare a document that only the leader writes with the mirror; rewrite it if it differs.

        A document that the mirror does not have was put back by an operator: the mirror takes it.
        """
        try:
            if self.corruption.is_newer(documents.place(key)):
                # Raises while it is a newer one.
                read_document(self.store, documents, key)
                self._pools_file.forget()
                self.load()
            else:
                self._compare(documents, key)
        except NewerDocument:
            # The mirror forgets its own version, which must not replace the newer one.
            if not self.corruption.is_newer(documents.place(key)):
                self.load()

    def _compare(self, documents: Documents[Any, Any], key: Any) -> None:
        known = self.known_documents(documents).get(key)
        # While statistics of a pool are unwritten, its record on disk is an older one than the mirror's.
        written = self.mirror.written_records.get(key, known) if documents is self.store.pools else known
        checked = compare_with_disk(self.store, documents, key, known, written)
        if checked.corrupt is not None:
            self.report_corrupt(checked.corrupt)
        if checked.foreign is not None:
            self.corruption.explain(checked.foreign, "somebody else changed it")
            self.check_quarantine()
        if checked.put_back is not None:
            self._put_back(documents, checked.put_back)
        elif known is None and checked.document is not None and not self._is_finished(documents, key):
            log.info("%s %s: its document was put back", documents.kind, key, extra=of_place(documents.place(key)))
            self.keep(checked.document)

    def _is_finished(self, documents: Documents[Any, Any], key: Any) -> bool:
        return documents is self.store.resources and key in self.mirror.finished_resources

    def _put_back(self, documents: Documents[Any, Any], document: Document) -> bool:
        """Keep the last good version in force and write it again; returns False when it was archived meanwhile."""
        result = put_back(self.store, documents, document)
        if result is PutBack.ARCHIVED:
            return False
        if result is PutBack.WRITTEN:
            about = about_of(documents.place(document.key))
            self.journal.add("document", "last good one written again", **about)
        self.keep(document)
        return True

    def _put_back_lost(self, before: Snapshot, agents: dict[int, Agent], refused: Iterable[UnreadableDocument]) -> None:
        """After everything was read again: write the documents that were known before and that are missing now."""
        store, snapshot = self.store, self.mirror.snapshot
        unreadable = {fault.place for fault in refused}
        newer = {fault.place for fault in refused if isinstance(fault, NewerDocument)}
        under_way = set(self.hooks.under_way())
        kinds: tuple[tuple[Documents[Any, Any], Mapping[Any, Document], Iterable[Any]], ...] = (
            (store.tickets, before.tickets, snapshot.tickets),
            (store.resources, before.resources, snapshot.resources.keys() | self.mirror.finished_resources),
            (store.pools, before.records, snapshot.records),
            (store.agents, agents, self.mirror.agents),
        )
        for documents, known, present in kinds:
            for document in lost_documents(known, {*present}, under_way):
                key = document.key
                if documents.place(key) in newer:
                    continue
                if documents.place(key) in unreadable and not quarantine(self.store, documents, key):
                    found = documents.get(key)
                    if found is not None:
                        # The system refused to read it for a moment only.
                        self.keep(found)
                        continue
                self._put_back(documents, document)

    # Report corruption

    def report_corrupt(self, fault: CorruptDocument) -> None:
        """Report that a document was moved to quarantine."""
        self.corruption.moved(fault)
        self.check_quarantine()

    def report_refused(self, fault: UnreadableDocument) -> None:
        """Report, once, that the system refuses to read a document."""
        if self.corruption.refuse(fault):
            self.check_quarantine()

    def check_quarantine(self) -> None:
        """List the quarantine, to report it and to reserve what lost resources occupy."""
        mirror, snapshot = self.mirror, self.mirror.snapshot
        words_before = self.corruption.words
        things, new = self.corruption.list_quarantine()
        for moved in new:
            self.journal.note(moved)
        mirror.changed |= self.corruption.words != words_before
        refused = list(self.corruption.refused.values())
        lost = lost_resources(self.store, snapshot.resources, things, refused)
        for number in snapshot.lost - lost.keys():
            self.check_document(self.store.resources, number)
        reserved = [wanted for number, content in lost.items() for wanted in reservations(snapshot, number, content)]
        snapshot.reserve(lost, reserved)
        snapshot.doubt(doubtful_resources(self.store, snapshot, things, refused, self.clock()))

    # Read pools.yaml

    def reload_pools(self) -> bool:
        """Read pools.yaml if it changed; a broken one keeps the last good one in force. Returns whether it was read."""
        read = self._pools_file.read()
        match read:
            case Unchanged():
                return False
            case Faults(problems=problems):
                self._report_faults(problems)
            case Pools(pools=pools, warnings=warnings):
                try:
                    self._apply_pools(pools, warnings)
                except BaseException:
                    self._pools_file.forget()
                    raise
        self.mirror.changed = True
        return True

    def _report_faults(self, problems: Sequence[Problem]) -> None:
        before, self.config.pool_faults = self.config.pool_faults, tuple(map(str, problems))
        if self.config.pool_faults != before:
            self.journal.add("config", "pools.yaml is broken", "; ".join(self.config.pool_faults[:SHOWN_FAULTS]))
        kept = "the last good pools stay in force" if self.mirror.snapshot.pools else "nothing is started"
        for problem in problems:
            log.error("%s (%s)", problem, kept, extra=of_problem(problem))

    def _write_options(self, pools: Iterable[Pool]) -> None:
        """Write the options of the pools into their records. Raises StoreUnavailable and StoreFrozen."""
        records = self.mirror.snapshot.records
        known = {name: record for name, record in records.items() if not self.is_newer_pool(name)}
        changed = updated_records(known, pools, self.clock())
        if changed:
            self.store.commit(Batch([Put(record) for record in changed]))
        for record in changed:
            self.keep(record)

    def is_newer_pool(self, name: str) -> bool:
        """Whether a newer version of this program wrote the record of this pool."""
        return self.corruption.is_newer(self.store.pools.place(name))

    def _known_pools(self, pools: Iterable[Pool]) -> list[Pool]:
        """The pools whose records this version can read: nothing starts in the others."""
        return [pool for pool in pools if not self.is_newer_pool(pool.name)]

    def _apply_pools(self, pools: Sequence[Pool], warnings: Sequence[Problem]) -> None:
        if self.config.pool_faults:
            self.journal.add("config", "pools.yaml is good again")
        self.config.pool_faults = ()
        self.config.warnings = tuple(map(str, warnings))
        for warning in warnings:
            log.warning("%s", warning, extra=of_problem(warning))
        pools = self._known_pools(pools)
        self._write_options(pools)
        self.mirror.snapshot.set_pools(pools)
        self.check_quarantine()
        log.info("%s: %d pools in force", self._pools_file.path, len(pools))
