"""Close a ticket: `DELETE /tickets/ID` and `POST /tickets/ID/close`. Replaces its document; the scheduler then
takes the resource back.
"""

from flask import Response

from functions import http
from functions.context import Context, current
from functions.fields import Query, read_id
from functions.offload import in_thread
from functions.policy import change
from state.documents import Ticket


def ticket(ticket_id: str) -> Response:
    """200, again and again."""
    number = read_id(ticket_id, "ticket")
    Query().finish()
    closed = close(current(), number)
    if http.wants_json():
        return http.json_reply({"id": closed.id, "state": closed.state})
    return http.text_reply("closed\n")


def close(context: Context, number: int) -> Ticket:
    """The closed ticket, durable; one that is closed already stays as it is. Raises NotFound."""

    return in_thread(context.store.tickets.update, number, lambda found: change.close(found, context.clock()))
