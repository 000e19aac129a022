"""Step 5: spares are started ahead, within the limits of their pool."""

import pytest

from functions.policy.plan.plan import plan
from functions.policy.plan.steps import Assign, StartDelete, StartResource
from state.documents import ResourceState
from tests.policy.world import (
    NOW,
    a_pool,
    a_record,
    a_released_resource,
    a_resource,
    a_snapshot,
    a_ticket,
    an_assigned_ticket,
    an_intent,
    of_kind,
    steps_of,
)

EAGER = a_pool(max=10, max_starting=10, max_prealloc=2)
START = StartResource("vm")


def starts(pool, *documents):
    return len(of_kind(steps_of([pool], *documents), StartResource))


def test_a_pool_starts_its_spares_ahead() -> None:
    """Given nothing, when planned, then max_prealloc resources start, for no ticket in particular."""
    assert steps_of([EAGER]) == [START, START]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (a_resource(1), 1),
        (a_resource(1, check_failed_count=1), 1),
        (a_resource(1, state=ResourceState.STARTING), 1),
        (a_resource(1, state=ResourceState.STARTING, delete_after_run="why"), 2),
        (a_released_resource(1), 2),
        (a_released_resource(1, state=ResourceState.RELEASING), 2),
        (a_resource(1, state=ResourceState.DELETE_REQUEST), 2),
        (a_resource(1, state=ResourceState.DELETING), 2),
    ],
    ids=["up", "failing", "starting", "starting, to be deleted", "released", "releasing", "requested", "deleting"],
)
def test_what_counts_as_a_spare(document, expected: int) -> None:
    """Given one resource and two wanted spares, when planned, then only fresh UP and STARTING ones count."""
    assert starts(a_pool(max=10, max_starting=10, max_prealloc=2, reuse_opportunity_time=99), document) == expected


def test_a_taken_resource_is_no_spare() -> None:
    """Given a taken resource, when planned, then both spares are started."""
    assert starts(EAGER, a_resource(1), an_assigned_ticket(1, 1)) == 2


def test_a_spare_removed_in_this_plan_is_replaced_in_this_plan() -> None:
    """Given intents for an UP spare and a STARTING one, when planned, then two more start."""
    documents = a_resource(1), a_resource(2, state=ResourceState.STARTING), an_intent(1, 1), an_intent(2, 2)
    assert starts(EAGER, *documents) == 2


def test_a_spare_assigned_in_this_plan_is_replaced_by_the_next() -> None:
    """Given two spares and a ticket, when planned, then it is served and nothing starts yet."""
    assert steps_of([EAGER], a_resource(1), a_resource(2), a_ticket(1)) == [Assign(1, 1)]


def test_max_counts_all_that_is_not_ended() -> None:
    """Given max 4 and a resource in each other state, when planned, then one more may start."""
    pool = a_pool(max=4, max_starting=10, max_prealloc=10)
    deleting = a_resource(1, state=ResourceState.DELETING)
    requested = a_resource(2, state=ResourceState.DELETE_REQUEST, delete_retry_at=NOW + 9)
    taken = a_resource(3), an_assigned_ticket(1, 3)
    assert steps_of([pool], deleting, requested, *taken) == [START]


def test_a_delete_that_starts_in_this_plan_still_counts_towards_max() -> None:
    """Given a full pool, when a delete starts, then nothing starts in its place yet."""
    pool = a_pool(max=1, max_starting=1, max_prealloc=1)
    assert steps_of([pool], a_resource(1, state=ResourceState.DELETE_REQUEST)) == [StartDelete(1)]


def test_max_starting_limits_starts_side_by_side() -> None:
    """Given max_starting 3 and one STARTING, when planned, then two more start."""
    pool = a_pool(max=10, max_starting=3, max_prealloc=10)
    assert starts(pool, a_resource(1, state=ResourceState.STARTING)) == 2
    assert starts(pool, a_resource(1, state=ResourceState.STARTING, delete_after_run="why")) == 2


def test_a_pool_over_its_limits_starts_nothing() -> None:
    """Given limits that were lowered below what exists, when planned, then nothing starts."""
    pool = a_pool(max=1, max_starting=1, max_prealloc=9)
    busy = [a_resource(id, state=ResourceState.STARTING) for id in (1, 2, 3)]
    assert steps_of([pool], *busy) == []


def test_without_spares_or_on_demand_tags_nothing_starts() -> None:
    """Given max_prealloc 0, when a ticket waits, then nothing starts."""
    assert steps_of([a_pool(max_prealloc=0, tags={"x86": 0})], a_ticket(1, "x86")) == []


def test_start_delay_keeps_starts_apart() -> None:
    """Given start_delay 30, when planned, then one resource starts, and the next not before 30 s have passed."""
    pool = a_pool(max=10, max_starting=10, max_prealloc=5, start_delay=30)
    assert steps_of([pool]) == [START]
    snapshot = a_snapshot([pool], a_record(pool, last_start=NOW), a_resource(1, state=ResourceState.STARTING))
    assert plan(snapshot, NOW + 29).steps == ()
    assert plan(snapshot, NOW + 29).next_due == NOW + 30
    assert plan(snapshot, NOW + 30).steps == (START,)


def test_start_delay_is_not_due_when_nothing_is_wanted() -> None:
    """Given all spares there, when start_delay runs, then nothing is due."""
    pool = a_pool(max_prealloc=1, start_delay=30)
    assert plan(a_snapshot([pool], a_record(pool, last_start=NOW), a_resource(1)), NOW).next_due is None


def test_a_paused_pool_starts_nothing_until_its_pause_is_over() -> None:
    """Given a pause, when planned, then nothing starts but its end is due; then the starts happen."""
    snapshot = a_snapshot([EAGER], a_record(EAGER, paused_until=NOW + 7, start_failures=3))
    assert plan(snapshot, NOW).steps == ()
    assert plan(snapshot, NOW).next_due == NOW + 7
    assert plan(snapshot, NOW + 7).steps == (START, START)


def test_pools_start_in_the_order_of_the_file() -> None:
    """Given two pools, when planned, then the first of the file starts first, whatever the names."""
    pools = a_pool("z", max_prealloc=1), a_pool("a", max_prealloc=1)
    assert steps_of(pools) == [StartResource("z"), StartResource("a")]


def test_a_pool_that_left_the_file_starts_nothing() -> None:
    """Given a pool known by its record only, when planned, then nothing starts."""
    assert steps_of([], a_record(EAGER), a_resource(1)) == []


def test_an_on_demand_pool_prepares_nothing() -> None:
    """Given on-demand tags and max_prealloc, when no ticket waits, then max_prealloc is ignored."""
    assert steps_of([a_pool(max_prealloc=5, tags_on_demand={"gpu": 0})]) == []
