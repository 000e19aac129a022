"""The transitions of a ticket: it is assigned a resource, it fails because that is lost, its client closes it."""

from functions.policy.transitions.history import BY_CLIENT
from state.documents import Resource, Ticket
from state.lifecycle import TicketEvent, after_ticket_event

TURN_OVER = -1
"""A value of `Ticket.turn` below every `releases_counter`: the ticket has released its resource."""


def assign_ticket(ticket: Ticket, resource: Resource, sandbox: str, now: float) -> Ticket:
    """The ticket with this resource; `sandbox` is a random text for a ticket that has no sandbox."""
    return ticket.replace(
        state=after_ticket_event(ticket.state, TicketEvent.ASSIGN),
        resource=resource.id,
        resource_name=resource.name,
        pool=resource.pool,
        output=resource.data or b"",
        assigned_at=now,
        turn=resource.releases_counter,
        sandbox=sandbox if ticket.sandbox is None else ticket.sandbox,
    )


def fail_ticket(ticket: Ticket, reason: str, now: float) -> Ticket:
    """The ticket after its resource was lost. It keeps the resource's name, but no longer has it."""
    return ticket.replace(state=after_ticket_event(ticket.state, TicketEvent.FAIL), failed_at=now, reason=reason)


def close_ticket(ticket: Ticket, now: float, why: str = BY_CLIENT, bad: str | None = None) -> Ticket:
    """The ticket after it was closed; closing again changes nothing. `bad` is why its client calls the resource bad.

    A ticket that failed keeps the reason of its failure instead of `why`.
    """
    state = after_ticket_event(ticket.state, TicketEvent.CLOSE)
    if state is ticket.state:
        return ticket
    return ticket.replace(state=state, closed_at=now, reason=ticket.reason or why, bad=bad)


def called_bad(ticket: Ticket) -> str | None:
    """Why the resource that this ticket releases is to be deleted; None when it may be used again."""
    return None if ticket.bad is None else f"its client called it bad: {ticket.bad}"
