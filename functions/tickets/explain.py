"""Why is my ticket waiting, or what happened to it? `GET /tickets/ID/explain`: for people as text, or as JSON."""

from typing import Annotated, Any

from flask import Response
from msgspec import Meta

from functions.text import rough_span, utc
from functions.tickets.check import read_ticket
from functions.tickets.waiting import fields_of, lines_of, wait_for_pass, wait_of
from functions.web import replies
from functions.web.context import current
from functions.web.requests import Fields, parse_query, read_id
from state.documents import Ticket, TicketState


class ExplainQuery(Fields):
    """The query of `GET /tickets/ID/explain`."""

    brief: Annotated[bool, Meta(description="In one line.")] = False


def ticket(ticket_id: str) -> Response:
    """200 with why the ticket waits, or with what happened to it; with `?brief=1` in one line."""
    context = current()
    number = read_id(ticket_id, "ticket")
    query = parse_query(ExplainQuery)
    found = read_ticket(context, number)
    if wait_for_pass(context, found):
        found = read_ticket(context, number)
    fields: dict[str, Any] = {"id": found.id, "state": found.state}
    if found.waiting:
        wait = wait_of(context, found)
        lines = lines_of(wait, found, context.clock())
        fields |= fields_of(wait)
    else:
        lines = _story(found)
        fields["summary"] = _summary(found)
    if replies.wants_json():
        return replies.json_reply({**fields, "text": lines})
    shown = [fields["summary"]] if query.brief else lines
    return replies.text_reply("".join(f"{line}\n" for line in shown))


def _story(ticket: Ticket) -> list[str]:
    """What happened to a ticket that does not wait, line by line."""
    lines = [f"Ticket {ticket.id} was taken at {utc(ticket.created_at)}, for the tags: {', '.join(ticket.tags)}"]
    if ticket.resource is None:
        lines.append("It never had a resource.")
    else:
        what = f"resource {ticket.resource} ({ticket.resource_name}) of pool {ticket.pool}"
        after = ""
        if ticket.assigned_at is not None:
            after = f", after {rough_span(ticket.assigned_at - ticket.created_at)}"
        lines.append(f"It got {what} at {_at(ticket.assigned_at)}{after}.")
    if ticket.failed_at is not None:
        lines.append(f"It failed at {utc(ticket.failed_at)}: {ticket.reason or _LOST}.")
    if ticket.closed_at is not None:
        why = f": {ticket.reason}" if ticket.reason and ticket.failed_at is None else ""
        lines.append(f"It was closed at {utc(ticket.closed_at)}{why}.")
    if ticket.bad is not None:
        lines.append(f"Its client called the resource bad: {ticket.bad}")
    return lines


def _summary(ticket: Ticket) -> str:
    """The same in one line."""
    resource = f"resource {ticket.resource} ({ticket.resource_name})"
    match ticket.state:
        case TicketState.OPEN:
            return f"has {resource} since {_at(ticket.assigned_at)}"
        case TicketState.FAILED:
            return f"failed at {_at(ticket.failed_at)}: {ticket.reason or _LOST}"
        case TicketState.CLOSED:
            had = "never had a resource" if ticket.resource is None else f"had {resource}"
            return f"closed at {_at(ticket.closed_at)}; {had}"


_LOST = "its resource no longer exists"


def _at(time: float | None) -> str:
    return "an unknown time" if time is None else utc(time)
