"""The page of all tickets: `GET /tickets`, filtered by `?state=`, `?pool=` and the text `?q=`."""

from typing import Any

from flask import Response

from functions.operators.read_model import ReadModel
from functions.pages.layout import Rows, page_reply, read_list_query
from functions.tickets.waiting import wait_of
from functions.web.context import current
from state.documents import Ticket, TicketState

STATES = ("WAITING", "SERVED", *(state.value for state in TicketState))
"""What can be chosen: open tickets without and with a resource, and the states."""


def show() -> Response:
    """200 with the tickets that are not CLOSED, or those chosen; 400 when the query cannot be taken."""
    wanted, number = read_list_query(STATES)
    context = current()

    def make(model: ReadModel) -> dict[str, Any]:
        waiting = {ticket.id for pool in model.pools if pool.name == wanted["pool"] for ticket in pool.waiting}
        found = [ticket for ticket in model.tickets if _is_wanted(ticket, waiting, **wanted)]
        groups = sorted(model.waiting_by_tags.items(), key=lambda group: group[1][0].id)
        queues = [
            {"tags": sorted(tags), "tickets": tickets, "why": wait_of(context, tickets[0]).why}
            for tags, tickets in groups
        ]
        return {"rows": Rows(found, number), "wanted": wanted, "states": STATES, "queues": queues}

    return page_reply("tickets.html", make)


def _is_wanted(ticket: Ticket, waiting: set[int], state: str, pool: str, q: str) -> bool:
    match state:
        case "":
            right = ticket.state is not TicketState.CLOSED
        case "WAITING":
            right = ticket.waiting
        case "SERVED":
            right = ticket.state is TicketState.OPEN and not ticket.waiting
        case _:
            right = ticket.state == state
    if pool:
        right = right and (ticket.id in waiting if ticket.waiting else ticket.pool == pool)
    return right and (not q or any(q.lower() in word.lower() for word in _words(ticket)))


def _words(ticket: Ticket) -> tuple[str, ...]:
    return (str(ticket.id), *ticket.tags, ticket.sandbox or "", ticket.resource_name or "", ticket.reason or "")
