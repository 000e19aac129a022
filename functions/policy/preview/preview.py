"""What another pools.yaml would do: plans are followed with it and with the pools in force, and both are compared.

The plans are those of the scheduler, so that a preview always shows what the next pass would do.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from config.pools import Pool
from functions.policy.order import ticket_of
from functions.policy.plan.starts import Limit, Reason
from functions.policy.plan.steps import DeleteAfterRun, FailTicket, RequestDelete, StartResource, Step
from functions.policy.preview.rehearsal import rehearse_all, rehearse_pass
from functions.policy.snapshot.groups import Tags
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.pool import changed_options, updated_records
from functions.policy.waits.explain import Case, explain
from functions.policy.waits.sentences import why_waiting
from state.documents import Intent, PoolMode, PoolRecord, Resource, ResourceState, Ticket, TicketState


class Change(StrEnum):
    """What the file does to a pool."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    SAME = "same"


class Documents(NamedTuple):
    """All living documents, as they were read. The pools in force are those whose records are `configured`."""

    records: Sequence[PoolRecord]
    resources: Sequence[Resource]
    tickets: Sequence[Ticket]
    intents: Sequence[Intent]


class Option(msgspec.Struct, frozen=True):
    """An option that differs; None where it has no value."""

    name: str
    before: Any
    after: Any


class Stop(msgspec.Struct, frozen=True):
    """A resource that the next pass would delete; `ticket` is the ticket that would fail by that."""

    resource: int
    name: str
    reason: str
    ticket: int | None = None


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """The future of a pool: what the next pass starts and stops in it, and how many resources it has in the end.

    In the end means: if every hook succeeds and no client or operator does anything (None: that is too far ahead).
    """

    starts: int = 0
    stops: tuple[Stop, ...] = ()
    in_the_end: int | None = None


class PoolPreview(msgspec.Struct, frozen=True, kw_only=True):
    """One pool, with the file (`then`) and without it (`now`).

    `max` is the option in the file, 0 when the pool is not in it. `living` is the number of its resources, `taken` of
    those that a ticket has, `old_tags` of those whose tags differ from those of the pool in the file.
    """

    name: str
    change: Change
    options: tuple[Option, ...] = ()
    mode: PoolMode = PoolMode.ACTIVE
    max: int = 0
    living: int = 0
    taken: int = 0
    old_tags: int = 0
    then: Course
    now: Course

    @property
    def differs(self) -> bool:
        """Whether the file changes anything for the pool."""
        return self.change is not Change.SAME or self.then != self.now


class Waiting(msgspec.Struct, frozen=True):
    """Tickets that would wait in vain, but do not now."""

    tags: tuple[str, ...]
    tickets: tuple[int, ...]
    why: str


class Taken(msgspec.Struct, frozen=True):
    """A ticket that keeps a resource that would no longer be replaced, or that `fails`."""

    ticket: int
    resource: int
    name: str
    pool: str
    fails: bool
    why: str


class Left(msgspec.Struct, frozen=True):
    """A resource that would be left of a pool that is not in the file, until it is taken or deleted."""

    resource: int
    name: str
    pool: str
    state: ResourceState


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would differ, at one time (`at`, Unix seconds): by pool, and which tickets and resources would be stranded.

    Pools are in the order of the file, those that are not in it last.
    """

    at: float
    pools: tuple[PoolPreview, ...]
    waiting: tuple[Waiting, ...] = ()
    taken: tuple[Taken, ...] = ()
    left: tuple[Left, ...] = ()

    @property
    def stranded(self) -> bool:
        """Whether a ticket or a resource would be stranded."""
        return bool(self.waiting or self.taken or self.left)


def preview(documents: Documents, pools: Sequence[Pool], now: float) -> Preview:
    """What the next pass and the following ones would do at `now` (Unix seconds) with these pools."""
    start, before, with_pools = (snapshot_of(documents) for _ in range(3))
    put_in_place(with_pools, pools, now)
    current, then = _Rehearsal(before, now), _Rehearsal(with_pools, now)
    removed = start.pools.keys() - with_pools.pools.keys()
    names = [*with_pools.pools, *(name for name in start.pool_names() if name not in with_pools.pools)]
    living: defaultdict[str, list[Resource]] = defaultdict(list)
    for resource in start.resources.values():
        living[resource.pool].append(resource)
    return Preview(
        at=now,
        pools=tuple(_pool(name, living[name], start, with_pools, current, then) for name in names),
        waiting=tuple(_waiting(current, then)),
        taken=tuple(_taken(start, with_pools.pools, current, then)),
        left=tuple(Left(one.id, one.name, one.pool, one.state) for one in then.kept if one.pool in removed),
    )


def snapshot_of(documents: Documents) -> Snapshot:
    """A snapshot of these documents, with the pools in force."""
    snapshot = Snapshot()
    for record in documents.records:
        snapshot.put_record(record)
    for resource in documents.resources:
        snapshot.put_resource(resource)
    for ticket in documents.tickets:
        snapshot.put_ticket(ticket)
    for intent in documents.intents:
        snapshot.put_intent(intent)
    configured = sorted((one for one in documents.records if one.configured), key=lambda one: one.position)
    options = [snapshot.options_of(record.name) for record in configured]
    snapshot.set_pools([pool for pool in options if pool is not None])
    return snapshot


def put_in_place(snapshot: Snapshot, pools: Sequence[Pool], now: float) -> None:
    """Change a snapshot as a scheduler does that reads a pools.yaml with these pools."""
    for record in updated_records(snapshot.records, pools, now):
        snapshot.put_record(record)
    snapshot.set_pools(pools)


class _Rehearsal:
    """The future of all pools; the snapshot is as it is in the end."""

    def __init__(self, snapshot: Snapshot, now: float) -> None:
        known = dict(snapshot.resources)
        steps = rehearse_pass(snapshot, now)
        self.starts = Counter(step.pool for step in steps if isinstance(step, StartResource))
        self.stops = list(_stops(steps, known, snapshot))
        self.records = dict(snapshot.records)
        self.serving = {
            ticket.resource: ticket
            for ticket in snapshot.tickets.values()
            if ticket.state is TicketState.OPEN and ticket.resource is not None
        }
        self.kept = [one for one in snapshot.resources.values() if _stays(one) and one.id not in self.serving]
        whole, end = rehearse_all(snapshot, now)
        self.in_the_end = Counter(snapshot.by_pool.living) if whole else None
        explained = explain(snapshot, end)
        self.cases = explained.cases
        self.any_pools = explained.pools
        self.ids = {tags: tuple(ticket_of(key) for key in snapshot.waiting[tags]) for tags in explained.cases}

    def course(self, pool: str) -> Course:
        stops = tuple(stop for owner, stop in self.stops if owner == pool)
        in_the_end = self.in_the_end[pool] if self.in_the_end is not None else None
        return Course(starts=self.starts[pool], stops=stops, in_the_end=in_the_end)

    def in_vain(self, tags: Tags) -> bool:
        """Whether tickets with these tags would wait for ever."""
        return tags in self.cases and _nothing_comes(self.cases[tags])


def _stops(steps: Sequence[Step], known: Mapping[int, Resource], after: Snapshot) -> Iterator[tuple[str, Stop]]:
    failed = {after.tickets[step.ticket].resource: step.ticket for step in steps if isinstance(step, FailTicket)}
    for step in steps:
        if isinstance(step, RequestDelete | DeleteAfterRun) and step.resource in known:
            resource = known[step.resource]
            yield resource.pool, Stop(resource.id, resource.name, step.reason, failed.get(resource.id))


def _stays(resource: Resource) -> bool:
    going = resource.state in (ResourceState.DELETE_REQUEST, ResourceState.DELETING)
    return not going and resource.delete_after_run is None


def _pool(
    name: str,
    living: Sequence[Resource],
    start: Snapshot,
    with_pools: Snapshot,
    current: _Rehearsal,
    then: _Rehearsal,
) -> PoolPreview:
    pool, old = with_pools.pools.get(name), start.pools.get(name)
    options: tuple[Option, ...] = ()
    if pool is None:
        change = Change.REMOVED if old is not None else Change.SAME
    elif old is None:
        change = Change.ADDED
    else:
        options = tuple(_options(start.records[name], with_pools.records[name]))
        change = Change.CHANGED if options else Change.SAME
    record = then.records.get(name)
    return PoolPreview(
        name=name,
        change=change,
        options=options,
        mode=record.mode if record else PoolMode.ACTIVE,
        max=pool.max if pool else 0,
        living=len(living),
        taken=start.taken(name),
        old_tags=sum(one.tags != pool.offers for one in living) if pool else 0,
        then=then.course(name),
        now=current.course(name),
    )


def _options(before: PoolRecord, after: PoolRecord) -> Iterator[Option]:
    for name in changed_options(before.options, after.options):
        yield Option(name, before.options.get(name), after.options.get(name))


def _waiting(current: _Rehearsal, then: _Rehearsal) -> Iterator[Waiting]:
    for tags, case in then.cases.items():
        if then.in_vain(tags) and not current.in_vain(tags):
            yield Waiting(tuple(sorted(tags)), then.ids[tags], why_waiting(case, then.any_pools))


def _taken(start: Snapshot, pools: Mapping[str, Pool], current: _Rehearsal, then: _Rehearsal) -> Iterator[Taken]:
    fail_anyway = {stop.resource for _, stop in current.stops if stop.ticket is not None}
    failing = {stop.resource: stop.reason for _, stop in then.stops if stop.ticket is not None}
    for resource in start.resources.values():
        ticket = start.holder(resource.id)
        old = start.pools.get(resource.pool)
        if ticket is None or ticket.state is not TicketState.OPEN or resource.id in fail_anyway or old is None:
            continue
        if resource.id in failing:
            why = failing[resource.id]
        elif resource.pool not in pools:
            why = f"the pool {resource.pool} is not in the file"
        elif missing := (frozenset(ticket.tags) & old.offers.keys()) - pools[resource.pool].offers.keys():
            why = f"the pool {resource.pool} no longer offers {', '.join(sorted(missing))}"
        else:
            continue
        yield Taken(ticket.id, resource.id, resource.name, resource.pool, resource.id in failing, why)


_NEVER = (Reason.ON_DEMAND_ONLY, Reason.OLD_TAGS, Reason.NOT_CONFIGURED)
_COUNTS = (Reason.AT_MAX, Reason.MAX_STARTING, Reason.ENOUGH_SPARES)


def _nothing_comes(case: Case) -> bool:
    """Whether no pool that could serve these tickets ever starts a resource for them."""
    return all(any(_is_endless(limit) for limit in prospect.limits) for prospect in case.prospects)


def _is_endless(limit: Limit) -> bool:
    return limit.reason in _NEVER or (limit.reason in _COUNTS and not limit.count)
