"""The lives that tickets and resources can have, and that every other event raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.documents import ResourceState, TicketState
from state.errors import ImpossibleTransition
from state.lifecycle import ResourceEvent, TicketEvent, after_resource_event, after_ticket_event

LIVES = {
    "reused, then deleted": "start succeeded: UP, release began: RELEASING, release succeeded: UP, let go: UP,"
    " delete asked: DELETE_REQUEST, delete began: DELETING, delete succeeded: ENDED",
    "a start that fails": "start failed: ENDED",
    "a start that is cut off": "start cut off: DELETE_REQUEST, delete began: DELETING, delete succeeded: ENDED",
    "deleted after its start": "delete planned: STARTING, start succeeded: UP, delete asked: DELETE_REQUEST",
    "a release that fails": "start succeeded: UP, release began: RELEASING, release failed: DELETE_REQUEST",
    "a delete that is given up": "start cut off: DELETE_REQUEST, delete began: DELETING, delete failed: DELETE_REQUEST,"
    " delete began: DELETING, delete given up: ENDED",
    "checked and held": "start succeeded: UP, livecheck failed: UP, livecheck good again: UP, held: UP, hold ended: UP",
    "held while it is released": "start succeeded: UP, release began: RELEASING, held: RELEASING,"
    " livecheck failed: RELEASING, livecheck good again: RELEASING, delete planned: RELEASING,"
    " hold ended: RELEASING, held: RELEASING, release failed while held: UP",
}


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_a_resource_can_live_like_this(life: str) -> None:
    state = ResourceState.STARTING
    for step in life.split(", "):
        event, _, expected = step.partition(": ")
        state = after_resource_event(state, ResourceEvent(event))
        assert state == expected, step


def test_all_events_but_the_first_happen_in_some_life() -> None:
    happened = {step.partition(": ")[0].strip() for life in LIVES.values() for step in life.split(", ")}
    assert happened == {*ResourceEvent} - {ResourceEvent.START_BEGAN}


def test_an_impossible_event_raises_with_state_and_event() -> None:
    with pytest.raises(ImpossibleTransition, match="let go is impossible in state ENDED") as caught:
        after_resource_event(ResourceState.ENDED, ResourceEvent.RELEASED)
    assert (caught.value.state, caught.value.event) == (ResourceState.ENDED, ResourceEvent.RELEASED)


@given(st.lists(st.sampled_from(ResourceEvent), max_size=60))
def test_a_resource_ends_once_and_only_by_a_failed_start_or_a_delete(
    events: list[ResourceEvent],
) -> None:
    state = ResourceState.STARTING
    for event in events:
        before = state
        try:
            state = after_resource_event(state, event)
        except ImpossibleTransition:
            continue
        assert before is not ResourceState.ENDED
        assert event is not ResourceEvent.DELETE_REQUESTED or before is ResourceState.UP
        assert state is not ResourceState.DELETING or before is ResourceState.DELETE_REQUEST
        if state is ResourceState.ENDED:
            assert before is ResourceState.DELETING or event is ResourceEvent.START_FAILED


@given(st.lists(st.sampled_from(TicketEvent), max_size=20))
def test_a_closed_ticket_stays_closed(events: list[TicketEvent]) -> None:
    state = TicketState.OPEN
    for event in events:
        before = state
        try:
            state = after_ticket_event(state, event)
        except ImpossibleTransition:
            continue
        assert before is not TicketState.CLOSED or state is TicketState.CLOSED
