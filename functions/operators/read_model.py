"""One look at the whole farm: what the pages are made of. Reads documents and the leader's view, no locks."""

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.leader_view import Pools, View
from functions.operators.counts import COUNTS, counted, in_order
from functions.operators.living import holder, holders
from functions.pages.warnings import Sign, signs_of_pool
from state.documents import PoolRecord, Resource, ResourceState, Ticket
from state.files.cache import Reading
from state.store import Store


@dataclass(frozen=True)
class PoolLook:
    """One pool: its counts by the names of `COUNTS`, its resources, the tickets that wait and that it could serve."""

    record: PoolRecord
    counts: Mapping[str, Any]
    resources: Sequence[Resource]
    waiting: Sequence[Ticket]
    signs: tuple[Sign, ...]

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def options(self) -> Mapping[str, Any]:
        return self.record.options

    @property
    def offers(self) -> Mapping[str, int]:
        """All tags that a ticket may ask of this pool, with their priorities."""
        return {**self.options.get("tags", {}), **self.options.get("tags_on_demand", {})}


@dataclass(frozen=True)
class Look:
    """The farm at one time (`at`, Unix seconds): its resources, not ENDED, and its tickets that are not settled."""

    at: float
    resources: tuple[Resource, ...]
    tickets: tuple[Ticket, ...]
    records: list[PoolRecord]
    shown: Pools | None
    led: bool

    @functools.cached_property
    def by_resource(self) -> dict[int, Ticket]:
        return holders(self.tickets)

    def holder(self, resource: Resource) -> Ticket | None:
        """The ticket that has it."""
        return holder(resource, self.by_resource)

    @functools.cached_property
    def waiting(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.waiting]

    @functools.cached_property
    def waiting_by_tags(self) -> dict[frozenset[str], list[Ticket]]:
        groups: defaultdict[frozenset[str], list[Ticket]] = defaultdict(list)
        for ticket in self.waiting:
            groups[frozenset(ticket.tags)].append(ticket)
        return dict(groups)

    @functools.cached_property
    def pools(self) -> list[PoolLook]:
        """In the order of pools.yaml, those that left it last."""
        by_pool: defaultdict[str, list[Resource]] = defaultdict(list)
        for resource in self.resources:
            by_pool[resource.pool].append(resource)
        records = {record.name: record for record in self.records}
        looks = []
        for counts in counted(self.records, self.resources, self.by_resource):
            record = records.get(counts["name"]) or PoolRecord(name=counts["name"], configured=False)
            resources = by_pool[record.name]
            waiting = self._waiting_for(record)
            signs = signs_of_pool(record, counts, resources, self.by_resource, len(waiting), self.at)
            looks.append(PoolLook(record, counts, resources, waiting, signs))
        return looks

    @functools.cached_property
    def _on_demand(self) -> frozenset[str]:
        """Tags that are on-demand in any configured pool."""
        records = (record for record in self.records if record.configured)
        return frozenset(tag for record in records for tag in record.options.get("tags_on_demand", ()))

    def _waiting_for(self, record: PoolRecord) -> list[Ticket]:
        """As `policy.waits.demand` counts them: what starts on demand only is waited for with such a tag only."""
        options = record.options if record.configured else {}
        on_demand = options.get("tags_on_demand", ())
        offers = {*options.get("tags", ()), *on_demand}
        groups = [
            tickets
            for tags, tickets in self.waiting_by_tags.items()
            if tags <= offers and not (on_demand and tags.isdisjoint(self._on_demand))
        ]
        return sorted((ticket for tickets in groups for ticket in tickets), key=lambda ticket: ticket.id)

    @functools.cached_property
    def total(self) -> dict[str, int]:
        return {name: sum(pool.counts[name] for pool in self.pools) for name in ("max", *COUNTS, "held")}

    @functools.cached_property
    def notices(self) -> list[Sign]:
        """What concerns the whole server."""
        notices = []
        if not self.led:
            notices.append(
                Sign("bad", "no scheduler", "No scheduler is running: nothing is started, given or deleted.")
            )
        if self.shown is not None:
            notices += [Sign("bad", "configuration", fault) for fault in self.shown.faults]
            notices += [Sign("warn", "configuration", warning) for warning in self.shown.warnings]
            notices += [Sign("bad", "quarantine", name) for name in self.shown.quarantine]
            notices += [
                Sign("warn", "archive", f"What is finished cannot be archived in {folder}.")
                for folder in self.shown.not_archived
            ]
        return notices


class Looking:
    """Looks again and again, and parses only what changed. Any thread may look."""

    def __init__(self, store: Store, view: View, clock: Callable[[], float]) -> None:
        self._view = view
        self._clock = clock
        self._tickets = Reading(store.tickets)
        self._resources = Reading(store.resources)
        self._records = Reading(store.pools)

    def look(self) -> Look:
        """Raises StoreUnavailable."""
        # Tickets last: a resource that one names is older than it, and found.
        resources = tuple(one for one in self._resources.documents() if one.state is not ResourceState.ENDED)
        records = in_order(self._records.documents())
        tickets = self._tickets.documents()
        return Look(self._clock(), resources, tickets, records, self._view.pools(), self._view.has_leader())
