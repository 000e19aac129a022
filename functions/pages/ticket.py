"""The page of one ticket: `GET /tickets/ID`."""

from typing import Any

from flask import Response

from functions.operators.read_model import Look
from functions.pages import page
from functions.pages.verbs import asks_of_ticket, read_verb, told
from functions.policy.transitions.history import lines_of
from functions.tickets.waiting import Wait, wait_of
from functions.tickets.waiting import lines_of as lines_of_wait
from functions.web.context import current
from functions.web.requests import Query, read_id
from state.documents import Ticket


def show(ticket_id: str) -> Response:
    """200 with what it asks for, what it got, or why it waits; 404 when it is not known."""
    context = current()
    number = read_id(ticket_id, "ticket")
    query = Query()
    asked, done = read_verb(query, "ask"), read_verb(query, "done")
    query.finish()

    def make(look: Look) -> dict[str, Any]:
        ticket = context.store.tickets.read_durable(number)
        wait = wait_of(context, ticket) if ticket.waiting else None
        pools = {pool.name: pool for pool in look.pools}
        able = [(pools[held.pool], held.sentence) for held in (wait.pools if wait else ()) if held.pool in pools]
        return {
            "ticket": ticket,
            "able": able,
            "story": _story(ticket, wait, look.at) if wait else [],
            "events": list(reversed(lines_of(ticket))),
            **told(asks_of_ticket(ticket), asked, done),
        }

    return page.reply("ticket.html", make)


def _story(ticket: Ticket, wait: Wait, now: float) -> list[str]:
    """Why it waits, in sentences; what holds each pool is told beside the pool."""
    if not wait.pools:
        return [f"{wait.why[0].upper()}{wait.why[1:]}."]
    # The first one says what stands above.
    return [line for line in lines_of_wait(wait, ticket, now)[1:] if line and not line.startswith("pool ")]
