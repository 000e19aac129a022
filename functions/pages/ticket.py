"""The page of one ticket: `GET /tickets/ID`."""

from typing import Any

from flask import Response

from functions.context import current
from functions.fields import Query, read_id
from functions.pages import page
from functions.pages.look import Look
from functions.tickets.waiting import wait_of


def show(ticket_id: str) -> Response:
    """200 with what it asks for, what it got, or why it waits; 404 when it is not known."""
    context = current()
    number = read_id(ticket_id, "ticket")
    Query().finish()

    def make(look: Look) -> dict[str, Any]:
        ticket = context.store.tickets.read_durable(number)
        wait = wait_of(context, ticket) if ticket.waiting else None
        able = [pool for pool in look.pools if pool.record.configured and set(ticket.tags) <= pool.offers.keys()]
        return {"ticket": ticket, "wait": wait, "able": able}

    return page.reply("ticket.html", make)
