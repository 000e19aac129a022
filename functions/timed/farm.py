"""What the leading scheduler keeps between two calls of a timed function: a mirror of the documents.

Everything here can be made anew from the state folder; nothing here is the only place of a fact.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from config.errors import ConfigError
from config.pools import Pool, load_pools
from config.settings import Settings
from functions.policy.snapshot import Snapshot
from functions.timed.hooks import HookRunner
from state.collection import Collection, D, K
from state.documents import PoolRecord, Resource, ResourceState, Ticket, TicketState
from state.errors import CorruptDocument
from state.store import Batch, Put, Store

log = logging.getLogger(__name__)

Changes = Mapping[str, set[str] | None]
"""Changed file names by folder label; None stands for all of them."""


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
    ) -> None:
        self.store = store
        self.settings = settings
        self.hooks = hooks
        self.clock = clock
        self.random_name = random_name
        self.snapshot = Snapshot()
        self.config_faults: tuple[str, ...] = ()
        self.config_warnings: tuple[str, ...] = ()
        self.quarantined: list[str] = []
        self.configured = False
        self.finished_resources: set[int] = set()
        """ENDED resources that still stand in their living folder."""
        self.changed_since_shown = True
        self._touched: dict[int, Resource] = {}
        self.loaded_anew = False
        """Whether documents may wait for runs that nobody knows."""
        self._pools_file_seen: tuple[int, int, int] | None = None

    def load(self) -> None:
        """Read everything: at the start, and after anything that left the mirror in doubt."""
        contents = self.store.read_all()
        self.loaded_anew = True
        before, self.snapshot = self.snapshot, Snapshot()
        self.finished_resources.clear()
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
        for fault in contents.corrupt:
            self._report(fault)
        if before.pools:
            self.snapshot.set_pools(list(before.pools.values()))
        elif any(record.configured for record in contents.records):
            self.snapshot.set_pools(_last_good(contents.records))

    def keep(self, document: Ticket | Resource | PoolRecord) -> None:
        """Take a document that was just written, or read again, into the mirror."""
        self.changed_since_shown = True
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
                self.snapshot.put_record(document)

    def touch(self, resource: Resource) -> None:
        """Note that when to check this resource has to be thought over."""
        self._touched[resource.id] = resource

    def touched(self) -> list[Resource]:
        """The resources that were kept or touched since the last call."""
        touched, self._touched = self._touched, {}
        return list(touched.values())

    def forget_tickets(self, tickets: Iterable[int]) -> None:
        """Take tickets that left their folder out of the mirror."""
        for ticket in tickets:
            self.changed_since_shown = True
            self.snapshot.drop_ticket(ticket)

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
        return different

    def _refresh_ticket(self, key: int) -> bool:
        ticket, fault = self.store.tickets.get_or_quarantine(key)
        known = self.snapshot.tickets.get(key)
        if fault is not None:
            # The last good version stays in force: a ticket is never forgotten because its file rotted.
            self._report(fault)
            return False
        if ticket == known:
            return False
        if ticket is None:
            self.forget_tickets([key])
        else:
            self.keep(ticket)
        return True

    def _refresh_intent(self, key: int) -> bool:
        intent, fault = self.store.intents.get_or_quarantine(key)
        if fault is not None:
            self._report(fault)
        if intent is None:
            self.snapshot.drop_intent(key)
            return False
        self.snapshot.put_intent(intent)
        return True

    def _report(self, fault: CorruptDocument) -> None:
        log.error("%s does not parse (%s); moved to %s", fault.path, fault.why, fault.quarantined)
        self.changed_since_shown = True
        self.quarantined.append(f"{fault.path.relative_to(self.store.root)}: {fault.why}")

    def reload_pools(self) -> bool:
        """Read pools.yaml if it changed; a broken one keeps the last good one in force. Tells whether it was read."""
        path = self.settings.pools_file
        seen = _stamp(path)
        if seen == self._pools_file_seen and (self.configured or self.config_faults):
            return False
        self._pools_file_seen = seen
        self.changed_since_shown = True
        try:
            file = load_pools(path)
        except ConfigError as error:
            self.config_faults = tuple(str(problem) for problem in error.problems)
            kept = "the last good pools stay in force" if self.snapshot.pools else "nothing is started"
            for fault in self.config_faults:
                log.error("%s (%s)", fault, kept)
            return True
        self.config_faults = ()
        self.config_warnings = tuple(str(problem) for problem in file.warnings)
        for warning in self.config_warnings:
            log.warning("%s", warning)
        self._remember_pools(file.pools)
        self.snapshot.set_pools(file.pools)
        self.configured = True
        log.info("%s: %d pools in force", path, len(file.pools))
        return True

    def _remember_pools(self, pools: Iterable[Pool]) -> None:
        records: dict[str, PoolRecord] = {}
        for position, pool in enumerate(pools):
            record = self.snapshot.records.get(pool.name) or PoolRecord(name=pool.name, first_seen_at=self.clock())
            options = msgspec.to_builtins(pool)
            records[pool.name] = record.replace(position=position, configured=True, options=options)
        for name, record in self.snapshot.records.items():
            if name not in records:
                records[name] = record.replace(configured=False)
        changed = [record for name, record in records.items() if record != self.snapshot.records.get(name)]
        if changed:
            self.store.commit(Batch([Put(record) for record in changed]))
        for record in changed:
            self.keep(record)

    def has_corrupt_resource(self) -> bool:
        """Whether a resource's document is in quarantine, so that what it was is not known."""
        return any(fault.startswith("resources/live/") for fault in self.quarantined)

    def stale_failed_tickets(self, before: float) -> list[int]:
        """FAILED tickets that their clients never closed, since before this time."""
        return [
            ticket.id
            for ticket in self.snapshot.tickets.values()
            if ticket.state is TicketState.FAILED and (ticket.failed_at or 0.0) < before
        ]


def _last_good(records: Iterable[PoolRecord]) -> list[Pool]:
    configured = sorted((record for record in records if record.configured), key=lambda record: record.position)
    return [msgspec.convert(record.options, Pool) for record in configured]


def _keys(collection: Collection[D, K], names: Iterable[str]) -> list[K]:
    keys = [collection.key_of(name) for name in names]
    return [key for key in keys if key is not None]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
