"""Close a ticket: `DELETE /tickets/ID` and `POST /tickets/ID/close`. Replaces its document; the scheduler then
takes the resource back, and deletes it when it was called bad.
"""

from flask import Response

from functions.policy.transitions import resource as change
from functions.tickets.validation import fault_of_reason, one_line
from functions.web import replies as http
from functions.web.context import Context, current
from functions.web.errors import BadField, BadParameter
from functions.web.requests import Body, Query, read_id
from state.documents import Ticket
from state.files.archive import Change


def ticket(ticket_id: str) -> Response:
    """200, again and again; with `?bad=REASON` its resource is deleted, not used again."""
    number = read_id(ticket_id, "ticket")
    query = Query()
    bad = _reason(query.string("bad"), BadParameter)
    query.finish()
    return _closed(number, bad)


def by_post(ticket_id: str) -> Response:
    """The same, with `bad` as a field of the body."""
    number = read_id(ticket_id, "ticket")
    Query().finish()
    body = Body()
    bad = _reason(body.string("bad"), BadField)
    body.finish()
    return _closed(number, bad)


def _reason(text: str | None, error: type[BadParameter] | type[BadField]) -> str | None:
    reason = None if text is None else one_line(text)
    if reason is not None and (fault := fault_of_reason(reason)):
        raise error("bad", fault)
    return reason


def _closed(number: int, bad: str | None) -> Response:
    closed = close(current(), number, bad)
    if http.wants_json():
        return http.json_reply({"id": closed.id, "state": closed.state})
    return http.text_reply("closed\n")


def close(context: Context, number: int, bad: str | None = None) -> Ticket:
    """The closed ticket, durable; one that is closed already stays as it is. Raises NotFound."""
    return context.do(Change(number, lambda found: change.close(found, context.clock(), bad=bad)))
