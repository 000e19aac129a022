"""The pages of tickets: all of them at `GET /tickets`, filtered by `?state=`, `?pool=` and the text `?q=`; one at
`GET /tickets/ID`.
"""

from typing import Any

from flask import Response

from functions.operators.read_model import ReadModel
from functions.pages.layout import Rows, page_reply, read_list_query
from functions.pages.verbs import read_verb_query, verb_facts, verbs_of_ticket
from functions.policy.transitions.history import lines_of
from functions.tickets.waiting import Wait, wait_of
from functions.tickets.waiting import lines_of as lines_of_wait
from functions.web.context import current
from functions.web.requests import read_id
from state.documents import Ticket, TicketState

STATES = ("WAITING", "SERVED", *(state.value for state in TicketState))
"""What can be chosen: open tickets without and with a resource, and the states."""


def show_list() -> Response:
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


def show_one(ticket_id: str) -> Response:
    """200 with its tags, its resource or why it waits, and its events; 404 when it is unknown."""
    context = current()
    number = read_id(ticket_id, "ticket")
    query = read_verb_query()

    def make(model: ReadModel) -> dict[str, Any]:
        ticket = context.store.tickets.read_durable(number)
        wait = wait_of(context, ticket) if ticket.waiting else None
        pools = {pool.name: pool for pool in model.pools}
        able = [(pools[held.pool], held.sentence) for held in (wait.pools if wait else ()) if held.pool in pools]
        return {
            "ticket": ticket,
            "able": able,
            "reasons": _reasons(ticket, wait, model.at) if wait else [],
            "events": list(reversed(lines_of(ticket))),
            **verb_facts(verbs_of_ticket(ticket), query),
        }

    return page_reply("ticket.html", make)


def _reasons(ticket: Ticket, wait: Wait, now: float) -> list[str]:
    """Why it waits, in sentences; the page shows what limits each pool in a table."""
    if not wait.pools:
        return [f"{wait.why[0].upper()}{wait.why[1:]}."]
    # The page shows the first line as its heading.
    return [line for line in lines_of_wait(wait, ticket, now)[1:] if line and not line.startswith("pool ")]
