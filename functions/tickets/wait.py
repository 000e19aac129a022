"""Wait for a ticket's resource: `GET /tickets/ID/wait`. Parks until the ticket's document changes."""

import time
from typing import Annotated, Any

from flask import Response
from msgspec import Meta

from functions.tickets.check import Closed, output_reply, read_ticket
from functions.tickets.waiting import wait_of
from functions.web import lifetime, replies
from functions.web.context import Context, current
from functions.web.errors import WaitedTooLong
from functions.web.requests import Fields, client_socket, parse_query, read_id
from state.documents import Ticket

LONGEST = 3600
"""Seconds that one request may wait."""


class WaitQuery(Fields):
    """The query of `GET /tickets/ID/wait`."""

    closed: Closed = False
    timeout: (
        Annotated[
            float,
            Meta(ge=0, le=LONGEST, description="Seconds to wait at most; without it, wait_timeout of server.yaml."),
        ]
        | None
    ) = None


def output(ticket_id: str) -> Response:
    """As `GET /tickets/ID/output`, and 408 when the ticket still waits after `timeout` seconds."""
    context = current()
    number = read_id(ticket_id, "ticket")
    query = parse_query(WaitQuery)
    seconds = context.settings.wait_timeout if query.timeout is None else query.timeout
    client = client_socket()

    def answer() -> Response:
        ticket = until_served(context, number, seconds, client)
        if ticket.waiting:
            raise WaitedTooLong(ticket, wait_of(context, ticket).summary)
        return output_reply(ticket, query.closed)

    return replies.DeferredReply(answer)


def until_served(context: Context, number: int, seconds: float, client: Any) -> Ticket:
    """The ticket once it no longer waits, durable. Raises NotFound.

    It may still wait: after `seconds`, when this process stops, or when the client (a socket, or None) hung up.
    """
    tickets = context.store.tickets
    until = time.monotonic() + seconds
    ticket = tickets.read(number)
    if ticket.waiting and seconds > 0 and not lifetime.stopping():
        with context.parking.park(number, client) as parked:
            while (ticket := tickets.read(number)).waiting and not lifetime.stopping() and not parked.abandoned:
                left = until - time.monotonic()
                if left <= 0:
                    break
                parked.wait(min(left, LONGEST))
    return ticket if ticket.waiting else read_ticket(context, number)
