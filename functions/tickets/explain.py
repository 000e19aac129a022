"""Why is my ticket waiting? `GET /tickets/ID/explain`: for people as text, for programs as JSON."""

from typing import Any

from flask import Response

from functions.tickets import words
from functions.tickets.check import read_promised
from functions.tickets.waiting import fields_of, lines_of, wait_of
from functions.web import replies as http
from functions.web.context import current
from functions.web.requests import Query, read_id


def ticket(ticket_id: str) -> Response:
    """200 with why the ticket waits, or with what happened to it; with `?brief=1` in one line."""
    context = current()
    number = read_id(ticket_id, "ticket")
    query = Query()
    brief = query.flag("brief")
    query.finish()
    found = read_promised(context, number)
    fields: dict[str, Any] = {"id": found.id, "state": found.state}
    if found.waiting:
        wait = wait_of(context, found)
        lines = lines_of(wait, found, context.clock())
        fields |= fields_of(wait)
    else:
        lines = words.story(found)
        fields["summary"] = words.brief_story(found)
    if http.wants_json():
        return http.json_reply({**fields, "text": lines})
    told = [fields["summary"]] if brief else lines
    return http.text_reply("".join(f"{line}\n" for line in told))
