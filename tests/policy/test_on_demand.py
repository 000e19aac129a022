"""Step 2: where resources start for tickets with an on-demand tag."""

import pytest

from functions.policy.plan.plan import plan
from functions.policy.plan.steps import Assign, RequestDelete, StartResource
from state.documents import ResourceState
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
    steps_of,
)


def gpu_pool(name: str = "gpu", priority: int = 0, **options):
    return a_pool(
        name,
        **{
            "tags_on_demand": {"gpu": priority},
            "tags": {"x86": 0},
            "max": 10,
            "max_starting": 10,
            "reuse_opportunity_time": 1000,
            **options,
        },
    )


GPU = gpu_pool()
STARTING = ResourceState.STARTING


def starts(pools, *documents):
    return [(step.pool, step.ticket) for step in of_kind(steps_of(pools, *documents), StartResource)]


def test_a_waiting_ticket_with_an_on_demand_tag_starts_a_resource() -> None:
    """Given such a ticket, when planned, then a resource starts for it."""
    assert steps_of([GPU], a_ticket(4, "gpu", "x86")) == [StartResource("gpu", 4)]


def test_each_ticket_starts_one_in_the_order_of_ids() -> None:
    """Given three tickets, when planned, then three resources start, as far as max_starting goes."""
    tickets = a_ticket(3, "gpu"), a_ticket(1, "gpu"), a_ticket(2, "gpu", "x86")
    assert starts([GPU], *tickets) == [("gpu", 1), ("gpu", 2), ("gpu", 3)]
    assert starts([gpu_pool(max_starting=2)], *tickets) == [("gpu", 1), ("gpu", 2)]
    assert starts([gpu_pool(max=1)], *tickets) == [("gpu", 1)]


def test_a_plain_ticket_starts_nothing() -> None:
    """Given a ticket without on-demand tag that the pool could serve, when planned, then nothing starts."""
    assert starts([GPU], a_ticket(1, "x86"), a_ticket(2)) == []


def test_a_ticket_that_no_pool_can_serve_starts_nothing() -> None:
    """Given an on-demand tag together with one that no pool has, when planned, then nothing starts."""
    assert starts([GPU], a_ticket(1, "gpu", "ppc")) == []


@pytest.mark.parametrize(
    "cover",
    [
        a_resource(1, GPU, STARTING),
        a_resource(1, GPU, check_failed_count=1),
        a_released_resource(1, GPU, sandbox="mine"),
        a_released_resource(1, GPU, sandbox="mine", state=ResourceState.RELEASING),
    ],
    ids=["starting", "up but failing", "kept for its sandbox", "being released by its sandbox"],
)
def test_a_resource_that_may_serve_the_ticket_covers_it(cover) -> None:
    """Given one resource and two tickets of a sandbox, when planned, then one start is for the younger."""
    tickets = a_ticket(1, "gpu", sandbox="mine"), a_ticket(2, "gpu", sandbox="mine")
    assert starts([GPU], cover, *tickets) == [("gpu", 2)]


@pytest.mark.parametrize(
    "document",
    [
        a_released_resource(1, GPU, sandbox="other"),
        a_released_resource(1, GPU, sandbox="other", state=ResourceState.RELEASING),
        a_resource(1, GPU, STARTING, delete_after_run="why"),
        a_released_resource(1, GPU, sandbox="mine", state=ResourceState.RELEASING, delete_after_run="why"),
        a_resource(1, GPU, STARTING, tags={"x86": 0}),
        a_resource(1, GPU, ResourceState.DELETE_REQUEST, delete_retry_at=NOW + 9),
        a_resource(1, GPU, ResourceState.DELETING),
        a_resource(1, "plain", tags={"gpu": 0}),
    ],
    ids=[
        "kept for another sandbox",
        "being released by another",
        "starting, to be deleted",
        "releasing, to be deleted",
        "without the tag",
        "to be deleted",
        "being deleted",
        "of a pool that is not on-demand",
    ],
)
def test_a_resource_that_cannot_serve_the_ticket_does_not_cover_it(document) -> None:
    """Given a resource of no use to the ticket, when planned, then a start is planned all the same."""
    ticket = a_ticket(1, "gpu", sandbox="mine")
    assert starts([GPU, a_pool("plain")], ticket, document) == [("gpu", 1)]


def test_what_is_kept_for_a_sandbox_does_not_cover_a_ticket_without_one() -> None:
    """Given a ticket without sandbox, when all that is idle is kept for one, then a start is planned."""
    assert starts([GPU], a_ticket(1, "gpu"), a_released_resource(1, GPU)) == [("gpu", 1)]


def test_a_taken_resource_covers_no_ticket() -> None:
    """Given a taken resource, when another ticket waits, then a start is planned."""
    assert starts([GPU], an_assigned_ticket(1, 1), a_resource(1, GPU), a_ticket(2, "gpu")) == [("gpu", 2)]


def test_what_is_released_in_this_plan_covers_its_sandbox() -> None:
    """Given a closed ticket, with or without hook, when the next of its sandbox waits, then nothing starts."""
    documents = a_closed_ticket(1, 1, sandbox="mine"), a_resource(1, GPU), a_ticket(2, "gpu", sandbox="mine")
    assert starts([GPU], *documents) == []
    assert starts([gpu_pool(cmd_release="release")], *documents) == []
    assert starts([GPU], *documents, a_ticket(3, "gpu", sandbox="mine")) == [("gpu", 3)]


def test_what_is_removed_in_this_plan_covers_no_ticket() -> None:
    """Given an expired resource and a STARTING one that an operator deletes, when planned, then two starts follow."""
    pool = gpu_pool(reuse_opportunity_time=5)
    documents = a_released_resource(1, pool, sandbox="mine"), a_resource(2, pool, STARTING), an_intent(1, 2)
    tickets = a_ticket(1, "gpu", sandbox="mine"), a_ticket(2, "gpu", sandbox="mine")
    assert starts([pool], *documents, *tickets) == [("gpu", 1), ("gpu", 2)]


def test_an_expired_resource_does_not_cover_after_its_release_in_this_plan() -> None:
    """Given reuse is off, when the earlier ticket is closed, then a start is planned for the next of the sandbox."""
    pool = gpu_pool(reuse_opportunity_time=0)
    documents = a_closed_ticket(1, 1, sandbox="mine"), a_resource(1, pool), a_ticket(2, "gpu", sandbox="mine")
    steps = steps_of([pool], *documents)
    assert of_kind(steps, RequestDelete, StartResource) == [
        RequestDelete(1, "released, and its pool does not reuse (reuse_opportunity_time is 0)"),
        StartResource("gpu", 2),
    ]


def test_each_resource_covers_one_ticket() -> None:
    """Given two STARTING and three tickets, when planned, then one start is planned, for the youngest."""
    tickets = [a_ticket(id, "gpu") for id in (1, 2, 3)]
    assert starts([GPU], *tickets, a_resource(1, GPU, STARTING), a_resource(2, GPU, STARTING)) == [("gpu", 3)]


def test_the_first_capable_pool_by_name_covers_first() -> None:
    """Given one STARTING in each of two pools, when an older ticket fits both, then it is counted in the first."""
    a, b = gpu_pool("a"), gpu_pool("b", tags={"x86": 0, "ssd": 0})
    documents = a_resource(1, b, STARTING), a_resource(2, a, STARTING)
    assert starts([b, a], *documents, a_ticket(1, "gpu"), a_ticket(2, "gpu", "ssd")) == []
    assert starts([b, a], *documents, a_ticket(1, "gpu"), a_ticket(2, "gpu", "ssd"), a_ticket(3, "gpu", "ssd")) == [
        ("b", 3)
    ]


def test_within_a_pool_what_is_kept_for_the_sandbox_counts_first() -> None:
    """Given a kept resource and a STARTING one, when its sandbox and another wait, then both tickets are covered."""
    documents = a_released_resource(1, GPU, sandbox="mine"), a_resource(2, GPU, STARTING)
    tickets = a_ticket(1, "gpu", sandbox="mine"), a_ticket(2, "gpu", sandbox="other")
    assert starts([GPU], *documents, *tickets) == []


def test_what_is_kept_for_the_sandbox_covers_before_a_start_in_any_pool() -> None:
    """Given a kept resource in the last pool and room in the first, when its sandbox waits, then nothing starts."""
    first, last = gpu_pool("a"), gpu_pool("z")
    kept = a_released_resource(1, last, sandbox="mine")
    assert starts([first, last], kept, a_ticket(1, "gpu", sandbox="mine")) == []


def test_the_pool_with_the_highest_priorities_starts_one() -> None:
    """Given pools with different priorities, when planned, then the sum over the ticket's tags decides."""
    low = gpu_pool("a", priority=10, tags={"x86": 15, "ssd": 99})
    high = gpu_pool("b", priority=20, tags={"x86": 10})
    assert starts([low, high], a_ticket(1, "gpu", "x86")) == [("b", 1)]


def test_among_pools_of_the_same_priority_the_name_decides() -> None:
    """Given equal priorities, when planned, then the first by name starts, whatever the order of the file."""
    assert starts([gpu_pool("b"), gpu_pool("a")], a_ticket(1, "gpu")) == [("a", 1)]


def test_a_full_pool_leaves_the_start_to_the_next() -> None:
    """Given the best pool at max, or at max_starting with this plan's starts, when planned, then the next starts."""
    best, next_best = gpu_pool("best", priority=9, max=1), gpu_pool("next", max_starting=1)
    taken = a_resource(1, best), an_assigned_ticket(1, 1)
    assert starts([best, next_best], *taken, a_ticket(2, "gpu")) == [("next", 2)]
    assert starts([best, next_best], a_ticket(2, "gpu"), a_ticket(3, "gpu"), a_ticket(4, "gpu")) == [
        ("best", 2),
        ("next", 3),
    ]


def test_a_paused_pool_leaves_the_start_to_the_next() -> None:
    """Given the best pool pauses after a failure, when planned, then the next capable pool starts meanwhile."""
    best, next_best = gpu_pool("best", priority=9), gpu_pool("next")
    record = a_record(best, paused_until=NOW + 5)
    assert starts([best, next_best], record, a_ticket(1, "gpu")) == [("next", 1)]


def test_the_end_of_a_pause_is_due() -> None:
    """Given the only capable pool pauses, when planned, then nothing starts until the end of its pause."""
    snapshot = a_snapshot([GPU], a_record(GPU, paused_until=NOW + 5), a_ticket(1, "gpu"))
    assert plan(snapshot, NOW).steps == ()
    assert plan(snapshot, NOW).next_due == NOW + 5
    assert plan(snapshot, NOW + 5).steps == (StartResource("gpu", 1),)


def test_start_delay_does_not_change_where_to_start() -> None:
    """Given the best pool is within its start_delay, when planned, then the ticket waits for it; its end is due."""
    best, next_best = gpu_pool("best", priority=9, start_delay=60), gpu_pool("next")
    snapshot = a_snapshot([best, next_best], a_record(best, last_start=NOW - 20), a_ticket(1, "gpu"))
    assert plan(snapshot, NOW).steps == ()
    assert plan(snapshot, NOW).next_due == NOW + 40
    assert plan(snapshot, NOW + 40).steps == (StartResource("best", 1),)


def test_with_a_start_delay_one_start_a_plan() -> None:
    """Given two tickets and a start_delay, when planned, then one resource starts, for the older."""
    assert starts([gpu_pool(start_delay=60)], a_ticket(1, "gpu"), a_ticket(2, "gpu")) == [("gpu", 1)]


def test_a_fresh_spare_is_assigned_and_nothing_starts() -> None:
    """Given a spare that came up for the ticket, when planned, then it is assigned to the ticket."""
    assert steps_of([GPU], a_ticket(1, "gpu"), a_resource(1, GPU)) == [Assign(1, 1)]
