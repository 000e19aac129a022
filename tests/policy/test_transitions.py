"""The documents after one step."""

import time

import pytest

from functions.policy.transitions.resource import (
    begin_delete,
    delete_after_run,
    new_resource,
    release_resource,
    request_delete,
)
from functions.policy.transitions.ticket import assign_ticket, close_ticket, fail_ticket
from state.documents import HookKind, ResourceState, Run, TicketState
from state.errors import ImpossibleTransition
from tests.policy.world import NOW, a_closed_ticket, a_pool, a_released_resource, a_resource, a_ticket


def test_a_resource_remembers_its_first_ticket_when_it_is_released() -> None:
    """Given a first ticket, when it releases the resource, then sandbox and first taking are copied; the count is 1."""
    resource = release_resource(a_resource(1), a_closed_ticket(7, 1, sandbox="s", assigned_at=NOW - 30), False, NOW)
    assert resource.state is ResourceState.UP
    assert (resource.sandbox, resource.sandboxed_since) == ("s", NOW - 30)
    assert (resource.releases_counter, resource.released_at, resource.released_ticket) == (1, NOW, 7)
    assert resource.run is None


def test_later_tickets_leave_sandbox_and_first_taking_as_they_are() -> None:
    """Given a reused resource, when it is released again, then only count, time and ticket change."""
    before = a_released_resource(1, sandbox="s")
    after = release_resource(before, a_closed_ticket(7, 1, sandbox="s"), False, NOW)
    assert after == before.replace(releases_counter=2, released_at=NOW, released_ticket=7, history=after.history)


def test_with_a_hook_a_release_begins_a_release_run() -> None:
    """Given cmd_release, when a ticket releases it, then the resource is RELEASING and names the run by its count."""
    resource = release_resource(a_released_resource(17, releases_counter=2), a_closed_ticket(7, 17), True, NOW)
    assert resource.state is ResourceState.RELEASING
    assert resource.run == Run(id="000017_release_3", kind=HookKind.RELEASE, started_at=NOW)


def test_a_second_release_changes_nothing() -> None:
    """Given the ticket has released it already, when it is done again, then the resource is the same."""
    once = release_resource(a_resource(1), a_closed_ticket(7, 1), False, NOW)
    assert release_resource(once, a_closed_ticket(7, 1), False, NOW + 5) is once


def test_an_assigned_ticket_contains_the_facts_of_its_resource() -> None:
    """Given a resource with data, when assigned, then the ticket has its id, name, pool, data and the time."""
    ticket = assign_ticket(a_ticket(1, sandbox="s"), a_resource(5, data=b"\x00ip\n"), "random", NOW)
    assert (ticket.resource, ticket.resource_name, ticket.pool, ticket.output) == (5, "vm_5", "vm", b"\x00ip\n")
    assert (ticket.assigned_at, ticket.sandbox, ticket.state) == (NOW, "s", TicketState.OPEN)


def test_a_ticket_without_sandbox_is_assigned_a_random_one() -> None:
    """Given no sandbox, when assigned, then the random text is its sandbox; without data its output is empty."""
    ticket = assign_ticket(a_ticket(1), a_resource(5), "random", NOW)
    assert (ticket.sandbox, ticket.output) == ("random", b"")


def test_a_closed_ticket_cannot_be_assigned() -> None:
    """Given a ticket that was closed meanwhile, when assigned, then it refuses."""
    with pytest.raises(ImpossibleTransition):
        assign_ticket(a_closed_ticket(1, None), a_resource(5), "random", NOW)


def test_a_failing_ticket_keeps_the_reason() -> None:
    """Given an OPEN ticket, when it fails, then state, time and reason say so."""
    ticket = fail_ticket(a_ticket(1, resource=5), "why", NOW)
    assert (ticket.state, ticket.failed_at, ticket.reason, ticket.resource) == (TicketState.FAILED, NOW, "why", 5)


@pytest.mark.parametrize("state", [TicketState.OPEN, TicketState.FAILED])
def test_open_and_failed_tickets_can_be_closed(state: TicketState) -> None:
    """Given OPEN or FAILED, when closed, then it is CLOSED at that time."""
    ticket = close_ticket(a_ticket(1, state=state), NOW)
    assert (ticket.state, ticket.closed_at) == (TicketState.CLOSED, NOW)


def test_a_closed_ticket_says_why() -> None:
    """Given a ticket, when it is closed, then the reason is its failure, else it names the closer."""
    assert close_ticket(a_ticket(1), NOW).reason == "its client closed it"
    assert close_ticket(a_ticket(1), NOW, "its agent has ended").reason == "its agent has ended"
    assert close_ticket(fail_ticket(a_ticket(1, resource=5), "why", NOW), NOW).reason == "why"


def test_closing_again_changes_nothing() -> None:
    """Given CLOSED, when closed, then it is the same, with the time of the first closing."""
    ticket = a_closed_ticket(1, None)
    assert close_ticket(ticket, NOW + 9) is ticket


def test_a_delete_is_requested_and_begins() -> None:
    """Given an UP resource, when its delete is requested and begins, then the run is numbered by the failures."""
    requested = request_delete(a_resource(3, delete_failures=2, delete_retry_at=NOW), "why", NOW)
    assert (requested.state, requested.reason) == (ResourceState.DELETE_REQUEST, "why")
    deleting = begin_delete(requested, NOW)
    assert deleting.state is ResourceState.DELETING
    assert deleting.run == Run(id="000003_terminate_3", kind=HookKind.TERMINATE, started_at=NOW)
    assert deleting.delete_retry_at is None


@pytest.mark.parametrize("state", [ResourceState.STARTING, ResourceState.RELEASING])
def test_what_is_in_a_hook_run_can_only_be_asked(state: ResourceState) -> None:
    """Given STARTING or RELEASING, when asked to be deleted, then only the reason is noted."""
    before = a_resource(1, state=state)
    after = delete_after_run(before, "why", NOW)
    assert after == before.replace(delete_after_run="why", history=after.history)


def test_what_is_up_is_not_asked() -> None:
    """Given UP, when asked to be deleted later, then it refuses."""
    with pytest.raises(ImpossibleTransition):
        delete_after_run(a_resource(1), "why", NOW)


def test_a_new_resource_starts_with_the_tags_of_its_pool() -> None:
    """Given a pool, when a resource starts, then it has all tags, its numbers, and an alloc run."""
    pool = a_pool(tags={"x86": 1}, tags_on_demand={"gpu": 2})
    resource = new_resource(17, pool, 3, {"port": 5}, NOW)
    assert (resource.id, resource.pool, resource.state) == (17, "vm", ResourceState.STARTING)
    assert resource.tags == {"x86": 1, "gpu": 2}
    assert (resource.id_in_pool, resource.counters, resource.created_at) == (3, {"port": 5}, NOW)
    assert resource.run == Run(id="000017_alloc_1", kind=HookKind.ALLOC, started_at=NOW)


def test_a_name_is_made_of_pool_padded_id_and_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the default pattern and another one, when a resource starts, then its name follows the pattern."""
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        assert new_resource(17, a_pool(), 0, {}, 0.5).name == "vm_00000017_19700101_020000"
        assert new_resource(17, a_pool(name_pattern="x-{id}"), 0, {}, 0.5).name == "x-00000017"
    finally:
        monkeypatch.undo()
        time.tzset()
