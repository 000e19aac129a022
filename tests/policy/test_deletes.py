"""Step 4: deletes start."""

from functions.policy.plan.plan import plan
from functions.policy.plan.steps import FailTicket, StartDelete
from state.documents import ResourceState
from tests.policy.world import (
    NOW,
    a_pool,
    a_record,
    a_resource,
    a_snapshot,
    an_assigned_ticket,
    steps_of,
)

REQUESTED = ResourceState.DELETE_REQUEST


def test_a_requested_delete_starts() -> None:
    """Given DELETE_REQUEST, when planned, then the delete starts."""
    assert steps_of([a_pool()], a_resource(1, state=REQUESTED)) == [StartDelete(1)]


def test_the_ticket_fails_before_the_delete_starts() -> None:
    """Given an OPEN ticket that has it, when planned, then the ticket fails first."""
    resource = a_resource(1, state=REQUESTED, reason="why")
    assert steps_of([a_pool()], an_assigned_ticket(2, 1), resource) == [FailTicket(2, "why"), StartDelete(1)]


def test_a_delete_that_failed_is_tried_again_when_its_pause_is_over() -> None:
    """Given a retry time, when planned before, then nothing happens but the time is due; at that time it starts."""
    snapshot = a_snapshot([a_pool()], a_resource(1, state=REQUESTED, delete_failures=1, delete_retry_at=NOW + 2))
    assert plan(snapshot, NOW).steps == ()
    assert plan(snapshot, NOW).next_due == NOW + 2
    assert plan(snapshot, NOW + 2).steps == (StartDelete(1),)


def test_pools_delete_in_the_order_of_the_file_and_vanished_ones_last() -> None:
    """Given requests in three pools, when planned, then the order is that of the file, then of the old positions."""
    pools = a_pool("z"), a_pool("a")
    records = a_record(a_pool("late"), position=9), a_record(a_pool("early"), position=1)
    resources = [
        a_resource(id, pool, REQUESTED) for id, pool in [(1, "late"), (2, "early"), (3, "a"), (4, "z"), (5, "z")]
    ]
    assert steps_of(pools, *records, *resources) == [StartDelete(id) for id in (4, 5, 3, 2, 1)]


def test_a_delete_under_way_is_not_started_again() -> None:
    """Given DELETING, when planned, then nothing happens."""
    assert steps_of([a_pool()], a_resource(1, state=ResourceState.DELETING)) == []
