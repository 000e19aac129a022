"""The short history that each document carries."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.policy.plan.agents import new_agent
from functions.policy.transitions.history import (
    KEPT_EVENTS,
    EventSource,
    QuarantinedFile,
    key_of,
    key_of_line,
    lines_of,
)
from functions.policy.transitions.hook_results import fold_resource
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.pool import fold_record, record_in_file, record_not_in_file
from functions.policy.transitions.resource import (
    DELETABLE_AFTER_RUN,
    begin_delete,
    delete_after_run,
    new_resource,
    release_resource,
    request_delete,
)
from functions.policy.transitions.ticket import close_ticket, fail_ticket
from state.documents import Actor, Event, HookKind, PoolRecord, Resource, ResourceState
from state.lifecycle import ResourceEvent, after_resource_event
from tests.policy.world import NOW, a_closed_ticket, a_pool, a_record, a_resource, a_ticket, an_assigned_ticket

VM = a_pool(delete_attempts=2)


def outcome(kind: HookKind, run: str = "", at: float = NOW, **fields: Any) -> Outcome:
    return Outcome(**{"run": run, "kind": kind, "started_at": at, "ended_at": at, "exit": 0, "output": b"", **fields})


def lines(document: Resource | PoolRecord) -> list[tuple[str, str | None, str | None, str]]:
    return [(event.event, event.before, event.after, event.actor) for event in document.history]


def test_a_whole_life_is_recorded_with_the_actors() -> None:
    """Given a start, a ticket that releases with a hook, and a delete by hand, then each is recorded once, in order."""
    resource = new_resource(1, VM, 0, {}, NOW)
    assert resource.run is not None
    resource = fold_resource(resource, outcome(HookKind.ALLOC, resource.run.id, NOW + 1), VM)
    resource = release_resource(resource, a_closed_ticket(7, 1, assigned_at=NOW + 2), True, NOW + 3)
    resource = delete_after_run(resource, "disk full", NOW + 4, Actor.OPERATOR)
    assert resource.run is not None
    resource = fold_resource(resource, outcome(HookKind.RELEASE, resource.run.id, NOW + 5), VM)
    resource = begin_delete(resource, NOW + 6)
    assert resource.run is not None
    resource = fold_resource(resource, outcome(HookKind.TERMINATE, resource.run.id, NOW + 7), VM)
    assert lines(resource) == [
        ("start began", None, "STARTING", "leader"),
        ("start succeeded", "STARTING", "UP", "hook"),
        ("release began", "UP", "RELEASING", "client"),
        ("delete planned", "RELEASING", "RELEASING", "operator"),
        ("release succeeded", "RELEASING", "UP", "hook"),
        ("delete asked", "UP", "DELETE_REQUEST", "leader"),
        ("delete began", "DELETE_REQUEST", "DELETING", "leader"),
        ("delete succeeded", "DELETING", "ENDED", "hook"),
    ]
    assert [event.n for event in resource.history] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [event.at - NOW for event in resource.history] == [0, 1, 3, 4, 5, 5, 6, 7]
    assert [event.reason for event in resource.history if event.reason] == ["disk full", "disk full"]
    assert [(event.ticket, event.since) for event in resource.history if event.ticket] == [(7, NOW + 2)]


def test_failures_are_recorded_with_what_the_hook_said() -> None:
    """Given a delete that fails and is given up, then both histories show how it ended."""
    resource = begin_delete(a_resource(1, state=ResourceState.DELETE_REQUEST), NOW)
    for _ in range(2):
        assert resource.run is not None
        failed = outcome(HookKind.TERMINATE, resource.run.id, exit=3, last_line="no such VM")
        resource = fold_resource(resource, failed, VM)
        resource = begin_delete(resource, NOW) if resource.state is ResourceState.DELETE_REQUEST else resource
    assert [event.reason for event in resource.history if event.actor == "hook"] == [
        "cmd_delete exited 3: no such VM",
        "cmd_delete failed 2 times and is not tried again; at last it exited 3: no such VM",
    ]


def test_of_livechecks_only_a_change_is_recorded() -> None:
    """Given good, bad, bad, good and good checks, then the first bad and the first good one after it are recorded."""
    resource = a_resource(1)
    for at, exit in enumerate((0, 1, 1, 0, 0)):
        checked = outcome(HookKind.WATCH, at=NOW + at, exit=exit, last_line="no answer")
        resource = fold_resource(resource, checked, VM)
    assert lines(resource) == [("livecheck failed", "UP", "UP", "hook"), ("livecheck good again", "UP", "UP", "hook")]
    assert [event.at for event in resource.history] == [NOW + 1, NOW + 3]
    assert resource.history[0].reason == "cmd_livecheck exited 1: no answer"


def test_a_delete_records_which_ticket_loses_the_resource() -> None:
    """Given a taken resource, when its delete is asked for, then its ticket is recorded with when it was assigned."""
    ticket = an_assigned_ticket(7, 1)
    (event,) = request_delete(a_resource(1), "why", NOW, Actor.OPERATOR, ticket).history
    assert (event.ticket, event.since, event.actor, event.reason) == (7, ticket.assigned_at, "operator", "why")


def test_a_history_stays_short_and_goes_on_counting() -> None:
    """Given more transitions than are kept, then the history has the last ones, with their numbers."""
    resource = a_resource(1)
    for ticket in range(KEPT_EVENTS + 5):
        resource = release_resource(resource, a_closed_ticket(ticket, 1), False, NOW)
    assert [event.n for event in resource.history] == list(range(6, KEPT_EVENTS + 6))


def test_a_document_without_history_begins_one() -> None:
    """Given a resource of an older version, when it is released, then that is its event number 1."""
    resource = release_resource(a_resource(1), a_closed_ticket(7, 1), False, NOW)
    assert [(event.n, event.event) for event in resource.history] == [(1, "let go")]


@given(st.lists(st.tuples(st.sampled_from(ResourceEvent), st.booleans()), max_size=40))
def test_replaying_the_history_of_a_resource_gives_its_state(steps: list[tuple[ResourceEvent, bool]]) -> None:
    """Given any life, however its hooks end, then its history leads from state to state to where it is now."""
    resource = new_resource(1, VM, 0, {}, NOW)
    for event, good in steps:
        resource = _live(resource, event, good)
    state = None
    for number, event in enumerate(resource.history):
        if number:
            assert event.n == resource.history[number - 1].n + 1
            assert event.before == state
        if event.event != ResourceEvent.START_BEGAN:
            assert after_resource_event(ResourceState(event.before or ""), ResourceEvent(event.event)) == event.after
        state = event.after
    assert state == resource.state


def _live(resource: Resource, event: ResourceEvent, good: bool) -> Resource:
    """One step that is possible in the state of this resource; `event` and `good` choose which."""
    if event in (ResourceEvent.CHECK_FAILED, ResourceEvent.CHECK_GOOD):
        return fold_resource(resource, outcome(HookKind.WATCH, exit=int(event is ResourceEvent.CHECK_FAILED)), VM)
    if resource.state in DELETABLE_AFTER_RUN and event is ResourceEvent.DELETE_AFTER_RUN:
        return delete_after_run(resource, "why", NOW)
    if resource.run is not None:
        cut = {} if event is not ResourceEvent.START_CUT_OFF else {"exit": None, "cut_off": "time limit"}
        ending = {"exit": 0 if good else 1, **cut}
        return fold_resource(resource, outcome(resource.run.kind, resource.run.id, **ending), VM)
    if resource.state is ResourceState.UP:
        if event is ResourceEvent.DELETE_REQUESTED:
            return request_delete(resource, "why", NOW)
        number = resource.releases_counter + 1
        return release_resource(resource, a_closed_ticket(number, resource.id), good, NOW)
    if resource.state is ResourceState.DELETE_REQUEST:
        return begin_delete(resource, NOW)
    return resource


# Pools


def test_a_pool_records_when_its_starts_fail_and_when_they_succeed_again() -> None:
    """Given two failed starts and two good ones, then the first of each is recorded."""
    record = a_record(VM)
    for at, exit in enumerate((1, 1, 0, 0)):
        record = fold_record(record, outcome(HookKind.ALLOC, at=NOW + at, exit=exit, last_line="no quota"), 0)
    assert lines(record) == [
        ("starts fail", "starting", "paused", "hook"),
        ("starts succeed again", "paused", "starting", "hook"),
    ]
    assert record.history[0].reason == "cmd_new exited 1: no quota"


def test_a_pool_records_when_it_comes_into_the_file_changes_and_leaves() -> None:
    """Given a pool that comes, stays, changes, leaves and comes back, then all but the staying is recorded."""
    record = record_in_file(None, VM, 0, NOW)
    record = record_in_file(record, VM, 3, NOW)
    record = record_in_file(record, a_pool(max=9, cmd_new="other", delete_attempts=2), 3, NOW)
    record = record_not_in_file(record_not_in_file(record, NOW), NOW)
    record = record_in_file(record, VM, 0, NOW)
    assert [(event.event, event.reason) for event in record.history] == [
        ("configured", None),
        ("options changed", "cmd_new, max 4 → 9"),
        ("left the file", None),
        ("configured", None),
    ]
    assert {event.actor for event in record.history} == {"operator"}


# Lines


def test_the_transitions_of_a_ticket_are_read_from_its_fields() -> None:
    """Given a ticket that was assigned, failed and closed, then there is a line for each, with what it had."""
    ticket = a_ticket(7, "A", "B", resource=5, resource_name="vm_5", pool="vm", assigned_at=NOW - 50)
    ticket = close_ticket(fail_ticket(ticket, "livecheck failed", NOW - 20), NOW)
    lines = lines_of(ticket)
    assert [(line.n, line.event, line.before, line.after, line.actor, line.reason) for line in lines] == [
        (1, "taken", None, "OPEN", "client", "wants A, B"),
        (2, "assigned", "OPEN", "OPEN", "leader", None),
        (3, "failed", "OPEN", "FAILED", "leader", "livecheck failed"),
        (4, "closed", "FAILED", "CLOSED", "client", None),
    ]
    assert [(line.resource, line.name, line.pool) for line in lines] == [(None, None, None)] + [(5, "vm_5", "vm")] * 3
    assert [line.at for line in lines] == [NOW - 100, NOW - 50, NOW - 20, NOW]
    assert lines_of(ticket, beyond=2) == lines[2:]


@pytest.mark.parametrize(
    ("closing", "actor", "reason"),
    [
        ({}, "client", None),
        ({"bad": "disk full"}, "client", "disk full"),
        ({"why": "its agent has ended"}, "leader", "its agent has ended"),
    ],
)
def test_a_close_records_its_actor_and_reason(closing: dict[str, Any], actor: str, reason: str | None) -> None:
    """Given a close by the client, with a word against the resource, or by the leader, then its line says so, and the
    one of the resource that it releases, too.
    """
    ticket = close_ticket(an_assigned_ticket(7, 1), NOW, **closing)
    line = lines_of(ticket)[-1]
    assert (line.event, line.actor, line.reason) == ("closed", actor, reason)
    assert release_resource(a_resource(1, VM), ticket, False, NOW).history[-1].actor == actor


@pytest.mark.parametrize(
    "document",
    [
        a_closed_ticket(7, None),
        new_resource(5, VM, 0, {}, NOW),
        record_in_file(None, VM, 0, NOW),
        new_agent(7, "workers", {}, NOW),
        QuarantinedFile(
            place="pools/vm.json", now="quarantine/pools-vm.1", at=NOW, why="cut off", about={"pool": "vm"}
        ),
    ],
)
def test_a_line_names_its_document(document: EventSource) -> None:
    """Given any document, then each of its lines leads back to it."""
    lines = lines_of(document)
    assert lines
    assert {key_of_line(line) for line in lines} == {key_of(document)}


def test_a_line_without_a_document_belongs_to_no_history() -> None:
    """Given a line about the leader, or one that lost what it is about, then it leads to no document."""
    assert key_of_line(Event(kind="leader", at=NOW)) is None
    assert key_of_line(Event(kind="ticket", at=NOW)) is None
