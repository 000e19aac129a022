"""What people are told about a ticket."""

from collections.abc import Mapping
from datetime import UTC, datetime

from functions.policy.waits.estimate import Confidence, Estimate
from state.documents import Ticket, TicketState


def summary(before: int, what: str, expected: Estimate, own: str | None = None) -> str:
    """The wait in one line: place in the queue, what holds it, how long it may take.

    With something of its sandbox's own on its way it may be served sooner than the others.
    """
    parts = [f"{ordinal(before + 1)} in line", own or what]
    if expected.seconds is not None:
        most = "at most " if own else ""
        parts.append("any moment now" if expected.seconds < 1 else f"{most}about {span(expected.seconds)}")
    return "; ".join(parts)


def with_nearest(why: str, nearest: Mapping[str, str | None]) -> str:
    """The reason, and which known tags may have been meant."""
    meant = [known for known in nearest.values() if known is not None]
    return f"{why} (is {', '.join(meant)} meant?)" if meant else why


def queue_story(ticket: Ticket, before: int | None, expected: Estimate, now: float) -> list[str]:
    """How long a ticket has waited, and may still, line by line."""
    asked = f"Ticket {ticket.id} has waited for {span(now - ticket.created_at)} for a resource with these tags: "
    lines = [asked + ", ".join(ticket.tags)]
    if before is None:
        return lines
    lines.append(f"It is {ordinal(before + 1)} in line among the tickets that the same pools could serve.")
    if expected.seconds is None or expected.low is None or expected.high is None:
        lines.append("How long it will take cannot be told from what its pools have done so far.")
    else:
        between = f"{span(expected.low)} to {span(expected.high)}"
        lines.append(f"It should take about {span(expected.seconds)} more ({between}; {_sure(expected)}).")
    return lines


def story(ticket: Ticket) -> list[str]:
    """What happened to a ticket that does not wait, line by line."""
    lines = [f"Ticket {ticket.id} was taken at {date(ticket.created_at)}, for the tags: {', '.join(ticket.tags)}"]
    if ticket.resource is None:
        lines.append("It never had a resource.")
    else:
        after = f", after {span(ticket.assigned_at - ticket.created_at)}" if ticket.assigned_at is not None else ""
        what = f"resource {ticket.resource} ({ticket.resource_name}) of pool {ticket.pool}"
        lines.append(f"It got {what} at {date(ticket.assigned_at)}{after}.")
    if ticket.failed_at is not None:
        lines.append(f"It failed at {date(ticket.failed_at)}: {ticket.reason or 'its resource is gone'}.")
    if ticket.closed_at is not None:
        why = f": {ticket.reason}" if ticket.reason and ticket.failed_at is None else ""
        lines.append(f"It was closed at {date(ticket.closed_at)}{why}.")
    if ticket.bad is not None:
        lines.append(f"Its client called the resource bad: {ticket.bad}")
    return lines


def brief_story(ticket: Ticket) -> str:
    """The same in one line."""
    has = f"resource {ticket.resource} ({ticket.resource_name})"
    match ticket.state:
        case TicketState.OPEN:
            return f"has {has} since {date(ticket.assigned_at)}"
        case TicketState.FAILED:
            return f"failed at {date(ticket.failed_at)}: {ticket.reason or 'its resource is gone'}"
        case TicketState.CLOSED:
            had = f"had {has}" if ticket.resource is not None else "never had a resource"
            return f"closed at {date(ticket.closed_at)}; {had}"


def _sure(expected: Estimate) -> str:
    return {
        Confidence.HIGH: "fairly sure",
        Confidence.MEDIUM: "not very sure",
        Confidence.LOW: "a guess",
        Confidence.NONE: "unknown",
    }[expected.confidence]


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ..., 11th, ..., 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def span(seconds: float) -> str:
    """A span of time, rounded as people say it."""
    if seconds < 20:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 90:
        return f"{seconds / 10:.0f}0 s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36 * 3600 else f"{seconds / 86400:.1f} days"


def date(at: float | None) -> str:
    """A time, in words."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at is not None else "an unknown time"
