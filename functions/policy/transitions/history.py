"""The history of a document, and the lines of the event files that are made from it.

A resource, an agent and the record of a pool list their last transitions. A ticket makes each of its transitions at
most once, so that its fields contain them all. A file in quarantine has one event: that it was moved there.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from state.documents import Actor, Agent, Document, Event, Intent, PoolRecord, Resource, Ticket, TicketState
from state.lifecycle import PoolEvent, ResourceEvent, TicketEvent, after_resource_event

KEPT_EVENTS = 16
"""How many transitions a document lists. Earlier ones are in the event files only."""

BY_CLIENT = "its client closed it"
"""The reason of a ticket that ended as it should."""

MOVED_TO_QUARANTINE = "moved to quarantine"

Key = tuple[str, int | str]
"""What an event is about: a kind (ticket, resource, pool, agent or document) and a number or name."""


class QuarantinedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was moved from `place` to `now`, in quarantine; both are paths below the state folder.

    `about` holds the fields of an event that name what the file was.
    """

    place: str
    now: str
    at: float
    why: str | None = None
    about: dict[str, Any] = {}


EventSource = Document | QuarantinedFile
"""What events are read from."""


def closed_by(ticket: Ticket) -> Actor:
    """Which actor closed this closed ticket: its client, or the leader for a reason of its own."""
    by_client = ticket.failed_at is not None or ticket.reason in (None, BY_CLIENT)
    return Actor.CLIENT if by_client else Actor.LEADER


def resource_after(
    resource: Resource,
    event: ResourceEvent,
    at: float,
    actor: Actor,
    *,
    event_reason: str | None = None,
    holder: Ticket | None = None,
    until: float | None = None,
    **changes: Any,
) -> Resource:
    """The resource after this event, with it at the end of its history; raises ImpossibleTransition.

    `event_reason` and `until` (when a hold ends, Unix seconds) become fields of the event. `holder` is the ticket that
    has the resource, or had it until now. `changes` are other fields of the resource.
    """
    state = after_resource_event(resource.state, event)
    made = Event(
        at=at,
        n=last_number(resource.history) + 1,
        event=event,
        before=resource.state,
        after=state,
        ticket=holder.id if holder else None,
        since=holder.assigned_at if holder else None,
        until=until,
        actor=actor,
        reason=event_reason,
    )
    return resource.replace(state=state, history=with_event(resource.history, made), **changes)


def record_after(
    record: PoolRecord,
    event: PoolEvent,
    at: float,
    actor: Actor,
    before: str,
    after: str,
    event_reason: str | None = None,
    until: float | None = None,
) -> PoolRecord:
    """The record of a pool with this event at the end of its history.

    `before` and `after` are words for its state, `until` is the deadline of a drain (Unix seconds).
    """
    number = last_number(record.history) + 1
    made = Event(
        at=at, n=number, event=event, before=before, after=after, until=until, actor=actor, reason=event_reason
    )
    return record.replace(history=with_event(record.history, made))


def reason_of(intent: Intent) -> str | None:
    """By whom and for what reason an operator asked, like "alice: new image"; None if neither is known."""
    return ": ".join(word for word in (intent.by, intent.reason) if word) or None


def with_event(history: tuple[Event, ...], event: Event) -> tuple[Event, ...]:
    """The history with this event as its last one."""
    return (*history[1 - KEPT_EVENTS :], event)


def last_number(history: tuple[Event, ...]) -> int:
    """The number of the last event; 0 when there was none."""
    return history[-1].n if history else 0


def key_of(document: EventSource) -> Key | None:
    """What the events of a document are about; None for documents without events."""
    match document:
        case Ticket():
            return "ticket", document.id
        case Resource():
            return "resource", document.id
        case PoolRecord():
            return "pool", document.name
        case Agent():
            return "agent", document.id
        case QuarantinedFile():
            return "document", document.now
        case _:
            return None


def key_of_line(line: Event) -> Key | None:
    """What a line of an event file is about; None for a line that belongs to no document."""
    # An agent has the number of its ticket.
    keys: dict[str | None, int | str | None] = {
        "ticket": line.ticket,
        "resource": line.resource,
        "pool": line.pool,
        "agent": line.ticket,
        "document": line.after,
    }
    key = keys.get(line.kind)
    return None if line.kind is None or key is None else (line.kind, key)


def began_at(document: EventSource, otherwise: float) -> float:
    """When the first event of a document happened (Unix seconds); `otherwise` if it has none."""
    match document:
        case Ticket():
            return document.created_at
        case Resource() | PoolRecord() | Agent() if document.history:
            return document.history[0].at
        case QuarantinedFile():
            return document.at
        case _:
            return otherwise


def lines_of(document: EventSource, beyond: int = 0) -> list[Event]:
    """The events of a document with a number above `beyond`, as lines for the event files."""
    match document:
        case Ticket():
            return [line for line in _of_ticket(document) if line.n > beyond]
        case Resource():
            about = {"kind": "resource", "pool": document.pool, "resource": document.id, "name": document.name}
        case PoolRecord():
            about = {"kind": "pool", "pool": document.name}
        case Agent():
            about = {"kind": "agent", "ticket": document.id, "group": document.group}
        case QuarantinedFile():
            return [] if beyond else [_of_moved(document)]
        case _:
            return []
    return [msgspec.structs.replace(event, **about) for event in document.history if event.n > beyond]


def _of_ticket(ticket: Ticket) -> Iterator[Event]:
    opened, closed, failed = TicketState.OPEN, TicketState.CLOSED, TicketState.FAILED
    mine: dict[str, Any] = {"kind": "ticket", "ticket": ticket.id}
    wanted = f"wants {', '.join(ticket.tags)}" if ticket.tags else "wants any resource"
    at, event, actor = ticket.created_at, TicketEvent.TAKE, Actor.CLIENT
    yield Event(at=at, n=1, event=event, after=opened, actor=actor, reason=wanted, **mine)
    mine |= {"pool": ticket.pool, "resource": ticket.resource, "name": ticket.resource_name}
    if ticket.assigned_at is not None:
        at, event = ticket.assigned_at, TicketEvent.ASSIGN
        yield Event(at=at, n=2, event=event, before=opened, after=opened, actor=Actor.LEADER, **mine)
    mine |= {"since": ticket.assigned_at, "before": opened}
    if ticket.failed_at is not None:
        at, event, why = ticket.failed_at, TicketEvent.FAIL, ticket.reason
        yield Event(at=at, n=3, event=event, after=failed, actor=Actor.LEADER, reason=why, **mine)
        mine |= {"before": failed}
    if ticket.closed_at is not None:
        at, event, actor = ticket.closed_at, TicketEvent.CLOSE, closed_by(ticket)
        why = ticket.reason if actor is Actor.LEADER else ticket.bad
        yield Event(at=at, n=4, event=event, after=closed, actor=actor, reason=why, **mine)


def _of_moved(moved: QuarantinedFile) -> Event:
    return Event(
        at=moved.at,
        kind="document",
        n=1,
        event=MOVED_TO_QUARANTINE,
        before=moved.place,
        after=moved.now,
        actor=Actor.LEADER,
        reason=moved.why,
        **moved.about,
    )
