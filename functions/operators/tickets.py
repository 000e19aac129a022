"""Tickets for operators: `GET /tickets`. Reads those that are not settled."""

from flask import Response

from functions.operators.living import read_living
from functions.operators.resources import read_state
from functions.tickets.check import described
from functions.web import replies as http
from functions.web.context import current
from functions.web.offload import in_thread
from functions.web.requests import Query
from state.documents import Ticket, TicketState


def every() -> Response:
    """200 with the tickets that are not CLOSED, or those in `?state=`: lines or JSON."""
    query = Query()
    state = read_state(query, TicketState)
    query.finish()
    context = current()
    wanted = (state,) if state else (TicketState.OPEN, TicketState.FAILED)
    tickets = [ticket for ticket in in_thread(read_living, context.store.tickets) if ticket.state in wanted]
    if http.wants_json():
        return http.json_reply({"tickets": [described(ticket) for ticket in tickets]})
    return http.text_reply("".join(map(_line, tickets)))


def _line(ticket: Ticket) -> str:
    resource = f" resource={ticket.resource_name}" if ticket.resource is not None else ""
    return f"{ticket.id} - state={ticket.state} tags={','.join(ticket.tags)}{resource}\n"
