"""The tables of states: what is listed here is possible, everything else raises."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.documents import ResourceState, TicketState
from state.errors import ImpossibleTransition
from state.lifecycle import ResourceEvent, TicketEvent, after_resource_event, after_ticket_event

TICKET = """
OPEN    assigned  OPEN
OPEN    closed    CLOSED
OPEN    failed    FAILED
FAILED  closed    CLOSED
CLOSED  closed    CLOSED
"""

RESOURCE = """
STARTING        start_succeeded       UP
STARTING        start_failed          ENDED
STARTING        start_cut_off         DELETE_REQUEST
STARTING        delete_planned        STARTING
UP              let_go                UP
UP              release_began         RELEASING
UP              livecheck_failed      UP
UP              livecheck_good_again  UP
UP              held                  UP
UP              hold_ended            UP
UP              delete_asked          DELETE_REQUEST
RELEASING       release_succeeded     UP
RELEASING       release_failed        DELETE_REQUEST
RELEASING       release_failed_while_held UP
RELEASING       held                  RELEASING
RELEASING       hold_ended            RELEASING
RELEASING       livecheck_failed      RELEASING
RELEASING       livecheck_good_again  RELEASING
RELEASING       delete_planned        RELEASING
DELETE_REQUEST  delete_began          DELETING
DELETING        delete_succeeded      ENDED
DELETING        delete_failed         DELETE_REQUEST
DELETING        delete_given_up       ENDED
"""


def _table(text: str) -> dict[tuple[str, str], str]:
    rows = [line.split() for line in text.strip().splitlines()]
    return {(state, event.replace("_", " ")): after for state, event, after in rows}


@pytest.mark.parametrize(("state", "event"), [*product(TicketState, TicketEvent)])
def test_a_ticket_takes_the_listed_events_only(state: TicketState, event: TicketEvent) -> None:
    expected = _table(TICKET).get((state, event))
    if expected is not None:
        assert after_ticket_event(state, event) == expected
    else:
        with pytest.raises(ImpossibleTransition):
            after_ticket_event(state, event)


@pytest.mark.parametrize(("state", "event"), [*product(ResourceState, ResourceEvent)])
def test_a_resource_takes_the_listed_events_only(state: ResourceState, event: ResourceEvent) -> None:
    expected = _table(RESOURCE).get((state, event))
    if expected is not None:
        assert after_resource_event(state, event) == expected
    else:
        with pytest.raises(ImpossibleTransition):
            after_resource_event(state, event)


def test_what_is_impossible_is_told_with_state_and_event() -> None:
    with pytest.raises(ImpossibleTransition, match="let go is impossible in state ENDED") as caught:
        after_resource_event(ResourceState.ENDED, ResourceEvent.LET_GO)
    assert (caught.value.state, caught.value.event) == (ResourceState.ENDED, ResourceEvent.LET_GO)


@given(st.lists(st.sampled_from(ResourceEvent), max_size=60))
def test_whatever_happens_a_resource_ends_once_and_only_by_a_failed_start_or_a_delete(
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
        if state is ResourceState.ENDED:
            assert before is ResourceState.DELETING or event is ResourceEvent.START_FAILED


@given(st.lists(st.sampled_from(TicketEvent), max_size=20))
def test_whatever_happens_a_closed_ticket_stays_closed(events: list[TicketEvent]) -> None:
    state = TicketState.OPEN
    for event in events:
        before = state
        try:
            state = after_ticket_event(state, event)
        except ImpossibleTransition:
            continue
        assert before is not TicketState.CLOSED or state is TicketState.CLOSED
