"""Step 3: what is removed, and the reason in words."""

import pytest

from functions.policy.plan.steps import (
    Assign,
    DeleteAfterRun,
    DropIntent,
    FailTicket,
    Release,
    RequestDelete,
    Settle,
    StartDelete,
)
from state.documents import Actor, ResourceState
from tests.policy.world import (
    NOW,
    a_closed_ticket,
    a_pool,
    a_record,
    a_released_resource,
    a_resource,
    a_snapshot,
    a_ticket,
    an_assigned_ticket,
    an_intent,
    of_kind,
    plan,
    steps_of,
)

REUSING = a_pool(reuse_opportunity_time=60, reuse_max_time=3600)
BUSY = (ResourceState.STARTING, ResourceState.RELEASING)
GOING = (ResourceState.DELETE_REQUEST, ResourceState.DELETING)


def requested(*documents, pools=(REUSING,)):
    return of_kind(steps_of(pools, *documents), RequestDelete)


# Livechecks


def test_a_resource_goes_after_livecheck_attempts_failures_in_a_row() -> None:
    """Given as many failures as allowed, when planned, then a free resource is removed and its delete starts."""
    pool = a_pool(livecheck_attempts=3)
    reason = "livecheck failed 3 times in a row"
    steps = [RequestDelete(1, reason), StartDelete(1)]
    assert steps_of([pool], a_resource(1, check_failed_count=3)) == steps


def test_fewer_failures_remove_nothing() -> None:
    """Given one failure fewer than allowed, when planned, then nothing happens."""
    assert steps_of([a_pool(livecheck_attempts=3)], a_resource(1, check_failed_count=2)) == []


def test_a_taken_resource_that_fails_its_livechecks_takes_its_ticket_along() -> None:
    """Given an OPEN ticket has it, when planned, then the ticket becomes FAILED and the delete starts."""
    pool = a_pool(livecheck_attempts=2)
    reason = "livecheck failed 4 times in a row"
    assert steps_of([pool], an_assigned_ticket(7, 1), a_resource(1, check_failed_count=4)) == [
        RequestDelete(1, reason),
        FailTicket(7, reason),
        StartDelete(1),
    ]


def test_a_dead_resource_whose_release_begins_in_this_plan_is_left_to_the_next() -> None:
    """Given a closed ticket on a dead resource, when its cmd_release starts, then it is not removed meanwhile."""
    pool = a_pool(cmd_release="release", livecheck_attempts=1)
    documents = a_closed_ticket(1, 1), a_resource(1, check_failed_count=1)
    assert steps_of([pool], *documents) == [Release(1, 1, True)]


# Released resources


def test_without_reuse_a_released_resource_is_removed() -> None:
    """Given reuse_opportunity_time 0, when a resource was released, in this plan or before, then it is deleted."""
    pool = a_pool(reuse_opportunity_time=0)
    reason = "released, and its pool does not reuse (reuse_opportunity_time is 0)"
    assert requested(a_released_resource(1), pools=[pool]) == [RequestDelete(1, reason)]
    assert steps_of([pool], a_closed_ticket(1, 1), a_resource(1)) == [
        Release(1, 1, False),
        RequestDelete(1, reason),
        StartDelete(1),
    ]


def test_a_released_resource_stays_for_its_sandbox_as_long_as_its_pool_says() -> None:
    """Given reuse_opportunity_time 60, when it is idle for 59 s, then it stays; after 61 s it is deleted."""
    assert requested(a_released_resource(1, released_at=NOW - 59)) == []
    assert requested(a_released_resource(1, released_at=NOW - 61)) == [
        RequestDelete(1, "idle for 61 s, longer than reuse_opportunity_time")
    ]


def test_reuse_ends_a_time_after_the_first_taking() -> None:
    """Given reuse_max_time 3600, when it was first taken 3599 s ago, then it stays; after 3601 s it is deleted."""
    assert requested(a_released_resource(1, sandboxed_since=NOW - 3599)) == []
    assert requested(a_released_resource(1, sandboxed_since=NOW - 3601)) == [
        RequestDelete(1, "first taken 3601 s ago, longer than reuse_max_time")
    ]


def test_reuse_max_time_0_is_no_limit() -> None:
    """Given reuse_max_time 0, when it was first taken long ago, then it stays."""
    pool = a_pool(reuse_opportunity_time=60, reuse_max_time=0)
    assert requested(a_released_resource(1, sandboxed_since=NOW - 1e6), pools=[pool]) == []


def test_reuse_max_count_limits_the_number_of_reuses() -> None:
    """Given reuse_max_count 2, when it was released 2 times, then it stays; after 3 times it is deleted."""
    pool = a_pool(reuse_opportunity_time=60, reuse_max_count=2)
    assert requested(a_released_resource(1, releases_counter=2), pools=[pool]) == []
    assert requested(a_released_resource(1, releases_counter=3), pools=[pool]) == [
        RequestDelete(1, "reused 2 times (reuse_max_count)")
    ]


def test_reuse_max_count_0_is_no_limit() -> None:
    """Given reuse_max_count 0, when it was released 1000 times, then it stays."""
    assert requested(a_released_resource(1, releases_counter=1000)) == []


def test_what_is_released_in_this_plan_is_judged_in_this_plan() -> None:
    """Given a resource first taken too long ago, when it is released without a hook, then it is deleted at once."""
    documents = (
        a_closed_ticket(1, 1, sandbox="mine"),
        a_resource(1, sandbox="mine", sandboxed_since=NOW - 4000, releases_counter=1, released_ticket=90),
        a_ticket(2, sandbox="mine"),
    )
    steps = steps_of([REUSING], *documents)
    assert of_kind(steps, RequestDelete) == [RequestDelete(1, "first taken 4000 s ago, longer than reuse_max_time")]
    assert of_kind(steps, Assign) == []


def test_a_taken_resource_is_not_removed_for_its_age() -> None:
    """Given an OPEN ticket has a resource that is used up, when planned, then it keeps it."""
    pool = a_pool(reuse_opportunity_time=0)
    assert steps_of([pool], an_assigned_ticket(1, 1), a_released_resource(1)) == []


def test_a_resource_under_release_is_not_removed() -> None:
    """Given RELEASING, when reuse is off, then the hook may end first."""
    pool = a_pool(reuse_opportunity_time=0)
    assert steps_of([pool], a_released_resource(1, state=ResourceState.RELEASING)) == []


# Surplus of on-demand pools

ON_DEMAND = a_pool("gpu", tags_on_demand={"gpu": 0}, tags={"x86": 0}, max=10)
NOT_NEEDED = "no waiting ticket needs it, and its pool starts on demand only"


def test_an_on_demand_spare_without_a_waiting_ticket_is_removed() -> None:
    """Given no waiting ticket, when an on-demand pool has a fresh spare, then it is deleted."""
    assert requested(a_resource(1, ON_DEMAND), pools=[ON_DEMAND]) == [RequestDelete(1, NOT_NEEDED)]


def test_the_oldest_spares_beyond_the_number_of_tickets_go() -> None:
    """Given three spares and one ticket that the pool could serve, when planned, then the two oldest go."""
    documents = [a_resource(id, ON_DEMAND) for id in (3, 1, 2)]
    assert requested(a_ticket(1, "gpu"), *documents, pools=[ON_DEMAND]) == [
        RequestDelete(1, NOT_NEEDED),
        RequestDelete(2, NOT_NEEDED),
    ]


def test_plain_tickets_that_the_pool_could_serve_count_too() -> None:
    """Given a waiting ticket with only a plain tag of the pool, when planned, then a spare stays for it."""
    assert requested(a_ticket(1, "x86"), a_resource(1, ON_DEMAND), pools=[ON_DEMAND]) == []
    assert requested(a_ticket(1, "ppc"), a_resource(1, ON_DEMAND), pools=[ON_DEMAND]) == [RequestDelete(1, NOT_NEEDED)]


def test_a_surplus_spare_that_fails_its_livecheck_is_deleted_before_a_healthy_one() -> None:
    """Given a younger failing spare and an older healthy one for one ticket, when planned, then it is served."""
    documents = a_ticket(1, "gpu"), a_resource(1, ON_DEMAND), a_resource(2, ON_DEMAND, check_failed_count=1)
    steps = steps_of([ON_DEMAND], *documents)
    assert steps == [RequestDelete(2, NOT_NEEDED), StartDelete(2), Assign(1, 1)]


def test_released_resources_of_on_demand_pools_are_no_surplus() -> None:
    """Given a resource kept for its sandbox, when no ticket waits, then it stays as long as in any pool."""
    pool = a_pool("gpu", tags_on_demand={"gpu": 0}, reuse_opportunity_time=60)
    assert requested(a_released_resource(1, pool), pools=[pool]) == []


def test_spares_of_other_pools_are_never_surplus() -> None:
    """Given more fresh spares than max_prealloc, when no ticket waits, then they stay."""
    pool = a_pool(max_prealloc=1)
    assert steps_of([pool], a_resource(1), a_resource(2), a_resource(3)) == []


# Pools that left the file


def test_the_resources_of_a_vanished_pool_live_on_by_its_last_options() -> None:
    """Given pools known by their records only, when planned, then the usual reasons apply and no other."""
    assert steps_of([], a_record(REUSING), a_resource(1), a_released_resource(2)) == []
    assert steps_of([], a_record(REUSING), a_resource(1, check_failed_count=3)) == [
        RequestDelete(1, "livecheck failed 3 times in a row"),
        StartDelete(1),
    ]
    assert RequestDelete(1, NOT_NEEDED) in steps_of([], a_record(ON_DEMAND), a_resource(1, ON_DEMAND))


def test_a_vanished_pool_still_serves_tickets() -> None:
    """Given a spare of a pool that left the file, when a ticket matches, then it is assigned the spare."""
    assert steps_of([], a_record(REUSING), a_resource(1), a_ticket(1)) == [Assign(1, 1)]


def test_nothing_is_deleted_where_the_options_of_the_pool_are_lost() -> None:
    """Given a resource whose pool has no record, when it would have to go, then nothing can start for it."""
    assert steps_of([], a_released_resource(1, check_failed_count=9), a_resource(2, "vm", GOING[0])) == []


# Tickets whose resource is going


@pytest.mark.parametrize("state", GOING)
def test_an_open_ticket_fails_when_its_resource_is_on_its_way_out(state: ResourceState) -> None:
    """Given an OPEN ticket whose resource is past UP, when planned, then it fails with the resource's reason."""
    resource = a_resource(1, state=state, reason="cmd_release exited 1")
    assert FailTicket(3, "cmd_release exited 1") in steps_of([REUSING], an_assigned_ticket(3, 1), resource)


def test_an_open_ticket_fails_when_its_resource_is_gone() -> None:
    """Given no such resource any more, when planned, then the ticket fails."""
    assert steps_of([REUSING], an_assigned_ticket(3, 1)) == [FailTicket(3, "its resource no longer exists")]


# Operators


def test_an_operator_deletes_a_free_resource() -> None:
    """Given an intent for a free UP resource, when planned, then its delete starts and the intent is dropped."""
    assert steps_of([REUSING], an_intent(1, 5), a_resource(5)) == [
        RequestDelete(5, "deleted by an operator", Actor.OPERATOR),
        DropIntent(1),
        StartDelete(5),
    ]


def test_an_operator_deletes_a_taken_resource_and_its_ticket_fails() -> None:
    """Given an intent for a taken resource, when planned, then its ticket fails, too, with the operator's reason."""
    intent = an_intent(1, 5, reason="broken disk")
    assert steps_of([REUSING], intent, a_resource(5), an_assigned_ticket(2, 5)) == [
        RequestDelete(5, "broken disk", Actor.OPERATOR),
        FailTicket(2, "broken disk"),
        DropIntent(1),
        StartDelete(5),
    ]


@pytest.mark.parametrize("state", BUSY)
def test_a_resource_in_a_hook_run_is_deleted_when_that_ends(state: ResourceState) -> None:
    """Given an intent for a STARTING or RELEASING resource, when planned, then it is only marked."""
    assert steps_of([REUSING], an_intent(1, 5), a_resource(5, state=state)) == [
        DeleteAfterRun(5, "deleted by an operator", Actor.OPERATOR),
        DropIntent(1),
    ]


def test_a_resource_that_is_to_be_deleted_already_is_not_asked_again() -> None:
    """Given delete_asked is set, when another intent comes, then it is dropped."""
    starting = a_resource(5, state=ResourceState.STARTING, delete_after_run="old")
    assert steps_of([REUSING], an_intent(1, 5), starting) == [DropIntent(1)]


@pytest.mark.parametrize("state", [*GOING, ResourceState.ENDED])
def test_an_intent_for_an_ending_or_ended_resource_is_void(state: ResourceState) -> None:
    """Given a resource on its way to deletion or gone, when planned, then the intent is just dropped."""
    steps = steps_of([REUSING], an_intent(1, 5), a_resource(5, state=state, delete_retry_at=NOW + 5))
    assert steps == [DropIntent(1)]


def test_two_intents_for_one_resource_are_decided_once() -> None:
    """Given two intents for the same resource, when planned, then the plan contains one removal."""
    assert steps_of([REUSING], an_intent(1, 5), an_intent(2, 5), a_resource(5)) == [
        RequestDelete(5, "deleted by an operator", Actor.OPERATOR),
        DropIntent(1),
        DropIntent(2),
        StartDelete(5),
    ]


def test_unused_only_deletes_what_is_up_free_and_healthy() -> None:
    """Given unused_only, when the resource is UP, free and its last check was good, then it is deleted."""
    assert RequestDelete(5, "deleted by an operator", Actor.OPERATOR) in steps_of(
        [REUSING], an_intent(1, 5, unused_only=True), a_released_resource(5)
    )


@pytest.mark.parametrize(
    "documents",
    [
        [an_assigned_ticket(2, 5), a_resource(5)],
        [a_resource(5, check_failed_count=1)],
        [a_resource(5, state=ResourceState.STARTING)],
        [a_resource(5, state=ResourceState.RELEASING)],
        [],
    ],
    ids=["taken", "failing", "starting", "releasing", "gone"],
)
def test_unused_only_spares_everything_else(documents) -> None:
    """Given unused_only, when the resource is taken, failing, not UP or gone, then only the intent is dropped."""
    assert steps_of([REUSING], an_intent(1, 5, unused_only=True), *documents) == [DropIntent(1)]


def test_what_was_released_in_this_plan_counts_as_unused() -> None:
    """Given unused_only and a closed ticket without hook, when planned, then the resource is deleted."""
    steps = steps_of([REUSING], an_intent(1, 5, unused_only=True), a_closed_ticket(2, 5), a_resource(5))
    assert steps == [
        Release(2, 5, False),
        RequestDelete(5, "deleted by an operator", Actor.OPERATOR),
        DropIntent(1),
        StartDelete(5),
    ]


def test_a_resource_whose_release_begins_in_this_plan_is_only_marked() -> None:
    """Given an intent and a closed ticket with hook, when planned, then it is deleted after the hook."""
    pool = a_pool(cmd_release="release")
    assert steps_of([pool], an_intent(1, 5), a_closed_ticket(2, 5), a_resource(5)) == [
        Release(2, 5, True),
        DeleteAfterRun(5, "deleted by an operator", Actor.OPERATOR),
        DropIntent(1),
    ]


def test_what_is_removed_is_not_assigned() -> None:
    """Given an intent for the only free resource, when a ticket waits, then it waits on."""
    steps = steps_of([REUSING], an_intent(1, 5), a_resource(5), a_ticket(1))
    assert of_kind(steps, Assign) == []


def test_several_reasons_make_one_removal() -> None:
    """Given an intent, dead livechecks and an expired reuse at once, when planned, then the first reason is used."""
    pool = a_pool(livecheck_attempts=1, reuse_opportunity_time=0, tags_on_demand={"gpu": 0})
    dead = a_released_resource(1, pool, check_failed_count=1)
    assert steps_of([pool], dead) == [RequestDelete(1, "livecheck failed 1 time in a row"), StartDelete(1)]
    by_hand = [RequestDelete(1, "deleted by an operator", Actor.OPERATOR), DropIntent(1), StartDelete(1)]
    assert steps_of([pool], an_intent(1, 1), dead) == by_hand
    assert steps_of([pool], an_intent(1, 1), a_resource(1, pool)) == by_hand


# When the next removal is due


def test_the_plan_says_when_a_kept_resource_expires() -> None:
    """Given kept resources, when planned, then the earliest end of their time is due, and no sooner."""
    first = a_released_resource(1, released_at=NOW - 20)
    second = a_released_resource(2, released_at=NOW - 1, sandboxed_since=NOW - 3595)
    snapshot = a_snapshot([REUSING], first, second)
    assert plan(snapshot, NOW).next_due == NOW + 5
    assert plan(snapshot, NOW + 4.9).steps == ()
    assert RequestDelete(2, "first taken 3600 s ago, longer than reuse_max_time") in plan(snapshot, NOW + 5).steps
    assert plan(snapshot, NOW + 5).next_due == NOW + 40


def test_closed_tickets_of_removed_resources_settle() -> None:
    """Given a closed ticket whose resource just became DELETE_REQUEST, when planned, then both go their ways."""
    resource = a_resource(1, state=ResourceState.DELETE_REQUEST)
    assert steps_of([REUSING], a_closed_ticket(1, 1), resource) == [Settle(1), StartDelete(1)]
