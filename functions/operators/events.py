"""What happened: `GET /events`, as lines, as JSON, or as a stream. Reads the files of events."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import Response, request

from functions.operators import times
from functions.operators.event_search import MOST_AT_ONCE, Found, Told, Wanted, following, newest
from functions.operators.event_text import line
from functions.web import lifetime
from functions.web import replies as http
from functions.web.context import Context, current
from functions.web.errors import BadParameter, shown
from functions.web.offload import in_thread
from functions.web.requests import Query, read_id
from state.files.events import Place

DEFAULT_LIMIT = 100
LONGEST_WAIT = 60
STREAM = "text/event-stream"
Call = Callable[..., Found]
"""Calls a function in a native thread."""
HEARTBEAT = 15.0
"""Seconds of silence after which a stream tells that it still lives."""
PACE = 0.1
"""Least seconds between two looks of a stream: what happens meanwhile is sent together."""


def every() -> Response:
    """200 with the newest events that fit, the oldest of them first; with `after=ID` with those that follow it.

    With `wait=S` it waits up to S seconds for one to come. With `follow=1`, or where a stream is asked for, it never
    ends.
    """
    context = current()
    query = Query()
    wanted = read_wanted(query, context.clock())
    limit = query.whole("limit", DEFAULT_LIMIT, MOST_AT_ONCE)
    after, before = read_place(query, "after"), read_place(query, "before")
    seconds = query.seconds("wait", 0, LONGEST_WAIT)
    follow = query.flag("follow") or STREAM in request.headers.get("Accept", "")
    query.finish()
    last = request.headers.get("Last-Event-ID")
    if last is not None:
        after = _place("Last-Event-ID", last)
    client = request.environ.get("gunicorn.socket")
    if follow:
        return http.Later(lambda: _stream(context, wanted, after, limit, client))
    if after is None:
        return _reply(context.search(newest, context.store.events, wanted, limit, before), http.wants_json())
    json, place = http.wants_json(), after
    return http.Later(lambda: _reply(_until_some(context, wanted, place, limit, seconds, client), json))


def read_wanted(query: Query, now: float) -> Wanted:
    """Which events a query asks for; raises BadParameter."""
    since, until, resource, ticket = (query.string(name) for name in ("since", "until", "resource", "ticket"))
    by_number = resource is not None and resource.isascii() and resource.isdigit()
    limits: dict[str, Any] = {}
    if since is not None:
        limits["since"] = times.read_past("since", since, now)
    if until is not None:
        limits["until"] = times.read_past("until", until, now)
    return Wanted(
        pool=query.string("pool"),
        resource=read_id(resource, "resource") if by_number and resource else resource,
        ticket=None if ticket is None else read_id(ticket, "ticket"),
        **limits,
    )


def read_place(query: Query, name: str) -> Place | None:
    """The place that this parameter names; raises BadParameter."""
    text = query.string(name)
    return None if text is None else _place(name, text)


def _place(name: str, text: str) -> Place:
    place = Place.parse(text)
    if place is None:
        raise BadParameter(name, f"must be the id of an event, like 2026-03-01:1234, not {shown(text)}")
    return place


def _reply(found: Found, json: bool) -> Response:
    headers = {"Events-Next": str(found.end)}
    if found.earlier is not None:
        headers["Events-Earlier"] = str(found.earlier)
    if json:
        events = [told.json for told in found.events]
        earlier = None if found.earlier is None else str(found.earlier)
        return http.json_reply({"events": events, "next": str(found.end), "earlier": earlier}, headers=headers)
    return http.text_reply("".join(f"{line(told.event)}\n" for told in found.events), headers=headers)


def _until_some(context: Context, wanted: Wanted, after: Place, limit: int, seconds: float, client: Any) -> Found:
    """What follows, as soon as there is something; nothing after so many seconds, or when this process stops."""
    files = context.store.events
    until = time.monotonic() + seconds
    look: Call = context.search
    with context.audience.spot("events", client) as spot:
        while True:
            found = look(following, files, wanted, after, limit)
            left = until - time.monotonic()
            if found.events or left <= 0 or lifetime.stopping() or spot.abandoned:
                return found
            if found.end != after:
                after = found.end
                continue
            # All that there was is read; from now on what is new is little.
            look = in_thread
            spot.wait(left)


def _stream(context: Context, wanted: Wanted, after: Place | None, limit: int, client: Any) -> Response:
    """Server-sent events: with `since` first what was, then what comes; after a lost connection what was missed."""
    files = context.store.events
    if after is not None:
        begin = Found([], after)
    elif wanted.since > float("-inf"):
        begin = context.search(newest, files, wanted, limit)
    else:
        begin = Found([], files.end())
    return Response(_sent(context, wanted, begin, client), content_type=STREAM, headers={"X-Accel-Buffering": "no"})


def _sent(context: Context, wanted: Wanted, begin: Found, client: Any) -> Iterator[bytes]:
    yield b"retry: 1000\n\n" + b"".join(map(_message, begin.events))
    after, told_at = begin.end, time.monotonic()
    look: Call = context.search
    with context.audience.spot("events", client) as spot:
        while not lifetime.stopping() and not spot.abandoned:
            found = look(following, context.store.events, wanted, after, MOST_AT_ONCE)
            all_read, after = found.end == after, found.end
            # From then on what is new is little.
            look = in_thread if all_read else look
            silent = time.monotonic() - told_at
            if found.events or silent >= HEARTBEAT:
                yield b"".join(map(_message, found.events)) or b"id: %s\n\n" % str(after).encode()
                told_at = time.monotonic()
            elif all_read:
                spot.wait(HEARTBEAT - silent)
                time.sleep(PACE)


def _message(told: Told) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (told.id.encode(), told.json)
