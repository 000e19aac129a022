"""The page of one ticket: `GET /tickets/ID`."""

from typing import Any

from flask import Response

from functions.operators.read_model import ReadModel
from functions.pages.layout import page_reply
from functions.pages.verbs import read_verb_query, verb_facts, verbs_of_ticket
from functions.policy.transitions.history import lines_of
from functions.tickets.waiting import Wait, wait_of
from functions.tickets.waiting import lines_of as lines_of_wait
from functions.web.context import current
from functions.web.requests import read_id
from state.documents import Ticket


def show(ticket_id: str) -> Response:
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
