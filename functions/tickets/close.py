"""Close a ticket: `DELETE /tickets/ID` and `POST /tickets/ID/close`. Replaces its document; the scheduler then releases
the resource, or deletes it if the client called it bad.
"""

from typing import Annotated

from flask import Response
from msgspec import Meta

from functions.policy.transitions.ticket import close_ticket
from functions.tickets.validation import fault_of_reason, one_line
from functions.web import replies
from functions.web.context import Context, current
from functions.web.errors import BadField, BadParameter
from functions.web.requests import Fields, NoFields, parse_body, parse_query, read_id
from state.documents import Ticket
from state.store import Change

Bad = Annotated[
    str,
    Meta(
        extra_json_schema={"minLength": 1, "maxLength": 255},
        description="Why the resource is bad: it is deleted then, not used again, and counted in its pool.",
    ),
]


class Closing(Fields):
    """The query of `DELETE /tickets/ID` and the body of `POST /tickets/ID/close`."""

    bad: Bad | None = None


def ticket(ticket_id: str) -> Response:
    """200, also when it is closed already. With `?bad=REASON` its resource is deleted, not used again."""
    number = read_id(ticket_id, "ticket")
    return _reply(number, _reason(parse_query(Closing), BadParameter))


def by_post(ticket_id: str) -> Response:
    """The same, with `bad` as a field of the body."""
    number = read_id(ticket_id, "ticket")
    parse_query(NoFields)
    return _reply(number, _reason(parse_body(Closing), BadField))


def close(context: Context, number: int, bad: str | None = None) -> Ticket:
    """The closed ticket, durable; a ticket that is closed already is not changed. Raises NotFound."""
    return context.ticket_call(Change(number, lambda found: close_ticket(found, context.clock(), bad=bad)))


def _reason(given: Closing, error: type[BadParameter] | type[BadField]) -> str | None:
    reason = None if given.bad is None else one_line(given.bad)
    if reason is not None and (fault := fault_of_reason(reason)):
        raise error("bad", fault)
    return reason


def _reply(number: int, bad: str | None) -> Response:
    closed = close(current(), number, bad)
    if replies.wants_json():
        return replies.json_reply({"id": closed.id, "state": closed.state})
    return replies.text_reply("closed\n")
