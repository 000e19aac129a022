"""What must hold in a state folder at every instant, whatever was killed, full, broken or late.

`check` takes documents by the names of their files, so that each fault can say where it stands. Tests pass what they
know beside: which tickets were told to clients, and for which resources `cmd_new` was started.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from functions.integrity.faults import BY_FSCK, BY_NEXT_PASS, Fault, Kind
from functions.integrity.inventory import Inventory
from functions.integrity.run_invariants import of_resources, owners
from functions.policy.plan.holds import HOLDABLE
from state.documents import Resource, ResourceState, Ticket, TicketState
from state.lifecycle import ResourceEvent

_LONGEST_GAP = 100
"""Longer ones are mostly the leap to the ceiling after a reboot."""


def check(inventory: Inventory) -> list[Fault]:
    """Every fault and note, in no promised order; none when all is well and at rest."""
    checks = (
        _places,
        _counters,
        _gaps,
        _existing_tickets,
        _existing_resources,
        _grants,
        _holders,
        _ends,
        _holds,
        _numbers,
        _limits,
        of_resources,
        owners,
        _unsettled,
    )
    return [fault for each in checks for fault in each(inventory)]


def _places(inventory: Inventory) -> Iterator[Fault]:
    for kind, living, finished in (
        ("ticket", inventory.tickets, inventory.done),
        ("resource", inventory.resources, inventory.ended),
    ):
        files = {document.id: file for file, document in finished.items()}
        for file, document in living.items():
            if document.id in files:
                sentence = f"{kind} {document.id} stands in {files[document.id]} too"
                yield Fault(Kind.DUPLICATE, file, sentence, f"The living one goes to quarantine/: {BY_FSCK}")
    for file, ticket in inventory.done.items():
        if ticket.state is not TicketState.CLOSED:
            sentence = f"ticket {ticket.id} is {ticket.state} among the settled ones"
            yield Fault(Kind.WRONG_PLACE, file, sentence, f"It goes back to tickets/open: {BY_FSCK}")
    for file, resource in inventory.ended.items():
        if resource.state is not ResourceState.ENDED:
            sentence = f"resource {resource.id} is {resource.state} among the ended ones"
            yield Fault(Kind.WRONG_PLACE, file, sentence, f"It goes back to resources/live: {BY_FSCK}")


def _gaps(inventory: Inventory) -> Iterator[Fault]:
    numbers_given = inventory.numbers_given()
    # A key is written before its ticket: alone it tells of one that got lost, or that never was.
    numbers_given["tickets"] -= {*inventory.keys.values()} - inventory.all_tickets().keys()
    for kind, given in numbers_given.items():
        for before, after in pairwise(sorted(given)):
            gap = range(before + 1, after)
            if 0 < len(gap) <= _LONGEST_GAP and (kind, gap[0]) not in inventory.forgotten:
                which = f"{gap[0]}" if len(gap) == 1 else f"{gap[0]} to {gap[-1]}"
                sentence = f"of {kind} there is no {which}"
                repair = "A write that failed or a restart leaves such a gap; so does a document that was removed."
                yield Fault(Kind.GAP, f"{kind}/", sentence, repair)


def _counters(inventory: Inventory) -> Iterator[Fault]:
    for kind, given in inventory.numbers_given().items():
        ceiling, highest = inventory.ceilings.get(kind), max(given, default=0)
        if ceiling is not None and ceiling <= highest:
            sentence = f"the ceiling of {kind} is {ceiling}, but {highest} was given"
            yield Fault(Kind.COUNTER, f"ids/{kind}.ceiling", sentence, f"It must be raised: {BY_FSCK}")


def _existing_tickets(inventory: Inventory) -> Iterator[Fault]:
    known = inventory.all_tickets()
    wanted = dict.fromkeys(_happened(inventory, "tickets"), "events tell of it")
    wanted |= dict.fromkeys(inventory.told, "its number was told")
    for resource in inventory.resources.values():
        if resource.released_ticket is not None:
            wanted[resource.released_ticket] = f"resource {resource.id} was let go by it"
    for number, why in wanted.items():
        if number not in known and ("tickets", number) not in inventory.lost:
            if ("tickets", number) in inventory.forgotten:
                continue
            sentence = f"there is no ticket {number}, although {why}"
            repair = "Nothing brings it back; look for a backup of this file."
            yield Fault(Kind.MISSING_TICKET, f"tickets/open/{number}.json", sentence, repair)


def _existing_resources(inventory: Inventory) -> Iterator[Fault]:
    known = inventory.all_resources()
    wanted = dict.fromkeys(_happened(inventory, "resources"), "events tell of it")
    wanted |= dict.fromkeys(inventory.started, "its cmd_new was started")
    for ticket in inventory.tickets.values():
        if ticket.state is TicketState.OPEN and ticket.resource is not None:
            wanted[ticket.resource] = f"ticket {ticket.id} has it ({ticket.resource_name}, pool {ticket.pool})"
    for number, why in wanted.items():
        kept = number in known or ("resources", number) in inventory.lost
        if not kept and ("resources", number) not in inventory.forgotten:
            sentence = f"there is no resource {number}, although {why}"
            repair = "It may still exist: see its hooks' logs, delete it by hand, then remove those logs."
            yield Fault(Kind.MISSING_RESOURCE, f"resources/live/{number}.json", sentence, repair)


def _happened(inventory: Inventory, kind: str) -> list[int]:
    return [number for what, number in inventory.happened if what == kind]


def _grants(inventory: Inventory) -> Iterator[Fault]:
    for file, ticket in inventory.tickets.items():
        granted = (ticket.output, ticket.assigned_at, ticket.resource_name)
        if ticket.waiting and any(fact is not None for fact in granted):
            sentence = f"ticket {ticket.id} waits, but was given {ticket.resource_name or 'a resource'} before"
            yield Fault(Kind.HALF_GRANTED, file, sentence, f"It must fail: {BY_FSCK}")
        if ticket.state is TicketState.FAILED and (ticket.reason is None or ticket.failed_at is None):
            sentence = f"ticket {ticket.id} is FAILED and does not say when and why"
            yield Fault(Kind.NO_REASON, file, sentence, "Its client can close it.")


def _holders(inventory: Inventory) -> Iterator[Fault]:
    by_resource: defaultdict[int, list[tuple[str, Ticket]]] = defaultdict(list)
    for file, ticket in inventory.tickets.items():
        if ticket.state is TicketState.OPEN and ticket.resource is not None:
            by_resource[ticket.resource].append((file, ticket))
    resources = inventory.all_resources()
    for number, holders in by_resource.items():
        first, *others = sorted(holders, key=lambda holder: (holder[1].assigned_at or 0.0, holder[1].id))
        for file, ticket in others:
            sentence = f"resource {number} is with the open tickets {first[1].id} and {ticket.id}"
            yield Fault(Kind.DOUBLE_GRANT, file, sentence, f"The later one must fail: {BY_FSCK}")
        resource = resources.get(number)
        if resource is None:
            continue
        for file, ticket in holders:
            if resource.state is ResourceState.UP and (fields := _told_otherwise(ticket, resource)):
                sentence = f"ticket {ticket.id} tells otherwise than resource {number}: {', '.join(fields)}"
                repair = f"One of both is damaged: see resalloc-maint history {number}, and mend that."
                yield Fault(Kind.MISMATCH, file, sentence, repair)
            if resource.sandbox not in (None, ticket.sandbox):
                theirs = f"sandbox {ticket.sandbox} has resource {number} of sandbox {resource.sandbox}"
                sentence = f"ticket {ticket.id} of {theirs}"
                yield Fault(Kind.WRONG_SANDBOX, file, sentence, f"Delete it: resalloc-maint resource-delete {number}.")
            if resource.state in (ResourceState.DELETING, ResourceState.ENDED):
                sentence = f"open ticket {ticket.id} has resource {number}, which is {resource.state}"
                yield Fault(Kind.DELETED_IN_USE, file, sentence, f"The ticket must fail. {BY_NEXT_PASS}")


def _told_otherwise(ticket: Ticket, resource: Resource) -> list[str]:
    """The fields of a ticket that are not as its resource has them."""
    pairs = {
        "resource_name": (ticket.resource_name, resource.name),
        "pool": (ticket.pool, resource.pool),
        "output": (ticket.output, resource.data or b""),
    }
    return [field for field, (told, real) in pairs.items() if told not in (None, real)]


def _ends(inventory: Inventory) -> Iterator[Fault]:
    for file, resource in {**inventory.resources, **inventory.ended}.items():
        # Without a time it ended before it was imported.
        if resource.state is not ResourceState.ENDED or resource.ended_at is None:
            continue
        if resource.delete_began_at is None and (resource.up_at is not None or not _start_failed(resource)):
            came_up = "came up and" if resource.up_at is not None else "was started, did not fail by itself, and"
            sentence = f"resource {resource.id} ({resource.name}) {came_up} ended without a cmd_delete"
            yield Fault(Kind.NEVER_DELETED, file, sentence, "See whether it still exists, and delete it by hand.")
        if resource.reason is None:
            sentence = f"resource {resource.id} ended and does not say why"
            yield Fault(Kind.NO_REASON, file, sentence, "Nothing needs to be done.")


def _holds(inventory: Inventory) -> Iterator[Fault]:
    for file, resource in {**inventory.resources, **inventory.ended}.items():
        if resource.held and resource.state not in HOLDABLE:
            sentence = f"resource {resource.id} is {resource.state} and was to be held ({resource.held_reason})"
            yield Fault(Kind.DELETED_WHILE_HELD, file, sentence, "Nothing brings it back.")


def _start_failed(resource: Resource) -> bool:
    """Whether its `cmd_new` itself said that there is nothing; so it is believed of one without a history."""
    return not resource.history or any(event.event == ResourceEvent.START_FAILED for event in resource.history)


def _numbers(inventory: Inventory) -> Iterator[Fault]:
    users: defaultdict[tuple[Kind, str], list[tuple[str, Resource]]] = defaultdict(list)
    for file, resource in inventory.resources.items():
        if resource.state is not ResourceState.ENDED:
            users[Kind.SAME_NUMBER, f"number {resource.id_in_pool} in pool {resource.pool}"].append((file, resource))
            for name, value in resource.counters.items():
                users[Kind.SAME_NUMBER, f"value {value} of counter {name}"].append((file, resource))
            # Imported resources without a name all have this one.
            if resource.name != "None":
                users[Kind.SAME_NAME, f"the name {resource.name}"].append((file, resource))
    for (kind, what), group in users.items():
        first, *others = sorted(group, key=lambda user: user[1].id)
        for file, resource in others:
            sentence = f"resources {first[1].id} and {resource.id} both have {what}"
            yield Fault(kind, file, sentence, f"Delete one: resalloc-maint resource-delete {resource.id}.")


def _limits(inventory: Inventory) -> Iterator[Fault]:
    living = [found for found in inventory.resources.values() if found.state is not ResourceState.ENDED]
    counts = Counter(resource.pool for resource in living)
    starting = Counter(found.pool for found in living if found.state is ResourceState.STARTING)
    for name, pool in inventory.pools.items():
        for count, limit, what in (
            (counts[name], pool.max, "max"),
            (starting[name], pool.max_starting, "max_starting"),
        ):
            if count > limit:
                sentence = f"pool {name} has {count} resources, and its {what} is {limit}"
                repair = f"Nothing needs to be done if {what} was lowered: no more are started."
                yield Fault(Kind.OVER_MAX, f"pools/{name}.json", sentence, repair)


def _unsettled(inventory: Inventory) -> Iterator[Fault]:
    resources = inventory.all_resources()
    for file, ticket in inventory.tickets.items():
        resource = resources.get(ticket.resource) if ticket.resource is not None else None
        if ticket.state is TicketState.CLOSED:
            yield _waits(file, f"ticket {ticket.id} is CLOSED and not settled")
        elif resource and ticket.state is TicketState.OPEN and resource.state is ResourceState.DELETE_REQUEST:
            yield _waits(file, f"ticket {ticket.id} is OPEN and its resource {resource.id} is to be deleted")
    for file, resource in inventory.resources.items():
        if resource.state is ResourceState.ENDED:
            yield _waits(file, f"resource {resource.id} is ENDED and not archived")
        elif inventory.runs is not None and resource.run is not None and resource.run.id not in inventory.runs:
            yield _waits(file, f"resource {resource.id} waits for the run {resource.run.id}, which is not there")
    for file, intent in inventory.intents.items():
        what = f"resource {intent.resource}" if intent.pool is None else f"pool {intent.pool}"
        yield _waits(file, f"the wish {intent.kind} of {what} is not decided")


def _waits(file: str, sentence: str) -> Fault:
    return Fault(Kind.UNSETTLED, file, sentence, BY_NEXT_PASS)
