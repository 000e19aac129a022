"""Check a ticket: `GET /tickets/ID` and `GET /tickets/ID/output`. Reads its document and the leader's view."""

import base64
from typing import Annotated, Any

from flask import Response
from msgspec import Meta

from functions.tickets.waiting import fields_of, wait_of
from functions.web import replies
from functions.web.context import Context, current
from functions.web.errors import StillWaiting, TicketOver
from functions.web.requests import Fields, NoFields, parse_query, read_id
from state.documents import Ticket, TicketState
from state.store import Read

Closed = Annotated[
    bool, Meta(description="With 1, also the output of a ticket that is closed or failed, if it ever had a resource.")
]


class OutputQuery(Fields):
    """The query of `GET /tickets/ID/output`."""

    closed: Closed = False


def ticket(ticket_id: str) -> Response:
    """200 with the ticket as JSON."""
    context = current()
    number = read_id(ticket_id, "ticket")
    parse_query(NoFields)
    found = read_ticket(context, number)
    fields = described(found)
    if found.waiting:
        fields |= fields_of(wait_of(context, found))
    return replies.json_reply(fields)


def output(ticket_id: str) -> Response:
    """200 with the bytes that `cmd_new` printed, 409 while the ticket waits, 410 when it is closed or failed."""
    context = current()
    number = read_id(ticket_id, "ticket")
    query = parse_query(OutputQuery)
    found = read_ticket(context, number)
    if found.waiting:
        raise StillWaiting(found, wait_of(context, found).summary)
    return output_reply(found, query.closed)


def read_ticket(context: Context, number: int) -> Ticket:
    """The ticket, durable unless it still waits. Raises NotFound.

    A reply with a grant or an end is a promise, so what another process wrote a moment ago is synced first.
    """
    ticket, durable = context.store.tickets.read_with_durability(number)
    return ticket if ticket.waiting or durable else context.ticket_call(Read(number))


def output_reply(ticket: Ticket, closed: bool) -> Response:
    """The output of a ticket that does not wait; raises TicketOver if it is closed or failed, unless `closed`."""
    if ticket.state is not TicketState.OPEN and not (closed and ticket.resource is not None):
        raise TicketOver(ticket)
    return replies.bytes_reply(ticket.output or b"", {"Ticket-State": ticket.state.value})


def described(ticket: Ticket) -> dict[str, Any]:
    """The fields of a ticket in JSON."""
    return {
        "id": ticket.id,
        "state": ticket.state,
        "tags": ticket.tags,
        "sandbox": ticket.sandbox,
        "created_at": ticket.created_at,
        "resource": ticket.resource,
        "resource_name": ticket.resource_name,
        "pool": ticket.pool,
        "assigned_at": ticket.assigned_at,
        "closed_at": ticket.closed_at,
        "failed_at": ticket.failed_at,
        "reason": ticket.reason,
        "bad": ticket.bad,
        **output_fields(ticket.output, "output"),
    }


def output_fields(content: bytes | None, name: str) -> dict[str, str | None]:
    """Bytes for JSON: as text (null if they are not UTF-8) and as base64."""
    if content is None:
        return {name: None, f"{name}_base64": None}
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = None
    return {name: text, f"{name}_base64": base64.b64encode(content).decode()}
