"""Operators' verbs for pools: paused, draining and resumed pools, and forgotten back-offs."""

import pytest

from functions.policy.plan.plan import Plan, plan
from functions.policy.plan.steps import (
    Assign,
    ChangePool,
    DropIntent,
    FailTicket,
    NoteDrained,
    RequestDelete,
    StartDelete,
    StartResource,
)
from functions.policy.transitions.pool import change_mode
from state.documents import IntentKind, PoolMode, ResourceState
from tests.policy.world import (
    NOW,
    a_closed_ticket,
    a_pool,
    a_pool_intent,
    a_record,
    a_released_resource,
    a_resource,
    a_snapshot,
    a_ticket,
    an_assigned_ticket,
    of_kind,
    steps_of,
)

EAGER = a_pool(max=10, max_starting=10, max_prealloc=2, tags={"a": 0})
FIRST = a_pool("first", tags_on_demand={"gpu": 5}, max=10)
SECOND = a_pool("second", tags_on_demand={"gpu": 0}, max=10)
PAUSED, DRAINING = PoolMode.PAUSED, PoolMode.DRAINING
DRAINED = "its pool is drained"


def record(pool=EAGER, mode=DRAINING, **fields):
    return a_record(pool, mode=mode, mode_since=NOW - 100, **fields)


# Nothing starts


@pytest.mark.parametrize("mode", [PAUSED, DRAINING])
def test_no_spare_starts_in_a_stopped_pool(mode: PoolMode) -> None:
    """Given a paused or draining pool without its spares, when planned, then nothing starts."""
    assert of_kind(steps_of([EAGER], record(mode=mode)), StartResource) == []


@pytest.mark.parametrize("mode", [PAUSED, DRAINING])
def test_on_demand_tickets_go_to_the_next_capable_pool(mode: PoolMode) -> None:
    """Given the better pool is stopped, when a ticket waits, then its resource starts in the other one."""
    steps = steps_of([FIRST, SECOND], a_ticket(1, "gpu"), record(FIRST, mode))
    assert of_kind(steps, StartResource) == [StartResource("second", 1)]


def test_an_intent_counts_in_the_plan_that_decides_it() -> None:
    """Given a pause that is not decided yet, when planned, then nothing starts in that plan."""
    documents = a_record(EAGER), a_pool_intent(1, IntentKind.PAUSE_POOL)
    assert steps_of([EAGER], *documents) == [ChangePool("vm", 1), DropIntent(1)]


# Pause


def test_existing_resources_are_assigned_by_a_paused_pool() -> None:
    """Given a paused pool with a spare, when a ticket waits, then it is assigned the spare."""
    documents = record(mode=PAUSED), a_resource(1, EAGER), a_ticket(1, "a")
    assert steps_of([EAGER], *documents) == [Assign(1, 1)]


def test_used_up_resources_are_deleted_in_a_paused_pool() -> None:
    """Given a paused pool without reuse, when a ticket was closed, then its resource is deleted."""
    documents = record(mode=PAUSED), a_released_resource(1, EAGER)
    assert of_kind(steps_of([EAGER], *documents), StartDelete) == [StartDelete(1)]


# Drain


def test_free_resources_are_deleted_when_a_pool_drains() -> None:
    """Given spares and idle resources, when their pool drains, then they are deleted and not assigned."""
    reusing = a_pool(tags={"a": 0}, reuse_opportunity_time=1000)
    documents = record(reusing, mode_reason="old image"), a_resource(1, reusing), a_released_resource(2, reusing)
    steps = steps_of([reusing], *documents, a_ticket(1, "a"), a_ticket(2, "a", sandbox="s"))
    reason = "its pool is drained: old image"
    assert of_kind(steps, RequestDelete, Assign) == [RequestDelete(1, reason), RequestDelete(2, reason)]


def test_a_taken_resource_stays_until_its_ticket_is_closed() -> None:
    """Given a draining pool that reuses, when a ticket holds a resource, then it stays; once closed, it is deleted."""
    reusing = a_pool(reuse_opportunity_time=1000)
    assert steps_of([reusing], record(reusing), a_resource(1, reusing), an_assigned_ticket(1, 1)) == []
    steps = steps_of([reusing], record(reusing), a_resource(1, reusing), a_closed_ticket(1, 1))
    assert of_kind(steps, RequestDelete) == [RequestDelete(1, DRAINED)]


@pytest.mark.parametrize("state", [ResourceState.STARTING, ResourceState.RELEASING])
def test_a_resource_that_comes_up_serves_no_ticket_when_its_pool_drains(state: ResourceState) -> None:
    """Given a draining on-demand pool with a resource on its way, when a ticket waits, then another pool starts one."""
    documents = record(FIRST), a_resource(1, FIRST, state), a_ticket(1, "gpu")
    assert steps_of([FIRST, SECOND], *documents) == [StartResource("second", 1)]


def test_at_the_deadline_taken_resources_are_deleted_too() -> None:
    """Given a deadline, when it has come, then taken resources go and their tickets fail with that reason."""
    documents = record(drain_until=0.0), a_resource(1, EAGER), an_assigned_ticket(7, 1)
    reason = f"{DRAINED} (the deadline was 1970-01-01 00:00:00 UTC)"
    assert steps_of([EAGER], *documents) == [RequestDelete(1, reason), FailTicket(7, reason), StartDelete(1)]


def test_before_the_deadline_the_plan_waits_for_it() -> None:
    """Given a deadline that lies ahead, when planned, then the plan is empty and due at that time."""
    documents = record(drain_until=NOW + 3600), a_resource(1, EAGER), an_assigned_ticket(7, 1)
    assert plan(a_snapshot([EAGER], *documents), NOW) == Plan((), NOW + 3600)


def test_it_is_noted_once_when_the_last_resource_is_gone() -> None:
    """Given a draining pool without resources, when planned, then that is noted, once."""
    assert steps_of([EAGER], record()) == [NoteDrained("vm")]
    assert steps_of([EAGER], record(drained_at=NOW)) == []
    assert steps_of([EAGER], record(), a_resource(1, EAGER, ResourceState.DELETING)) == []


def test_a_pool_that_left_the_file_drains_too() -> None:
    """Given a pool that vanished, when it drains, then its free resources are deleted."""
    steps = steps_of([], record(), a_resource(1, EAGER))
    assert steps == [RequestDelete(1, DRAINED), StartDelete(1)]


# Resume, and what the record becomes


def intent_for(kind: IntentKind, **fields):
    return a_pool_intent(1, kind, by="alice", reason="why", **fields)


def test_an_intent_is_in_the_record_with_its_author_time_and_reason() -> None:
    """Given an active pool, when it shall drain, then its record says so."""
    changed = change_mode(a_record(EAGER), intent_for(IntentKind.DRAIN_POOL, until=NOW + 60), NOW)
    found = (changed.mode, changed.mode_since, changed.mode_by, changed.mode_reason, changed.drain_until)
    assert found == (DRAINING, NOW, "alice", "why", NOW + 60)


def test_resuming_ends_all_of_it() -> None:
    """Given a drained pool, when it shall resume, then it starts again and is drained no more."""
    before = record(drain_until=NOW - 1, drained_at=NOW)
    changed = change_mode(before, intent_for(IntentKind.RESUME_POOL), NOW)
    assert (changed.mode, changed.drain_until, changed.drained_at) == (PoolMode.ACTIVE, None, None)
    steps = steps_of([EAGER], before, intent_for(IntentKind.RESUME_POOL))
    assert of_kind(steps, StartResource) == [StartResource("vm")] * 2


def test_the_event_of_a_drain_contains_its_deadline() -> None:
    """Given an active pool, when it drains with a deadline, with another, and is resumed, then the events say so."""
    pool = a_record(EAGER)
    for until in (NOW + 60, None, NOW + 90):
        pool = change_mode(pool, intent_for(IntentKind.DRAIN_POOL, until=until), NOW)
    pool = change_mode(pool, intent_for(IntentKind.RESUME_POOL), NOW)
    changes = [(event.after, event.until) for event in pool.history]
    assert changes == [(DRAINING, NOW + 60), (DRAINING, None), (DRAINING, NOW + 90), (PoolMode.ACTIVE, None)]


@pytest.mark.parametrize("kind", [IntentKind.PAUSE_POOL, IntentKind.DRAIN_POOL, IntentKind.RESUME_POOL])
def test_the_same_intent_again_changes_nothing(kind: IntentKind) -> None:
    """Given an intent that was decided, when it comes again later, then the record stays the same object."""
    changed = change_mode(record(mode=PAUSED), intent_for(kind), NOW)
    assert change_mode(changed, intent_for(kind), NOW + 50) is changed


def test_another_deadline_does_not_begin_the_drain_anew() -> None:
    """Given a draining pool, when its deadline is moved, then it still drains since the first time."""
    changed = change_mode(record(), intent_for(IntentKind.DRAIN_POOL, until=NOW + 9), NOW)
    assert (changed.mode_since, changed.drain_until) == (NOW - 100, NOW + 9)


def test_a_pause_does_not_end_a_drain() -> None:
    """Given a draining pool, when it shall pause, then it goes on draining."""
    assert change_mode(record(), intent_for(IntentKind.PAUSE_POOL), NOW) == record()


def test_an_intent_for_an_unknown_pool_is_dropped() -> None:
    """Given no such pool, when planned, then the intent is dropped and nothing else happens."""
    assert steps_of([], a_pool_intent(1, IntentKind.DRAIN_POOL, "nowhere")) == [DropIntent(1)]


def test_a_retry_forgets_failed_starts_and_starts_at_once() -> None:
    """Given a pool that pauses after failed starts, when it shall retry, then it starts in the same plan."""
    failing = a_record(EAGER, start_failures=5, paused_until=NOW + 200, pause_reason="cmd_new exited 1")
    assert of_kind(steps_of([EAGER], failing), StartResource) == []
    steps = steps_of([EAGER], failing, a_pool_intent(1, IntentKind.RETRY_POOL))
    assert of_kind(steps, StartResource) == [StartResource("vm")] * 2
    changed = change_mode(failing, intent_for(IntentKind.RETRY_POOL), NOW)
    assert (changed.start_failures, changed.paused_until, changed.pause_reason) == (0, None, None)


def test_a_retry_does_not_end_a_pause_by_operators() -> None:
    """Given a paused pool, when it shall retry, then it stays paused."""
    steps = steps_of([EAGER], record(mode=PAUSED), a_pool_intent(1, IntentKind.RETRY_POOL))
    assert steps == [DropIntent(1)]
