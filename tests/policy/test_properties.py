"""Invariants of every farm: arbitrary documents, and any sequence of events."""

from collections import Counter
from copy import copy

from hypothesis import given
from hypothesis import strategies as st

from config.pools import Pool
from functions.policy.plan import retire, starts
from functions.policy.plan.draft import Draft
from functions.policy.plan.plan import Plan, plan
from functions.policy.plan.steps import (
    Assign,
    ChangePool,
    DeleteAfterRun,
    EndHold,
    FailTicket,
    HoldResource,
    Release,
    RequestDelete,
    StartDelete,
    StartResource,
)
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.pool import change_mode
from functions.policy.transitions.resource import release_resource
from state.documents import Intent, PoolMode, PoolRecord, Resource, ResourceState, Ticket
from tests.policy import naive
from tests.policy.farms import Event, History, documents, events, farms, pools
from tests.policy.world import NOW, Document, a_snapshot, of_kind, put

FARMS = farms()


# Against the plain description


def after_steps_1_and_3(snapshot: Snapshot, decided: Plan, now: float) -> tuple[list[Resource], list[Resource]]:
    """The resources that no ticket has and that are to stay, and all resources, as they are after these steps."""
    resources = dict(snapshot.resources)
    freed, leaving = set(), set()
    for step in decided.steps:
        if isinstance(step, Release):
            freed.add(step.resource)
            ticket = snapshot.tickets[step.ticket]
            resources[step.resource] = release_resource(resources[step.resource], ticket, step.hook, now)
        elif isinstance(step, RequestDelete | DeleteAfterRun | HoldResource):
            leaving.add(step.resource)
    free = naive.free_after(snapshot, resources, freed)
    return [resource for resource in free if resource.id not in leaving], list(resources.values())


def records_after(snapshot: Snapshot, decided: Plan, now: float) -> dict[str, PoolRecord]:
    """Records of pools after any verbs of operators."""
    records = dict(snapshot.records)
    for step in decided.steps:
        if isinstance(step, ChangePool):
            records[step.pool] = change_mode(records[step.pool], snapshot.intents[step.intent], now)
    return records


def check_assignments(snapshot: Snapshot, decided: Plan, now: float) -> None:
    free, _ = after_steps_1_and_3(snapshot, decided, now)
    given = [(step.ticket, step.resource) for step in decided.steps if isinstance(step, Assign)]
    assert given == naive.assignments(snapshot, free, records_after(snapshot, decided, now))


def check_on_demand_starts(snapshot: Snapshot, decided: Plan, now: float) -> None:
    draft = Draft(snapshot, now)
    retire.release_closed(draft)
    retire.remove(draft)
    free, everything = after_steps_1_and_3(snapshot, decided, now)
    records = records_after(snapshot, decided, now)
    assert starts.on_demand_starts(draft) == naive.on_demand_starts(snapshot, free, everything, records, now)


@given(FARMS)
def test_assignments_are_those_of_the_plain_description(farm: tuple[list[Pool], list[Document]]) -> None:
    """Given any documents, when planned, then tickets get what going through all of them one by one would give."""
    snapshot = a_snapshot(farm[0], *farm[1])
    check_assignments(snapshot, plan(snapshot, NOW), NOW)


@given(FARMS)
def test_on_demand_starts_are_those_of_the_plain_description(farm: tuple[list[Pool], list[Document]]) -> None:
    """Given any documents, when planned, then starts are where going through all tickets one by one puts them."""
    snapshot = a_snapshot(farm[0], *farm[1])
    check_on_demand_starts(snapshot, plan(snapshot, NOW), NOW)


# The snapshot


@given(FARMS, st.randoms(use_true_random=False))
def test_the_order_of_documents_does_not_matter(farm: tuple[list[Pool], list[Document]], random) -> None:
    """Given the same documents in another order, when planned, then the plan is the same."""
    shuffled = list(farm[1])
    random.shuffle(shuffled)
    assert plan(a_snapshot(farm[0], *shuffled), NOW) == plan(a_snapshot(farm[0], *farm[1]), NOW)


def key(document: Document) -> tuple[type, int | str]:
    return type(document), document.name if isinstance(document, PoolRecord) else document.id


@given(st.data())
def test_a_snapshot_kept_up_is_as_good_as_a_new_one(data: st.DataObject) -> None:
    """Given documents that came, changed and went, when planned, then the plan is that of a snapshot made anew."""
    farm = data.draw(pools())
    older, newer = data.draw(documents(farm)), data.draw(documents(farm))
    dropped = data.draw(
        st.sets(st.sampled_from([(kind, id) for kind in (Ticket, Resource, Intent) for id in (1, 2, 3, 4)]))
    )
    kept = a_snapshot(data.draw(pools()), *older)
    kept.set_pools(farm)
    for document in newer:
        put(kept, document)
    for kind, id in dropped:
        {Ticket: kept.drop_ticket, Resource: kept.drop_resource, Intent: kept.drop_intent}[kind](id)
    final = {key(document): document for document in older + newer if key(document) not in dropped}
    assert plan(kept, NOW) == plan(a_snapshot(farm, *final.values()), NOW)
    assert groups_of(kept) == groups_of(a_snapshot(farm, *final.values()))


def groups_of(snapshot: Snapshot) -> object:
    """All that the snapshot knows beside the documents."""
    groups = snapshot.by_pool
    by_pool_or_tags = [snapshot.waiting, groups.starting, groups.spares, groups.idle, groups.idle_by_first_use]
    by_pool_or_tags += [groups.idle_by_releases, groups.failing, groups.held, groups.to_delete]
    covers = [(sandbox, snapshot.by_sandbox.covers[sandbox]) for sandbox in (None, "s", "t")]
    waiting_in = [(sandbox, snapshot.by_sandbox.waiting_in[sandbox]) for sandbox in ("s", "t")]
    return (
        [{group: list(groups[group]) for group in groups} for groups in by_pool_or_tags],
        [(sandbox, {tags: list(groups[tags]) for tags in groups}) for sandbox, groups in waiting_in],
        sorted(
            (sandbox or "", offer.pool, sorted(offer.priorities.items()), ready, list(groups[offer, ready]))
            for sandbox, groups in covers
            for offer, ready in groups
        ),
        snapshot.by_sandbox.own_tags,
        snapshot.closed,
        snapshot.stranded,
        snapshot.draining(),
        +snapshot.by_pool.living,
        +snapshot.by_pool.states,
        [snapshot.free_number(pool) for pool in ("p", "q", "r", "z", "gone")],
        [resource.id for resource in snapshot.resources_in_run()],
    )


@given(FARMS)
def test_a_plan_changes_nothing(farm: tuple[list[Pool], list[Document]]) -> None:
    """Given any documents, when planned twice, then the plans are equal and the snapshot is as it was."""
    snapshot = a_snapshot(farm[0], *farm[1])
    before = groups_of(snapshot), copy(snapshot.tickets), copy(snapshot.resources), copy(snapshot.intents)
    first = plan(snapshot, NOW)
    assert plan(snapshot, NOW) == first
    assert (groups_of(snapshot), snapshot.tickets, snapshot.resources, snapshot.intents) == before


# Limits and promises


def check_promises(snapshot: Snapshot, decided: Plan, now: float) -> None:
    records = records_after(snapshot, decided, now)
    for name, started in Counter(step.pool for step in of_kind(decided.steps, StartResource)).items():
        pool = snapshot.pools[name]
        of_pool = [resource for resource in snapshot.resources.values() if resource.pool == name]
        starting = [resource for resource in of_pool if resource.state is ResourceState.STARTING]
        assert naive.mode(records, name) is PoolMode.ACTIVE
        assert len(of_pool) + started <= pool.max
        assert len(starting) + started <= pool.max_starting
    deleted = Counter(step.resource for step in of_kind(decided.steps, RequestDelete, DeleteAfterRun))
    begun = Counter(step.resource for step in of_kind(decided.steps, StartDelete))
    ended = {step.resource for step in of_kind(decided.steps, EndHold)}
    held = {resource.id for resource in snapshot.resources.values() if resource.held}
    holding = {step.resource for step in of_kind(decided.steps, HoldResource)}
    assert not (deleted.keys() | begun.keys()) & ((held - ended) | holding)
    failed = Counter(step.ticket for step in of_kind(decided.steps, FailTicket))
    assert max([*deleted.values(), *begun.values(), *failed.values()], default=1) == 1
    assigned = {step.ticket: step.resource for step in decided.steps if isinstance(step, Assign)}
    released = {step.resource: step.ticket for step in decided.steps if isinstance(step, Release)}
    given_away = list(assigned.values())
    assert len(set(given_away)) == len(given_away)
    for ticket_id, resource_id in assigned.items():
        ticket, resource = snapshot.tickets[ticket_id], snapshot.resources[resource_id]
        former = snapshot.tickets[released[resource_id]].sandbox if resource_id in released else None
        assert resource_id not in released or snapshot.tickets[released[resource_id]].bad is None
        assert ticket.waiting
        assert resource_id not in held | holding
        assert naive.mode(records, resource.pool) is not PoolMode.DRAINING
        assert resource.state is ResourceState.UP
        assert resource_id in released or snapshot.holder(resource_id) is None
        assert (resource.sandbox or former) in (None, ticket.sandbox)
        for other in snapshot.tickets.values():
            if other.waiting and other.id < ticket.id and other.id not in assigned:
                assert (frozenset(other.tags), other.sandbox) != (frozenset(ticket.tags), ticket.sandbox)


@given(FARMS)
def test_any_documents_lead_to_a_plan_that_keeps_the_promises(farm: tuple[list[Pool], list[Document]]) -> None:
    """Given any documents, when planned, then limits, sandboxes, and turns among equals are kept."""
    snapshot = a_snapshot(farm[0], *farm[1])
    check_promises(snapshot, plan(snapshot, NOW), NOW)


@given(pools(), events())
def test_whatever_happens_the_promises_are_kept_and_three_rounds_are_enough(
    farm: list[Pool], happenings: list[Event]
) -> None:
    """Given any history, when planned after each event, then all promises hold and the fourth plan is empty."""
    history = History.begin(farm)
    for event in [("clock", 0), *happenings]:
        history.happen(event)
        for _ in range(3):
            decided = history.plan()
            check_promises(history.snapshot, decided, history.now)
            check_assignments(history.snapshot, decided, history.now)
            check_on_demand_starts(history.snapshot, decided, history.now)
            history.apply(decided)
        assert history.plan().steps == ()


@given(pools(), events(), st.floats(0, 1, exclude_max=True))
def test_nothing_is_due_before_the_plan_says_so(farm: list[Pool], happenings: list[Event], part: float) -> None:
    """Given a plan that is empty, when no document changes, then later plans stay empty until next_due."""
    history = History.begin(farm)
    for event in [("clock", 0), *happenings]:
        history.happen(event)
        while (decided := history.plan()).steps:
            history.apply(decided)
        if decided.next_due is not None:
            assert decided.next_due > history.now
        horizon = decided.next_due if decided.next_due is not None else history.now + 1e6
        between = min(history.now + part * (horizon - history.now), horizon - 1e-3)
        assert plan(history.snapshot, max(history.now, between)).steps == ()
