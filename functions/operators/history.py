"""What became of one resource, and who had it when: `GET /resources/ID|NAME/history`.

Reads its document, the tickets, and the files of events for what its document does not tell any more.
"""

import math
import time
from typing import Any, NamedTuple

import msgspec
from flask import Response

from functions.operators import times
from functions.operators.event_search import MOST_AT_ONCE, Wanted, first_place, following, newest
from functions.operators.event_text import line
from functions.operators.living import find
from functions.policy.transitions.history import lines_of
from functions.text import iso_millis
from functions.web import replies as http
from functions.web.context import Context, current
from functions.web.requests import Query
from state.documents import Actor, Event, ResourceState, TicketState
from state.errors import NotFound
from state.files.events import EventFiles
from state.lifecycle import TicketEvent

DEFAULT_LIMIT = 100
PATIENCE = 5.0
"""Seconds for which the files are looked through, at most."""


class Holding(msgspec.Struct, frozen=True):
    """A ticket had the resource from `since` until `until` (Unix seconds; None: it has it still)."""

    ticket: int
    since: float
    until: float | None


class Story(NamedTuple):
    """A resource, its last events, the oldest first, and the tickets that had it meanwhile."""

    id: int
    name: str
    pool: str | None
    state: str | None
    events: list[Event]
    holdings: list[Holding]
    gone: bool = False
    """Whether its document was removed."""

    @property
    def about(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "pool": self.pool, "state": self.state}


def of_resource(id_or_name: str) -> Response:
    """200 with the last events of the resource and which tickets had it when; with `at=TIME`, which one had it then."""
    context = current()
    query = Query()
    limit = query.whole("limit", DEFAULT_LIMIT, MOST_AT_ONCE)
    asked = query.string("at")
    at = None if asked is None else times.read_past("at", asked, context.clock())
    query.finish()
    if at is not None:
        return _reply_for(at, *context.search(_look_at, context, id_or_name, at))
    story = context.search(tell, context, id_or_name, limit)
    if http.wants_json():
        return http.json_reply({**story.about, "events": story.events, "holders": story.holdings})
    return http.text_reply("".join(f"{line(event)}\n" for event in story.events))


def tell(context: Context, id_or_name: str, limit: int, at: float | None = None) -> Story:
    """The story of a resource, also of one whose document was removed already, then up to `at`; raises NotFound."""
    files = context.store.events
    try:
        resource = find(context.store, id_or_name)
    except NotFound:
        return _tell_by_lines(context, id_or_name, limit, at)
    events = lines_of(resource)
    if len(events) < limit and (not events or events[0].n > 1):
        until, first = (events[0].at, events[0].n) if events else (resource.ended_at or context.clock(), 1)
        older = newest(files, Wanted(resource=resource.id, until=until), limit).events
        events = [told.event for told in older if told.event.kind == "resource" and told.event.n < first] + events
    ticket = None if resource.state is ResourceState.ENDED else context.looking.look().holder(resource)
    holdings = holdings_of(events)
    if ticket is not None and ticket.assigned_at is not None:
        holdings.append(Holding(ticket.id, ticket.assigned_at, None))
    about = {"pool": resource.pool, "resource": resource.id, "name": resource.name}
    grants = [_grant(holding, about) for holding in holdings]
    events = sorted([*events, *grants], key=lambda event: event.at)[-limit:] if limit else []
    return Story(resource.id, resource.name, resource.pool, resource.state, events, holdings)


def holdings_of(events: list[Event]) -> list[Holding]:
    """Which tickets had the resource whose events these are, and lost it again."""
    return [
        Holding(event.ticket, event.since, event.at)
        for event in events
        if event.kind == "resource" and event.ticket is not None and event.since is not None
    ]


def _grant(holding: Holding, about: dict[str, Any]) -> Event:
    """The event of the ticket, which stands in the ticket's document."""
    opened, event = TicketState.OPEN, TicketEvent.ASSIGN
    kind: dict[str, Any] = {"kind": "ticket", "ticket": holding.ticket, **about}
    return Event(at=holding.since, n=2, event=event, before=opened, after=opened, actor=Actor.LEADER, **kind)


def _tell_by_lines(context: Context, id_or_name: str, limit: int, at: float | None) -> Story:
    number = int(id_or_name) if id_or_name.isascii() and id_or_name.isdigit() else None
    resource = id_or_name if number is None else number
    # From that time back: that is near to what is asked for, which may lie far back in the files.
    events = _last_lines(context.store.events, Wanted(resource=resource, until=math.inf if at is None else at), limit)
    if not events and at is not None:
        events = _last_lines(context.store.events, Wanted(resource=resource), limit)
    last = events[-1] if events else None
    if last is None or last.resource is None:
        raise NotFound("resource", id_or_name)
    state = next((event.after for event in reversed(events) if event.kind == "resource"), None)
    return Story(last.resource, last.name or "", last.pool, state, events[:limit], holdings_of(events), gone=True)


def _last_lines(files: EventFiles, wanted: Wanted, limit: int) -> list[Event]:
    """The last events of a resource and its tickets; those that lie far back are looked for so long and no longer."""
    found, give_up = newest(files, wanted, limit or 1), time.monotonic() + PATIENCE
    while not found.events and found.earlier is not None and time.monotonic() < give_up:
        found = newest(files, wanted, limit or 1, found.earlier)
    return [told.event for told in found.events if told.event.kind in ("resource", "ticket")]


def _lost_later(files: EventFiles, resource: int, at: float) -> list[Holding]:
    """Which tickets lost the resource first after that time; the lines of that day tell, or of a later one."""
    wanted, place, give_up = Wanted(since=at, resource=resource), first_place(at), time.monotonic() + PATIENCE
    while True:
        found = following(files, wanted, place, MOST_AT_ONCE)
        holdings = holdings_of([told.event for told in found.events])
        if holdings or found.end == place or time.monotonic() >= give_up:
            return holdings
        place = found.end


def _look_at(context: Context, id_or_name: str, at: float) -> tuple[Story, Holding | None]:
    """The story of the resource, and who had it at this time."""
    story = tell(context, id_or_name, MOST_AT_ONCE, at)
    holdings = story.holdings
    if story.gone or not story.events or story.events[0].at > at:
        holdings = _lost_later(context.store.events, story.id, at) or holdings
    having = (holding for holding in holdings if holding.since <= at and (holding.until is None or at < holding.until))
    return story, next(having, None)


def _reply_for(at: float, story: Story, holding: Holding | None) -> Response:
    then = [event for event in story.events if event.kind == "resource" and event.at <= at]
    state = then[-1].after if then else None
    if http.wants_json():
        return http.json_reply({**story.about, "at": at, "state_then": state, "holder": holding})
    what = f"resource {story.id} {story.name}"
    if holding is None:
        known = f"; it was {state}" if state else ""
        return http.text_reply(f"no ticket had {what} at {iso_millis(at)}{known}\n")
    until = "and has it still" if holding.until is None else f"until {iso_millis(holding.until)}"
    return http.text_reply(f"ticket {holding.ticket} had {what} from {iso_millis(holding.since)} {until}\n")
