"""The state machines of tickets, resources and agents: one table each; any other event raises ImpossibleTransition.

The words of the events are also in the histories of documents and in the log of events.
"""

from enum import StrEnum

from state.documents import AgentState, ResourceState, TicketState
from state.errors import ImpossibleTransition


class TicketEvent(StrEnum):
    """Events of a ticket."""

    TAKE = "taken"
    """Its first event, from no state."""
    ASSIGN = "assigned"
    FAIL = "failed"
    CLOSE = "closed"


class ResourceEvent(StrEnum):
    """Events of a resource."""

    START_BEGAN = "start began"
    """Its first event, from no state."""
    START_SUCCEEDED = "start succeeded"
    START_FAILED = "start failed"
    START_CUT_OFF = "start cut off"
    RELEASED = "let go"
    RELEASE_BEGAN = "release began"
    RELEASE_SUCCEEDED = "release succeeded"
    RELEASE_FAILED = "release failed"
    CHECK_FAILED = "livecheck failed"
    """The first failure in a row."""
    CHECK_GOOD = "livecheck good again"
    HELD = "held"
    """An operator holds it until a deadline."""
    HOLD_ENDED = "hold ended"
    RELEASE_FAILED_HELD = "release failed while held"
    """It will be deleted when its hold ends."""
    DELETE_AFTER_RUN = "delete planned"
    """Requested while a hook runs; it will be deleted when that has ended."""
    DELETE_REQUESTED = "delete asked"
    DELETE_BEGAN = "delete began"
    DELETE_SUCCEEDED = "delete succeeded"
    DELETE_FAILED = "delete failed"
    DELETE_GIVEN_UP = "delete given up"


class PoolEvent(StrEnum):
    """Events of a pool. They are words only: its record says what a pool may do."""

    CONFIGURED = "configured"
    """It is in pools.yaml, for the first time or again."""
    CHANGED = "options changed"
    LEFT = "left the file"
    STARTS_FAIL = "starts fail"
    """It pauses, longer after each failure."""
    STARTS_SUCCEED = "starts succeed again"
    RETRIED = "tries again"
    """An operator ended its pause after failed starts."""
    MODE_CHANGED = "mode changed"
    """An operator paused, drained or resumed it."""
    DRAINED = "drained"
    """Its last resource was deleted."""


class AgentEvent(StrEnum):
    """Events of an agent."""

    MADE = "made"
    """Its first event, from no state."""
    RESOURCE_CAME = "resource came"
    PREPARED = "prepared"
    PREPARE_FAILED = "prepare failed"
    FINISHED = "finished"
    RELEASED = "released"
    TICKET_OVER = "ticket over"
    GROUP_LEFT = "group left"
    TERMINATED = "terminated"


_TICKET = {
    (TicketState.OPEN, TicketEvent.ASSIGN): TicketState.OPEN,
    (TicketState.OPEN, TicketEvent.CLOSE): TicketState.CLOSED,
    (TicketState.OPEN, TicketEvent.FAIL): TicketState.FAILED,
    (TicketState.FAILED, TicketEvent.CLOSE): TicketState.CLOSED,
    (TicketState.CLOSED, TicketEvent.CLOSE): TicketState.CLOSED,
}

_S, _E = ResourceState, ResourceEvent
_RESOURCE = {
    (_S.STARTING, _E.START_SUCCEEDED): _S.UP,
    (_S.STARTING, _E.START_FAILED): _S.ENDED,
    (_S.STARTING, _E.START_CUT_OFF): _S.DELETE_REQUEST,
    (_S.STARTING, _E.DELETE_AFTER_RUN): _S.STARTING,
    (_S.UP, _E.RELEASED): _S.UP,
    (_S.UP, _E.RELEASE_BEGAN): _S.RELEASING,
    (_S.UP, _E.CHECK_FAILED): _S.UP,
    (_S.UP, _E.CHECK_GOOD): _S.UP,
    (_S.UP, _E.HELD): _S.UP,
    (_S.UP, _E.HOLD_ENDED): _S.UP,
    (_S.UP, _E.DELETE_REQUESTED): _S.DELETE_REQUEST,
    (_S.RELEASING, _E.RELEASE_SUCCEEDED): _S.UP,
    (_S.RELEASING, _E.RELEASE_FAILED): _S.DELETE_REQUEST,
    (_S.RELEASING, _E.RELEASE_FAILED_HELD): _S.UP,
    (_S.RELEASING, _E.HELD): _S.RELEASING,
    (_S.RELEASING, _E.HOLD_ENDED): _S.RELEASING,
    (_S.RELEASING, _E.CHECK_FAILED): _S.RELEASING,
    (_S.RELEASING, _E.CHECK_GOOD): _S.RELEASING,
    (_S.RELEASING, _E.DELETE_AFTER_RUN): _S.RELEASING,
    (_S.DELETE_REQUEST, _E.DELETE_BEGAN): _S.DELETING,
    (_S.DELETING, _E.DELETE_SUCCEEDED): _S.ENDED,
    (_S.DELETING, _E.DELETE_FAILED): _S.DELETE_REQUEST,
    (_S.DELETING, _E.DELETE_GIVEN_UP): _S.ENDED,
}

_A, _F = AgentState, AgentEvent
_AGENT = {
    (_A.NEW, _F.RESOURCE_CAME): _A.PREPARING,
    (_A.NEW, _F.TICKET_OVER): _A.ENDED,
    (_A.NEW, _F.GROUP_LEFT): _A.ENDED,
    (_A.PREPARING, _F.PREPARED): _A.WORKING,
    (_A.PREPARING, _F.PREPARE_FAILED): _A.ENDED,
    (_A.WORKING, _F.FINISHED): _A.TERMINATING,
    (_A.WORKING, _F.RELEASED): _A.TERMINATING,
    (_A.WORKING, _F.TICKET_OVER): _A.TERMINATING,
    (_A.TERMINATING, _F.TERMINATED): _A.ENDED,
}


def after_ticket_event(state: TicketState, event: TicketEvent) -> TicketState:
    """The state of a ticket after `event`; raises ImpossibleTransition."""
    try:
        return _TICKET[state, event]
    except KeyError:
        raise ImpossibleTransition(state, event) from None


def after_resource_event(state: ResourceState, event: ResourceEvent) -> ResourceState:
    """The state of a resource after `event`; raises ImpossibleTransition."""
    try:
        return _RESOURCE[state, event]
    except KeyError:
        raise ImpossibleTransition(state, event) from None


def after_agent_event(state: AgentState, event: AgentEvent) -> AgentState:
    """The state of an agent after `event`; raises ImpossibleTransition."""
    try:
        return _AGENT[state, event]
    except KeyError:
        raise ImpossibleTransition(state, event) from None
