"""Step 6: which ticket is assigned which resource."""

from functions.policy.plan.steps import Assign, Release
from state.documents import ResourceState
from tests.policy.world import (
    a_closed_ticket,
    a_pool,
    a_released_resource,
    a_resource,
    a_ticket,
    an_assigned_ticket,
    of_kind,
    steps_of,
)

VM = a_pool(tags={"x86": 0, "big": 0}, reuse_opportunity_time=1000, max=0)


def assigned(*documents, pools=(VM,)):
    return [(step.ticket, step.resource) for step in of_kind(steps_of(pools, *documents), Assign)]


def test_a_waiting_ticket_is_assigned_a_free_resource() -> None:
    """Given a ticket and a free resource with its tag, when planned, then it is assigned to the ticket."""
    assert assigned(a_ticket(1, "x86"), a_resource(1, VM)) == [(1, 1)]


def test_a_ticket_without_tags_matches_any_resource() -> None:
    """Given a ticket without tags and a resource without tags, when planned, then they match."""
    assert assigned(a_ticket(1), a_resource(1, "vm")) == [(1, 1)]


def test_all_tags_of_the_ticket_are_needed() -> None:
    """Given a resource that lacks one of two tags, when planned, then the ticket waits on."""
    assert assigned(a_ticket(1, "x86", "ppc"), a_resource(1, VM)) == []


def test_tags_are_those_of_the_resource_not_those_its_pool_has_now() -> None:
    """Given a resource started before its pool got the tag, when planned, then it does not match."""
    assert assigned(a_ticket(1, "big"), a_resource(1, VM, tags={"x86": 0})) == []


def test_older_tickets_are_served_first() -> None:
    """Given two tickets with the same tags and one resource, when planned, then it is assigned to the lower id."""
    assert assigned(a_ticket(7, "x86"), a_ticket(3, "x86"), a_resource(1, VM)) == [(3, 1)]


def test_a_ticket_that_cannot_be_served_holds_no_other_back() -> None:
    """Given an old ticket that nothing matches, when planned, then a younger one is served."""
    assert assigned(a_ticket(1, "ppc"), a_ticket(2, "x86"), a_resource(1, VM)) == [(2, 1)]


def test_tickets_with_an_on_demand_tag_come_first() -> None:
    """Given an older plain ticket and a younger on-demand one for one resource, when planned, then the latter wins."""
    pool = a_pool(tags={"x86": 0}, tags_on_demand={"gpu": 0}, max=0)
    documents = a_ticket(1, "x86"), a_ticket(2, "gpu"), a_resource(1, pool)
    assert assigned(*documents, pools=(pool,)) == [(2, 1)]


def test_a_tag_that_is_no_longer_on_demand_gives_no_precedence() -> None:
    """Given the pool lost its on-demand tag but a resource still has it, when planned, then the order is by id."""
    pool = a_pool(tags={"x86": 0}, max=0)
    documents = a_ticket(1, "x86"), a_ticket(2, "gpu"), a_resource(1, pool, tags={"x86": 0, "gpu": 0})
    assert assigned(*documents, pools=(pool,)) == [(1, 1)]


def test_the_highest_sum_of_requested_priorities_wins() -> None:
    """Given resources with different priorities for the wanted tags, when planned, then the sum decides."""
    documents = (
        a_ticket(1, "x86", "big"),
        a_resource(1, tags={"x86": 30, "big": 0}),
        a_resource(2, tags={"x86": 20, "big": 20}),
        a_resource(3, tags={"x86": 1, "big": 1, "other": 1000}),
    )
    assert assigned(*documents) == [(1, 2)]


def test_negative_priorities_come_last() -> None:
    """Given one resource with a negative priority, when planned, then the others are preferred."""
    documents = a_ticket(1, "x86"), a_resource(1, tags={"x86": -5}), a_resource(2, tags={"x86": 0})
    assert assigned(*documents) == [(1, 2)]


def test_among_equals_the_lowest_id_wins() -> None:
    """Given equally good resources of two pools, when planned, then ids decide, whatever the pool."""
    documents = (
        a_ticket(1, "x86"),
        a_ticket(2, "x86"),
        a_ticket(3, "x86"),
        a_resource(5, "a", tags={"x86": 1}),
        a_resource(4, "b", tags={"x86": 1}),
        a_resource(6, "b", tags={"x86": 1}),
    )
    assert assigned(*documents) == [(1, 4), (2, 5), (3, 6)]


def test_a_used_resource_is_assigned_only_to_its_own_sandbox() -> None:
    """Given a released resource, when tickets of another sandbox and of none wait, then they do not get it."""
    released = a_released_resource(1, VM, sandbox="mine")
    assert assigned(a_ticket(1, "x86", sandbox="other"), a_ticket(2, "x86"), released) == []
    assert assigned(a_ticket(3, "x86", sandbox="mine"), released) == [(3, 1)]


def test_a_resource_of_the_own_sandbox_is_worth_500() -> None:
    """Given an own resource and fresh ones with priorities 499 and 501, when planned, then 500 is between them."""
    ticket = a_ticket(1, "x86", sandbox="mine")
    own = a_released_resource(3, tags={"x86": 0}, sandbox="mine")
    assert assigned(ticket, own, a_resource(1, tags={"x86": 499})) == [(1, 3)]
    assert assigned(ticket, own, a_resource(1, tags={"x86": 501})) == [(1, 1)]


def test_an_own_resource_and_a_fresh_one_of_the_same_score_go_by_id() -> None:
    """Given a fresh resource with priority 500, when planned, then the lower id wins."""
    ticket = a_ticket(1, "x86", sandbox="mine")
    own = a_released_resource(3, tags={"x86": 0}, sandbox="mine")
    assert assigned(ticket, own, a_resource(4, tags={"x86": 500})) == [(1, 3)]
    assert assigned(ticket, own, a_resource(2, tags={"x86": 500})) == [(1, 2)]


def test_a_younger_ticket_may_be_assigned_what_is_kept_for_its_sandbox() -> None:
    """Given an older ticket of another sandbox, when only a kept resource is free, then its own sandbox is served."""
    documents = (
        a_ticket(1, "x86", sandbox="other"),
        a_ticket(2, "x86", sandbox="mine"),
        a_released_resource(1, VM, sandbox="mine"),
    )
    assert assigned(*documents) == [(2, 1)]


def test_a_resource_whose_last_livecheck_failed_is_not_assigned() -> None:
    """Given one failed livecheck, fresh or released, when planned, then the ticket waits."""
    ticket = a_ticket(1, "x86", sandbox="s")
    assert assigned(ticket, a_resource(1, VM, check_failed_count=1)) == []
    assert assigned(ticket, a_released_resource(1, VM, check_failed_count=1)) == []


def test_only_what_is_up_is_assigned() -> None:
    """Given resources in every other state, when planned, then the ticket waits."""
    others = [state for state in ResourceState if state is not ResourceState.UP]
    for state in others:
        assert assigned(a_ticket(1, "x86"), a_resource(1, VM, state)) == []


def test_a_taken_resource_is_not_assigned() -> None:
    """Given an OPEN ticket that has the resource, when another waits, then it waits on."""
    assert assigned(an_assigned_ticket(1, 1), a_ticket(2, "x86"), a_resource(1, VM)) == []


def test_a_resource_released_in_this_plan_is_assigned_to_the_next_ticket_of_its_sandbox() -> None:
    """Given no cmd_release, when a ticket was closed, then the next one of its sandbox is served at once."""
    documents = (
        a_closed_ticket(1, 1, sandbox="mine"),
        a_ticket(2, "x86", sandbox="other"),
        a_ticket(3, "x86", sandbox="mine"),
        a_resource(1, VM),
    )
    assert steps_of([VM], *documents) == [Release(1, 1, False), Assign(3, 1)]


def test_what_is_released_competes_by_id_with_what_was_free() -> None:
    """Given an own free resource and one released in this plan, when two tickets wait, then the lower id goes first."""
    documents = (
        a_closed_ticket(1, 1, sandbox="mine"),
        a_ticket(2, "x86", sandbox="mine"),
        a_ticket(3, "x86", sandbox="mine"),
        a_resource(1, VM),
        a_released_resource(2, VM, sandbox="mine"),
    )
    assert assigned(*documents) == [(2, 1), (3, 2)]
