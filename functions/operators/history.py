"""The history of one resource and which tickets had it when: `GET /resources/ID|NAME/history`.

Reads the resource's document, the read model, and, for what the document no longer contains, the files of events.
"""

import math
import time
from typing import Annotated, Any, NamedTuple

import msgspec
from flask import Response
from msgspec import Meta

from functions.operators.events import (
    DEFAULT_LIMIT,
    MOST_AT_ONCE,
    EventFilter,
    Limit,
    event_searches,
    event_text,
    following,
    newest,
    position_at,
)
from functions.operators.read_model import find_resource, read_model
from functions.policy.transitions.history import lines_of
from functions.text import iso_millis
from functions.web import replies, times
from functions.web.context import Context, current
from functions.web.requests import Fields, parse_query
from state.documents import Actor, Event, ResourceState, TicketState
from state.errors import NotFound
from state.lifecycle import TicketEvent
from state.store import Events

LONGEST_SEARCH = 5.0
"""Seconds for which the files of events are searched, at most."""


class HistoryQuery(Fields):
    """The query of `GET /resources/ID|NAME/history`."""

    limit: Limit = DEFAULT_LIMIT
    at: Annotated[str | None, Meta(description="A time in the past, as for `since` of the events.")] = None


class Holding(msgspec.Struct, frozen=True):
    """A ticket had the resource from `since` until `until` (Unix seconds; None: it still has it)."""

    ticket: int
    since: float
    until: float | None


class ResourceHistory(NamedTuple):
    """A resource with its last events, the oldest first, and the tickets that had it during them.

    `deleted` says whether its document no longer exists.
    """

    id: int
    name: str
    pool: str | None
    state: str | None
    events: list[Event]
    holdings: list[Holding]
    deleted: bool = False

    @property
    def about(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "pool": self.pool, "state": self.state}


def show_history(id_or_name: str) -> Response:
    """200 with the resource's last events and the tickets that had it; with `at=TIME`, the ticket that had it then."""
    context = current()
    query = parse_query(HistoryQuery)
    at = None if query.at is None else times.read_past("at", query.at, context.clock())
    if at is not None:
        return _holder_reply(at, *context.shared(event_searches)(_find_holder, context, id_or_name, at))
    history = context.shared(event_searches)(read_history, context, id_or_name, query.limit)
    if replies.wants_json():
        return replies.json_reply({**history.about, "events": history.events, "holders": history.holdings})
    return replies.text_reply("".join(f"{event_text(event)}\n" for event in history.events))


def read_history(context: Context, id_or_name: str, limit: int, at: float | None = None) -> ResourceHistory:
    """The last `limit` events of a resource; when its document no longer exists, those up to `at`. Raises NotFound."""
    files = context.store.events
    try:
        resource = find_resource(context.store, id_or_name)
    except NotFound:
        return _history_from_files(context, id_or_name, limit, at)
    events = lines_of(resource)
    if len(events) < limit and (not events or events[0].n > 1):
        until, first = (events[0].at, events[0].n) if events else (resource.ended_at or context.clock(), 1)
        older = newest(files, EventFilter(resource=resource.id, until=until), limit).events
        events = [event for event in older if event.kind == "resource" and event.n < first] + events
    ticket = None if resource.state is ResourceState.ENDED else read_model(context).holder(resource)
    holdings = holdings_of(events)
    if ticket is not None and ticket.assigned_at is not None:
        holdings.append(Holding(ticket.id, ticket.assigned_at, None))
    about = {"pool": resource.pool, "resource": resource.id, "name": resource.name}
    assignments = [_assignment(holding, about) for holding in holdings]
    events = sorted([*events, *assignments], key=lambda event: event.at)[-limit:] if limit else []
    return ResourceHistory(resource.id, resource.name, resource.pool, resource.state, events, holdings)


def holdings_of(events: list[Event]) -> list[Holding]:
    """The tickets that had the resource and gave it up, from the events of the resource."""
    return [
        Holding(event.ticket, event.since, event.at)
        for event in events
        if event.kind == "resource" and event.ticket is not None and event.since is not None
    ]


def _assignment(holding: Holding, about: dict[str, Any]) -> Event:
    """The event of the ticket at the begin of a holding, as it is in the ticket's document."""
    opened, event = TicketState.OPEN, TicketEvent.ASSIGN
    kind: dict[str, Any] = {"kind": "ticket", "ticket": holding.ticket, **about}
    return Event(at=holding.since, n=2, event=event, before=opened, after=opened, actor=Actor.LEADER, **kind)


def _history_from_files(context: Context, id_or_name: str, limit: int, at: float | None) -> ResourceHistory:
    number = int(id_or_name) if id_or_name.isascii() and id_or_name.isdigit() else None
    resource = id_or_name if number is None else number
    files = context.store.events
    # Backwards from `at`: that is near the wanted events, which may be far from the end of the files.
    events = _last_events(files, EventFilter(resource=resource, until=math.inf if at is None else at), limit)
    if not events and at is not None:
        events = _last_events(files, EventFilter(resource=resource), limit)
    last = events[-1] if events else None
    if last is None or last.resource is None:
        raise NotFound("resource", id_or_name)
    state = next((event.after for event in reversed(events) if event.kind == "resource"), None)
    holdings = holdings_of(events)
    return ResourceHistory(last.resource, last.name or "", last.pool, state, events[:limit], holdings, deleted=True)


def _last_events(files: Events, wanted: EventFilter, limit: int) -> list[Event]:
    """The last events of a resource and its tickets, as far as they are found within `LONGEST_SEARCH`."""
    found, deadline = newest(files, wanted, limit or 1), time.monotonic() + LONGEST_SEARCH
    while not found.lines and found.earlier is not None and time.monotonic() < deadline:
        found = newest(files, wanted, limit or 1, found.earlier)
    return [event for event in found.events if event.kind in ("resource", "ticket")]


def _next_ended_holdings(files: Events, resource: int, at: float) -> list[Holding]:
    """The holdings that ended first after this time, as far as they are found within `LONGEST_SEARCH`."""
    wanted, place, deadline = (
        EventFilter(since=at, resource=resource),
        position_at(at),
        time.monotonic() + LONGEST_SEARCH,
    )
    while True:
        found = following(files, wanted, place, MOST_AT_ONCE)
        holdings = holdings_of(found.events)
        if holdings or found.end == place or time.monotonic() >= deadline:
            return holdings
        place = found.end


def _find_holder(context: Context, id_or_name: str, at: float) -> tuple[ResourceHistory, Holding | None]:
    """The history of the resource, and the ticket that had it at this time."""
    history = read_history(context, id_or_name, MOST_AT_ONCE, at)
    holdings = history.holdings
    if history.deleted or not history.events or history.events[0].at > at:
        holdings = _next_ended_holdings(context.store.events, history.id, at) or holdings
    having = (holding for holding in holdings if holding.since <= at and (holding.until is None or at < holding.until))
    return history, next(having, None)


def _holder_reply(at: float, history: ResourceHistory, holding: Holding | None) -> Response:
    before = [event for event in history.events if event.kind == "resource" and event.at <= at]
    state = before[-1].after if before else None
    if replies.wants_json():
        return replies.json_reply({**history.about, "at": at, "state_then": state, "holder": holding})
    resource = f"resource {history.id} {history.name}"
    if holding is None:
        known = f"; it was {state}" if state else ""
        return replies.text_reply(f"no ticket had {resource} at {iso_millis(at)}{known}\n")
    until = "and still has it" if holding.until is None else f"until {iso_millis(holding.until)}"
    return replies.text_reply(f"ticket {holding.ticket} had {resource} from {iso_millis(holding.since)} {until}\n")
