"""What the rows must agree on. Pure: finds all contradictions at once."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from config.errors import quoted
from config.pools import pool_name_fault
from scheduler.importer.old_database import ImportRefused, OldDatabase, OldResource, OldTicket
from state.documents import ResourceState, TicketState


class BrokenRules(ImportRefused):
    """Rows contradict each other; each of `faults` is a sentence, and `str()` has one a line."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


def contradictions(old: OldDatabase) -> list[str]:
    """Sentences about rows that cannot both be true; with any of them nothing must be imported."""
    tickets = {ticket.id: ticket for ticket in old.tickets}
    resources = {resource.id: resource for resource in old.resources}
    living = {id: resource for id, resource in resources.items() if resource.state is not ResourceState.ENDED}
    return [
        *_about_holders(living, tickets),
        *_about_open_tickets(old, living),
        *_about_pools(living),
        *_about_ids_in_pool(old, living),
        *_about_counters(old, living),
    ]


def _about_holders(living: dict[int, OldResource], tickets: dict[int, OldTicket]) -> Iterator[str]:
    for resource in living.values():
        if resource.ticket_id is None or resource.state is not ResourceState.UP:
            continue
        ticket = tickets.get(resource.ticket_id)
        taken = f"resource {resource.id} is taken by ticket {resource.ticket_id}"
        if ticket is None:
            yield f"{taken}, and there is no such ticket"
        elif ticket.resource_id != resource.id:
            yield f"{taken}, but that ticket has resource {ticket.resource_id or 'none'}"
        elif ticket.state is TicketState.FAILED:
            yield f"{taken}, but that ticket is FAILED and the resource is UP: close the ticket, or delete the resource"


def _about_open_tickets(old: OldDatabase, living: dict[int, OldResource]) -> Iterator[str]:
    owners: dict[int, int] = {}
    for ticket in old.tickets:
        if ticket.state is not TicketState.OPEN or ticket.resource_id is None:
            continue
        number = ticket.resource_id
        if number in owners:
            yield f"tickets {owners[number]} and {ticket.id} are both OPEN and have the same resource {number}"
            continue
        owners[number] = ticket.id
        resource = living.get(number)
        if resource is not None and resource.state is ResourceState.UP and resource.ticket_id != ticket.id:
            other = "no ticket" if resource.ticket_id is None else f"ticket {resource.ticket_id}"
            yield f"ticket {ticket.id} is OPEN and has resource {number}, but that is taken by {other}"


def _about_pools(living: dict[int, OldResource]) -> Iterator[str]:
    for resource in living.values():
        if fault := pool_name_fault(resource.pool):
            yield f"resource {resource.id} is of pool {quoted(resource.pool)}, but a pool's name {fault}"


def _about_ids_in_pool(old: OldDatabase, living: dict[int, OldResource]) -> Iterator[str]:
    owners: dict[tuple[str, int], int] = {}
    for row in old.ids_within_pool:
        resource = living.get(row.resource_id)
        if resource is None:
            continue
        if row.pool_name != resource.pool:
            yield (
                f"resource {resource.id} is of pool {quoted(resource.pool)}, "
                f"but has an id within pool {quoted(row.pool_name)}"
            )
        owner = owners.setdefault((row.pool_name, row.id), resource.id)
        if owner != resource.id:
            yield f"resources {owner} and {resource.id} both have id {row.id} within pool {quoted(row.pool_name)}"


def _about_counters(old: OldDatabase, living: dict[int, OldResource]) -> Iterator[str]:
    owners: dict[tuple[str, int], int] = {}
    values: dict[int, dict[str, int]] = defaultdict(dict)
    for row in old.named_counters:
        if row.resource_id not in living:
            continue
        owner = owners.setdefault((row.counter_name, row.value), row.resource_id)
        if owner != row.resource_id:
            yield (
                f"resources {owner} and {row.resource_id} both have value {row.value} of counter "
                f"{quoted(row.counter_name)}"
            )
        value = values[row.resource_id].setdefault(row.counter_name, row.value)
        if value != row.value:
            yield (
                f"resource {row.resource_id} has two values of counter {quoted(row.counter_name)}: "
                f"{value} and {row.value}"
            )
