"""Step 1: closed tickets release their resources."""

from functions.policy.plan.steps import Assign, FailTicket, Release, RequestDelete, Settle, StartDelete
from functions.policy.transitions.hook_results import fold_resource
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.resource import release_resource
from state.documents import Actor, HookKind, ResourceState, TicketState
from tests.policy.world import (
    NOW,
    a_closed_ticket,
    a_pool,
    a_record,
    a_released_resource,
    a_resource,
    a_ticket,
    an_assigned_ticket,
    of_kind,
    steps_of,
)

VM = a_pool(reuse_opportunity_time=1000)
WITH_HOOK = a_pool(reuse_opportunity_time=1000, cmd_release="release")


def test_a_closed_ticket_releases_its_resource() -> None:
    """Given a CLOSED ticket with an UP resource, when planned, then it is released and does not settle yet."""
    assert steps_of([VM], a_closed_ticket(1, 1), a_resource(1)) == [Release(1, 1, False)]


def test_with_cmd_release_a_release_takes_the_hook() -> None:
    """Given a pool with cmd_release, when planned, then the hook is to run, reuse on or off."""
    without_reuse = a_pool(cmd_release="release")
    assert steps_of([WITH_HOOK], a_closed_ticket(1, 1), a_resource(1)) == [Release(1, 1, True)]
    assert steps_of([without_reuse], a_closed_ticket(1, 1), a_resource(1)) == [Release(1, 1, True)]


def test_the_hook_of_a_pool_that_left_the_file_still_runs() -> None:
    """Given a pool known by its record only, when its ticket was closed, then its last cmd_release is used."""
    assert steps_of([], a_record(WITH_HOOK), a_closed_ticket(1, 1), a_resource(1)) == [Release(1, 1, True)]


def test_what_its_client_calls_bad_is_deleted_and_not_assigned() -> None:
    """Given a pool that reuses, when a ticket is closed as bad, then its resource is deleted in the same plan."""
    closed = a_closed_ticket(1, 1, sandbox="s", bad="disk full")
    steps = steps_of([VM], closed, a_resource(1), a_ticket(2, sandbox="s"))
    reason = "its client called it bad: disk full"
    assert steps == [Release(1, 1, False), RequestDelete(1, reason, Actor.CLIENT), StartDelete(1)]


def test_what_is_bad_is_released_before_it_goes() -> None:
    """Given a release hook, when a ticket is closed as bad, then the hook runs, and the delete follows in any case."""
    closed = a_closed_ticket(1, 1, sandbox="s", bad="disk full")
    steps = steps_of([WITH_HOOK], closed, a_resource(1), a_ticket(2, sandbox="s"))
    assert steps == [Release(1, 1, True)]
    releasing = release_resource(a_resource(1), closed, True, NOW)
    assert releasing.delete_after_run == "its client called it bad: disk full"
    assert releasing.run is not None
    ended = {"run": releasing.run.id, "kind": HookKind.RELEASE, "started_at": NOW, "ended_at": NOW}
    for exit, reason in (
        (0, releasing.delete_after_run),
        (1, f"{releasing.delete_after_run}; then cmd_release exited 1"),
    ):
        going = fold_resource(releasing, Outcome(**ended, exit=exit), WITH_HOOK)
        assert (going.state, going.reason) == (ResourceState.DELETE_REQUEST, reason)


def test_a_resource_that_is_gone_can_be_called_bad() -> None:
    """Given a failed ticket that is closed as bad, when planned, then it settles like any other."""
    assert steps_of([VM], a_closed_ticket(1, 1, bad="why")) == [Settle(1)]
    assert of_kind(steps_of([VM], a_closed_ticket(1, None, bad="why")), Assign, RequestDelete) == []


def test_a_ticket_that_released_its_resource_settles() -> None:
    """Given the resource says that this ticket let it go, when planned, then the ticket settles, in either state."""
    for state in (ResourceState.UP, ResourceState.RELEASING):
        resource = a_released_resource(1, VM, state=state, released_ticket=1)
        assert steps_of([VM], a_closed_ticket(1, 1), resource) == [Settle(1)]


def test_a_closed_ticket_that_never_had_a_resource_settles() -> None:
    """Given a ticket closed while it waited, when planned, then it settles."""
    assert steps_of([VM], a_closed_ticket(1, None)) == [Settle(1)]


def test_a_closed_ticket_settles_when_its_resource_is_gone_or_going() -> None:
    """Given a resource past UP or no longer there, when planned, then there is nothing to release."""
    assert steps_of([VM], a_closed_ticket(1, 1)) == [Settle(1)]
    for state in (ResourceState.DELETE_REQUEST, ResourceState.DELETING):
        assert Settle(1) in steps_of([VM], a_closed_ticket(1, 1), a_resource(1, VM, state))


def test_a_late_settling_never_releases_what_another_ticket_has() -> None:
    """Given two closed tickets of which the resource names only the later, when a third has it, then both settle."""
    documents = (
        a_closed_ticket(1, 1),
        a_closed_ticket(2, 1),
        an_assigned_ticket(3, 1),
        a_resource(1, VM, released_ticket=2),
    )
    assert steps_of([VM], *documents) == [Settle(1), Settle(2)]


def test_open_and_failed_tickets_let_nothing_go() -> None:
    """Given an OPEN ticket, a waiting one and a FAILED one, when planned, then nothing is released or settled."""
    documents = (
        an_assigned_ticket(1, 1),
        a_ticket(2, "ppc"),
        an_assigned_ticket(3, 3, state=TicketState.FAILED),
        a_resource(1),
    )
    assert of_kind(steps_of([VM], *documents), Release, Settle, FailTicket) == []
