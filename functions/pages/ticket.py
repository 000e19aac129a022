"""The page of one ticket: `GET /tickets/ID`."""

from typing import Any

from flask import Response

from functions.context import current
from functions.fields import Query, read_id
from functions.pages import page
from functions.pages.look import Look


def show(ticket_id: str) -> Response:
    """200 with what it asks for, what it got, or why it waits; 404 when it is not known."""
    context = current()
    number = read_id(ticket_id, "ticket")
    Query().finish()

    def make(look: Look) -> dict[str, Any]:
        ticket = context.store.tickets.read_durable(number)
        place, why = context.view.place_and_reason(ticket) if ticket.waiting else (None, None)
        able = [pool for pool in look.pools if pool.record.configured and set(ticket.tags) <= pool.offers.keys()]
        return {"ticket": ticket, "place": place, "why": why, "able": able}

    return page.reply("ticket.html", make)
