"""Events: `GET /events` as lines, as JSON or as a stream, and the search in the files of events behind it."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import msgspec
from flask import Response, request
from msgspec import Meta

from functions.text import iso_millis
from functions.web import lifetime, replies, times
from functions.web.context import Context, current
from functions.web.errors import BadParameter, shown
from functions.web.offload import LimitedThreads, in_thread
from functions.web.parking import Parking
from functions.web.requests import Fields, Id, Wait, client_socket, parse_query, read_id
from state.documents import Event
from state.store import Events, Line, Piece, Position

DEFAULT_LIMIT = 100
MOST_AT_ONCE = 1000
"""Most events in one reply."""
MOST_PIECES = 256
"""Most pieces (of 256 KiB) of the files that are searched for one reply."""
HEARTBEAT = 15.0
"""Seconds without an event after which a stream sends a sign of life."""
MIN_INTERVAL = 0.1
"""Least seconds between two reads of a stream; events that happen meanwhile are sent together."""
SEARCHES_AT_ONCE = 2
STREAM = "text/event-stream"
_DAY = 86400.0

Limit = Annotated[int, Meta(ge=0, le=MOST_AT_ONCE, description=f"How many events at most ({DEFAULT_LIMIT}).")]
EventId = Annotated[str, Meta(extra_json_schema={"$ref": "#/components/schemas/EventId"})]


class EventPageQuery(Fields):
    """The query of the page `GET /events`: which events, and before which one."""

    since: Annotated[
        str | None,
        Meta(
            description="Only what happened since this time: ISO (2026-03-01T18:00), a time of the last days (14:05, "
            "Tuesday 14:05), a span (2h: since two hours ago), or Unix seconds."
        ),
    ] = None
    until: Annotated[str | None, Meta(description="Only what happened until this time.")] = None
    pool: Annotated[str | None, Meta(description="Only events of this pool and of its resources.")] = None
    resource: Annotated[str | None, Meta(description="The number or name of a resource.")] = None
    ticket: Annotated[Id | None, Meta(description="The number of a ticket.")] = None
    before: Annotated[
        EventId | None, Meta(description="`earlier` of the last reply: returns the events before it.")
    ] = None


class EventsQuery(EventPageQuery):
    """The query of `GET /events`."""

    limit: Limit = DEFAULT_LIMIT
    after: Annotated[
        EventId | None,
        Meta(description="The id of an event, or `next` of the last reply: returns what follows, the oldest first."),
    ] = None
    wait: Wait = 0.0
    # Described in openapi.yaml in words: programs that try all parameters would wait for the end of the stream.
    follow: Annotated[bool, Meta(extra={"listed": False})] = False


@dataclass(frozen=True)
class EventFilter:
    """Which events are wanted: from `since` to `until` (Unix seconds), of a pool, a resource (id or name), a ticket."""

    since: float = -math.inf
    until: float = math.inf
    pool: str | None = None
    resource: int | str | None = None
    ticket: int | None = None

    def matches(self, event: Event) -> bool:
        resource = event.name if isinstance(self.resource, str) else event.resource
        return (
            self.since <= event.at <= self.until
            and self.pool in (None, event.pool)
            and self.ticket in (None, event.ticket)
            and self.resource in (None, resource)
        )

    @property
    def needle(self) -> bytes:
        """Bytes that every matching line contains; most other lines are skipped without being parsed."""
        if self.resource is not None:
            field = b"name" if isinstance(self.resource, str) else b"resource"
            return b'"%s":%s' % (field, msgspec.json.encode(self.resource))
        if self.ticket is not None:
            return b'"ticket":%d' % self.ticket
        return b"" if self.pool is None else b'"pool":' + msgspec.json.encode(self.pool)


class EventLine(NamedTuple):
    """One event and the line of its file."""

    line: Line
    event: Event

    @property
    def id(self) -> str:
        """The position after the line, from which reading continues."""
        return str(self.line.end)

    @property
    def json(self) -> msgspec.Raw:
        """The line as it is in the file, with its id as the first field."""
        return msgspec.Raw(b'{"id":"%s",%s' % (self.id.encode(), self.line.content.strip()[1:]))


class Found(NamedTuple):
    """Events, the oldest first; later events follow from `end`, and earlier ones may be before `earlier`."""

    lines: list[EventLine]
    end: Position
    earlier: Position | None = None

    @property
    def events(self) -> list[Event]:
        return [line.event for line in self.lines]


def event_searches(context: Context) -> LimitedThreads:
    """Calls functions that search files of events, which can take half a second, a few at once; one per application."""
    return LimitedThreads(SEARCHES_AT_ONCE)


def event_waiters(context: Context) -> Parking:
    """The requests that wait for events; one per application."""
    waiters = Parking(lambda: context.store.changes("events"))
    lifetime.on_stop(waiters.wake_all)
    return waiters


def list_events() -> Response:
    """200 with the newest matching events, the oldest of them first; with `after=ID`, with those that follow it.

    With `wait=S` the request waits up to S seconds for one. With `follow=1`, or `Accept: text/event-stream`, the reply
    is a stream that does not end.
    """
    context = current()
    query = parse_query(EventsQuery)
    wanted, limit = filter_of(query, context.clock()), query.limit
    after, before = position_of("after", query.after), position_of("before", query.before)
    last = request.headers.get("Last-Event-ID")
    if last is not None:
        after = position_of("Last-Event-ID", last)
    client = client_socket()
    if query.follow or STREAM in request.headers.get("Accept", ""):
        return replies.DeferredReply(lambda: _stream(context, wanted, after, limit, client))
    if after is None:
        return _reply(
            context.shared(event_searches)(newest, context.store.events, wanted, limit, before), replies.wants_json()
        )
    json, position = replies.wants_json(), after
    return replies.DeferredReply(
        lambda: _reply(_wait_for_events(context, wanted, position, limit, query.wait, client), json)
    )


def filter_of(query: EventPageQuery, now: float) -> EventFilter:
    """Which events a query asks for; raises BadParameter."""
    resource = query.resource
    by_number = resource is not None and resource.isascii() and resource.isdigit()
    limits: dict[str, Any] = {}
    if query.since is not None:
        limits["since"] = times.read_past("since", query.since, now)
    if query.until is not None:
        limits["until"] = times.read_past("until", query.until, now)
    return EventFilter(
        pool=query.pool,
        resource=read_id(resource, "resource") if by_number and resource else resource,
        ticket=None if query.ticket is None else read_id(query.ticket, "ticket"),
        **limits,
    )


def position_of(name: str, text: str | None) -> Position | None:
    """The position that an event's id names; `name` is the parameter. Raises BadParameter."""
    if text is None:
        return None
    position = Position.parse(text)
    if position is None:
        raise BadParameter(name, f"must be the id of an event, like 2026-03-01:1234, not {shown(text)}")
    return position


def newest(files: Events, wanted: EventFilter, limit: int, before: Position | None = None) -> Found:
    """The last `limit` matching events before this position."""
    end = files.end()
    start = min(end if before is None else before, _position_after(wanted.until), end)
    first = Position.at(wanted.since)
    found: list[EventLine] = []
    for number, piece in enumerate(files.backwards(wanted.needle, start), start=1):
        for line in _matching(piece, wanted):
            if len(found) == limit:
                return Found(found[::-1], end, found[-1].line.start if found else start)
            found.append(line)
        if piece.reached < first:
            break
        if number == MOST_PIECES:
            return Found(found[::-1], end, piece.reached)
    return Found(found[::-1], end)


def following(files: Events, wanted: EventFilter, after: Position, limit: int) -> Found:
    """The first `limit` matching events after this position."""
    found: list[EventLine] = []
    for number, piece in enumerate(files.forwards(after, wanted.needle), start=1):
        for line in _matching(piece, wanted):
            found.append(line)
            if len(found) == limit:
                return Found(found, line.line.end)
        after = piece.reached
        if number == MOST_PIECES:
            break
    return Found(found, after)


def position_at(at: float) -> Position:
    """A position before all events since this time (Unix seconds)."""
    return Position.at(at)


def event_text(event: Event) -> str:
    """The event on one line: `TIME KIND ID EVENT, BEFORE → AFTER, by ACTOR, ...: REASON`, without the absent parts."""
    parts = [f"{_subject(event)} {event.event}"]
    if event.after is not None and event.before != event.after:
        parts.append(f"{event.before} → {event.after}" if event.before else event.after)
    parts.append(f"by {event.actor}")
    if event.kind == "ticket" and event.resource is not None:
        parts.append(f"resource {event.resource} {event.name}")
    if event.kind == "resource" and event.ticket is not None:
        since = f" since {iso_millis(event.since)}" if event.since is not None else ""
        parts.append(f"ticket {event.ticket}{since}")
    if event.kind == "document":
        parts += [f"ticket {event.ticket}"] * (event.ticket is not None)
        parts += [f"resource {event.resource}"] * (event.resource is not None)
    if event.kind == "agent":
        parts.append(f"group {event.group}")
    if event.pool is not None and event.kind != "pool":
        parts.append(f"pool {event.pool}")
    if event.until is not None:
        parts.append(f"until {iso_millis(event.until)}")
    words = f"{iso_millis(event.at)} {', '.join(parts)}"
    return _escape(f"{words}: {event.reason}" if event.reason else words)


def _subject(event: Event) -> str:
    match event.kind:
        case "resource":
            return f"resource {event.resource} {event.name}"
        case "ticket":
            return f"ticket {event.ticket}"
        case "pool":
            return f"pool {event.pool}"
        case "agent":
            return f"agent {event.ticket}"
        case kind:
            return kind or "?"


def _escape(text: str) -> str:
    """The text on one line, with control characters escaped: a terminal would obey them."""
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)


def _matching(piece: Piece, wanted: EventFilter) -> list[EventLine]:
    parsed = ((line, line.event()) for line in piece.lines)
    return [EventLine(line, event) for line, event in parsed if event is not None and wanted.matches(event)]


def _position_after(at: float) -> Position:
    """A position after all events up to this time, including those that the leader wrote a day late."""
    return Position.at(at + 2 * _DAY)


def _reply(found: Found, json: bool) -> Response:
    headers = {"Events-Next": str(found.end)}
    if found.earlier is not None:
        headers["Events-Earlier"] = str(found.earlier)
    if json:
        events = [line.json for line in found.lines]
        earlier = None if found.earlier is None else str(found.earlier)
        return replies.json_reply({"events": events, "next": str(found.end), "earlier": earlier}, headers=headers)
    return replies.text_reply("".join(f"{event_text(event)}\n" for event in found.events), headers=headers)


def _wait_for_events(
    context: Context, wanted: EventFilter, after: Position, limit: int, seconds: float, client: Any
) -> Found:
    """The events that follow, as soon as there is one; none after this many seconds or when this process stops."""
    files = context.store.events
    until = time.monotonic() + seconds
    call: Callable[..., Found] = context.shared(event_searches)
    with context.shared(event_waiters).park("events", client) as parked:
        while True:
            found = call(following, files, wanted, after, limit)
            left = until - time.monotonic()
            if found.lines or left <= 0 or lifetime.stopping() or parked.abandoned:
                return found
            if found.end != after:
                after = found.end
                continue
            # The end of the files is reached. Later reads are short, so they do not count as searches.
            call = in_thread
            parked.wait(left)


def _stream(context: Context, wanted: EventFilter, after: Position | None, limit: int, client: Any) -> Response:
    """Server-sent events: first the past ones that `after` or `since` ask for, then each new one."""
    files = context.store.events
    if after is not None:
        begin = Found([], after)
    elif wanted.since > -math.inf:
        begin = context.shared(event_searches)(newest, files, wanted, limit)
    else:
        begin = Found([], files.end())
    return Response(_messages(context, wanted, begin, client), content_type=STREAM, headers={"X-Accel-Buffering": "no"})


def _messages(context: Context, wanted: EventFilter, begin: Found, client: Any) -> Iterator[bytes]:
    yield b"retry: 1000\n\n" + b"".join(map(_message, begin.lines))
    after, sent_at = begin.end, time.monotonic()
    call: Callable[..., Found] = context.shared(event_searches)
    with context.shared(event_waiters).park("events", client) as parked:
        while not lifetime.stopping() and not parked.abandoned:
            found = call(following, context.store.events, wanted, after, MOST_AT_ONCE)
            at_end, after = found.end == after, found.end
            # The end of the files is reached. Later reads are short, so they do not count as searches.
            call = in_thread if at_end else call
            silent = time.monotonic() - sent_at
            if found.lines or silent >= HEARTBEAT:
                yield b"".join(map(_message, found.lines)) or b"id: %s\n\n" % str(after).encode()
                sent_at = time.monotonic()
            elif at_end:
                parked.wait(HEARTBEAT - silent)
                time.sleep(MIN_INTERVAL)


def _message(line: EventLine) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (line.id.encode(), line.json)
