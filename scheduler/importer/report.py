"""What an import brings over, in lines for people."""

from collections import Counter

from scheduler.importer.convert import Converted
from state.documents import Resource, Ticket, TicketState


def summary(converted: Converted) -> list[str]:
    """Lines with the counts of everything, and which pools must stay in pools.yaml for now."""
    tickets = Counter(_described(ticket) for ticket in converted.tickets)
    tickets["closed"] = len(converted.settled)
    resources = Counter(resource.state.value for resource in [*converted.resources, *converted.ended])
    lines = [
        _line("tickets", tickets),
        _line("resources", resources),
        f"pools: {len(converted.records)} with statistics",
        f"next ids: ticket {converted.highest_ticket + 1}, resource {converted.highest_resource + 1}",
    ]
    if converted.resources:
        lines.append(f"pools that pools.yaml must have, for their resources live: {_pools(converted.resources)}")
    return lines


def _described(ticket: Ticket) -> str:
    if ticket.state is TicketState.FAILED:
        return "failed"
    if ticket.state is TicketState.CLOSED:
        return "closed with a resource to let go"
    return "waiting" if ticket.waiting else "open with a resource"


def _line(what: str, counts: Counter[str]) -> str:
    parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)
    return f"{what}: {counts.total()}" + (f" ({parts})" if parts else "")


def _pools(resources: list[Resource]) -> str:
    counts = Counter(resource.pool for resource in resources)
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
