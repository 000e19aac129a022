"""What must hold in a state folder at every instant, whatever was killed, full, broken or late.

`check` takes an `Inventory`, the documents by the names of their files, and returns a `Fault` for each thing that does
not hold. Tests pass what they know in addition: which tickets clients know, and for which resources `cmd_new` started.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

import msgspec

from config.pools import Pool
from functions.policy.transitions.resource import HOLDABLE
from state.documents import HookKind, Intent, PoolRecord, Resource, ResourceState, Ticket, TicketState
from state.lifecycle import ResourceEvent

_LONGEST_GAP = 100
"""Missing numbers in a row that are reported. More are mostly the leap to the ceiling after a reboot."""
RUN_OF = {
    ResourceState.STARTING: HookKind.ALLOC,
    ResourceState.RELEASING: HookKind.RELEASE,
    ResourceState.DELETING: HookKind.TERMINATE,
}
"""The hook that a resource in this state waits for; in any other state it waits for none."""
_RUN = re.compile(rf"(\d{{6,}})_({'|'.join(HookKind)})_\d+")
_AGENTS_RUN = re.compile(r"agent_[a-z]+_(\d+)_\d+")


class Kind(StrEnum):
    """The kinds of findings. Those in `NOTES` are notes: nothing is wrong, or the scheduler repairs it."""

    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    QUARANTINED = "quarantined"
    FORMAT = "format"
    FOLDER = "folder"
    COUNTER = "counter"
    DUPLICATE = "duplicate"
    MISSING_TICKET = "missing ticket"
    MISSING_RESOURCE = "missing resource"
    MISSING_POOL = "missing pool"
    MISSING_AGENT = "missing agent"
    HALF_GRANTED = "half granted"
    MISMATCH = "mismatch"
    DOUBLE_GRANT = "double grant"
    WRONG_SANDBOX = "wrong sandbox"
    DELETED_IN_USE = "deleted in use"
    NEVER_DELETED = "never deleted"
    DELETED_WHILE_HELD = "deleted while held"
    NO_REASON = "no reason"
    SAME_NUMBER = "same number"
    SAME_NAME = "same name"
    WRONG_RUN = "wrong run"
    WRONG_PLACE = "wrong place"
    LONELY_RUN = "lonely run"

    UNSETTLED = "unsettled"
    LEFTOVER = "leftover"
    OVER_MAX = "over max"
    GAP = "gap"
    KEPT = "kept"
    STRAY = "stray"
    GARBLED = "garbled"
    NEWER = "newer"


NOTES = frozenset(
    (Kind.UNSETTLED, Kind.LEFTOVER, Kind.OVER_MAX, Kind.GAP, Kind.KEPT, Kind.STRAY, Kind.GARBLED, Kind.NEWER)
)
BY_FSCK = "`fsck --repair` does that, with the server stopped."
"""The end of `Fault.repair` when fsck makes the repair."""
BY_NEXT_PASS = "The next pass of the scheduler does that."
"""The end of `Fault.repair` when the scheduler makes the repair."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that does not hold: its kind, its file (below the state folder), a sentence, and what repairs it."""

    kind: Kind
    file: str
    sentence: str
    repair: str

    @property
    def is_note(self) -> bool:
        return self.kind in NOTES

    def __str__(self) -> str:
        return f"{'note' if self.is_note else 'fault'} {self.file}: {self.sentence} ({self.kind}). {self.repair}"


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What a state folder contains.

    | field | content |
    |---|---|
    | `tickets` ... `intents` | documents, by file: living and settled tickets, living and ended resources, ... |
    | `keys` | the number of each idempotency key's ticket, by file |
    | `pools` | the pools whose limits are in force, by name |
    | `ceilings` | by "tickets" and "resources", a number above all numbers that were ever used |
    | `lost` | tickets and resources whose documents exist but cannot be read, as ("tickets", 42) |
    | `forgotten` | tickets and resources that were removed after their retention |
    | `runs` | ids of hook runs, and whether they still run; None: not known |
    | `agents` | agents with a document, readable or not; None: not known |
    | `started` | resources for which `cmd_new` was started |
    | `known_to_clients` | tickets that a client knows |
    | `in_events` | tickets and resources that the event files name |
    """

    tickets: Mapping[str, Ticket] = field(default_factory=dict)
    done: Mapping[str, Ticket] = field(default_factory=dict)
    resources: Mapping[str, Resource] = field(default_factory=dict)
    ended: Mapping[str, Resource] = field(default_factory=dict)
    records: Mapping[str, PoolRecord] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    keys: Mapping[str, int] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    ceilings: Mapping[str, int] = field(default_factory=dict)
    lost: Collection[tuple[str, int]] = ()
    forgotten: Container[tuple[str, int]] = ()
    runs: Mapping[str, bool] | None = None
    agents: Collection[int] | None = None
    started: Collection[int] = ()
    known_to_clients: Collection[int] = ()
    in_events: Collection[tuple[str, int]] = ()

    @classmethod
    def of(cls, *documents: Ticket | Resource | PoolRecord | Intent, **facts: object) -> "Inventory":
        """An inventory of living documents, by the names of their files."""
        kinds: dict[type, tuple[str, str]] = {
            Ticket: ("tickets", "tickets/open"),
            Resource: ("resources", "resources/live"),
            PoolRecord: ("records", "pools"),
            Intent: ("intents", "intents"),
        }
        found: defaultdict[str, dict[str, object]] = defaultdict(dict)
        for document in documents:
            name, folder = kinds[type(document)]
            found[name][f"{folder}/{document.key}.json"] = document
        return cls(**found, **facts)  # type: ignore[arg-type]

    def numbers_used(self) -> dict[str, set[int]]:
        """By "tickets" and "resources": all numbers that are or were in use, as far as known."""
        tickets, resources = self.all_tickets(), self.all_resources()
        used = {
            "tickets": {*tickets, *self.keys.values(), *self.known_to_clients},
            "resources": {*resources, *self.started},
        }
        used["tickets"] |= {found.released_ticket for found in resources.values() if found.released_ticket is not None}
        used["resources"] |= {found.resource for found in tickets.values() if found.resource is not None}
        for kind, number in (*self.lost, *self.in_events):
            used[kind].add(number)
        return used

    def all_tickets(self) -> dict[int, Ticket]:
        """Living and settled ones, by number."""
        return {ticket.id: ticket for ticket in (*self.done.values(), *self.tickets.values())}

    def all_resources(self) -> dict[int, Resource]:
        """Living and ended ones, by number."""
        return {resource.id: resource for resource in (*self.ended.values(), *self.resources.values())}


def check(inventory: Inventory) -> list[Fault]:
    """Every fault and note, in no promised order; none when all is well and at rest."""
    checks = (
        _wrong_places,
        _low_ceilings,
        _gaps,
        _missing_tickets,
        _missing_resources,
        _half_assigned,
        _conflicting_holders,
        _wrong_ends,
        _broken_holds,
        _shared_numbers,
        _exceeded_limits,
        _wrong_runs,
        _ownerless_runs,
        _unsettled,
    )
    return [fault for each in checks for fault in each(inventory)]


def _wrong_places(inventory: Inventory) -> Iterator[Fault]:
    for kind, living, finished in (
        ("ticket", inventory.tickets, inventory.done),
        ("resource", inventory.resources, inventory.ended),
    ):
        files = {document.id: file for file, document in finished.items()}
        for file, document in living.items():
            if document.id in files:
                sentence = f"{kind} {document.id} is in {files[document.id]}, too"
                yield Fault(Kind.DUPLICATE, file, sentence, f"The living one must be moved to quarantine/: {BY_FSCK}")
    for file, ticket in inventory.done.items():
        if ticket.state is not TicketState.CLOSED:
            sentence = f"ticket {ticket.id} is {ticket.state}, but archived"
            yield Fault(Kind.WRONG_PLACE, file, sentence, f"It must be moved to tickets/open: {BY_FSCK}")
    for file, resource in inventory.ended.items():
        if resource.state is not ResourceState.ENDED:
            sentence = f"resource {resource.id} is {resource.state}, but archived"
            yield Fault(Kind.WRONG_PLACE, file, sentence, f"It must be moved to resources/live: {BY_FSCK}")


def _gaps(inventory: Inventory) -> Iterator[Fault]:
    numbers_used = inventory.numbers_used()
    # A key is written before its ticket: without a ticket, the ticket was lost or never created.
    numbers_used["tickets"] -= {*inventory.keys.values()} - inventory.all_tickets().keys()
    for kind, numbers in numbers_used.items():
        for before, after in pairwise(sorted(numbers)):
            gap = range(before + 1, after)
            if 0 < len(gap) <= _LONGEST_GAP and (kind, gap[0]) not in inventory.forgotten:
                which = f"{gap[0]}" if len(gap) == 1 else f"{gap[0]} to {gap[-1]}"
                sentence = (
                    f"the {kind} {which} are missing"
                    if len(gap) > 1
                    else f"{kind.removesuffix('s')} {which} is missing"
                )
                repair = "A write that failed or a restart leaves such a gap; so does a document that was removed."
                yield Fault(Kind.GAP, f"{kind}/", sentence, repair)


def _low_ceilings(inventory: Inventory) -> Iterator[Fault]:
    for kind, numbers in inventory.numbers_used().items():
        ceiling, highest = inventory.ceilings.get(kind), max(numbers, default=0)
        if ceiling is not None and ceiling <= highest:
            sentence = f"the ceiling of {kind} is {ceiling}, but {highest} is used"
            yield Fault(Kind.COUNTER, f"ids/{kind}.ceiling", sentence, f"It must be raised: {BY_FSCK}")


def _missing_tickets(inventory: Inventory) -> Iterator[Fault]:
    known = inventory.all_tickets()
    wanted = dict.fromkeys(_ids_in_events(inventory, "tickets"), "an event names it")
    wanted |= dict.fromkeys(inventory.known_to_clients, "a client knows it")
    for resource in inventory.resources.values():
        if resource.released_ticket is not None:
            wanted[resource.released_ticket] = f"resource {resource.id} was released by it"
    for number, why in wanted.items():
        if number not in known and ("tickets", number) not in inventory.lost:
            if ("tickets", number) in inventory.forgotten:
                continue
            sentence = f"there is no ticket {number}, although {why}"
            repair = "Nothing brings it back; look for a backup of this file."
            yield Fault(Kind.MISSING_TICKET, f"tickets/open/{number}.json", sentence, repair)


def _missing_resources(inventory: Inventory) -> Iterator[Fault]:
    known = inventory.all_resources()
    wanted = dict.fromkeys(_ids_in_events(inventory, "resources"), "an event names it")
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


def _ids_in_events(inventory: Inventory, kind: str) -> list[int]:
    return [number for what, number in inventory.in_events if what == kind]


def _half_assigned(inventory: Inventory) -> Iterator[Fault]:
    for file, ticket in inventory.tickets.items():
        granted = (ticket.output, ticket.assigned_at, ticket.resource_name)
        if ticket.waiting and any(fact is not None for fact in granted):
            sentence = f"ticket {ticket.id} waits, but was assigned {ticket.resource_name or 'a resource'} before"
            yield Fault(Kind.HALF_GRANTED, file, sentence, f"It must fail: {BY_FSCK}")
        if ticket.state is TicketState.FAILED and (ticket.reason is None or ticket.failed_at is None):
            sentence = f"ticket {ticket.id} is FAILED without a time or a reason"
            yield Fault(Kind.NO_REASON, file, sentence, "Its client can close it.")


def _conflicting_holders(inventory: Inventory) -> Iterator[Fault]:
    by_resource: defaultdict[int, list[tuple[str, Ticket]]] = defaultdict(list)
    for file, ticket in inventory.tickets.items():
        if ticket.state is TicketState.OPEN and ticket.resource is not None:
            by_resource[ticket.resource].append((file, ticket))
    resources = inventory.all_resources()
    for number, holders in by_resource.items():
        first, *others = sorted(holders, key=lambda holder: (holder[1].assigned_at or 0.0, holder[1].id))
        for file, ticket in others:
            sentence = f"resource {number} is assigned to two open tickets, {first[1].id} and {ticket.id}"
            yield Fault(Kind.DOUBLE_GRANT, file, sentence, f"The later one must fail: {BY_FSCK}")
        resource = resources.get(number)
        if resource is None:
            continue
        for file, ticket in holders:
            if resource.state is ResourceState.UP and (fields := _differences(ticket, resource)):
                sentence = f"ticket {ticket.id} differs from resource {number} in {', '.join(fields)}"
                repair = f"One of them is corrupt: see resalloc-maint history {number}, and correct it."
                yield Fault(Kind.MISMATCH, file, sentence, repair)
            if resource.sandbox not in (None, ticket.sandbox):
                has = f"has resource {number} of sandbox {resource.sandbox}"
                sentence = f"ticket {ticket.id} of sandbox {ticket.sandbox} {has}"
                yield Fault(Kind.WRONG_SANDBOX, file, sentence, f"Delete it: resalloc-maint resource-delete {number}.")
            if resource.state in (ResourceState.DELETING, ResourceState.ENDED):
                sentence = f"open ticket {ticket.id} has resource {number}, which is {resource.state}"
                yield Fault(Kind.DELETED_IN_USE, file, sentence, f"The ticket must fail. {BY_NEXT_PASS}")


def _differences(ticket: Ticket, resource: Resource) -> list[str]:
    """The fields of a ticket that differ from those of its resource."""
    pairs = {
        "resource_name": (ticket.resource_name, resource.name),
        "pool": (ticket.pool, resource.pool),
        "output": (ticket.output, resource.data or b""),
    }
    return [field for field, (recorded, real) in pairs.items() if recorded not in (None, real)]


def _wrong_ends(inventory: Inventory) -> Iterator[Fault]:
    for file, resource in {**inventory.resources, **inventory.ended}.items():
        # Without a time it ended before it was imported.
        if resource.state is not ResourceState.ENDED or resource.ended_at is None:
            continue
        if resource.delete_began_at is None and (resource.up_at is not None or not _start_failed(resource)):
            came_up = "came up and" if resource.up_at is not None else "was started, did not fail by itself, and"
            sentence = f"resource {resource.id} ({resource.name}) {came_up} ended without a cmd_delete"
            yield Fault(Kind.NEVER_DELETED, file, sentence, "See whether it still exists, and delete it by hand.")
        if resource.reason is None:
            sentence = f"resource {resource.id} ended without a reason"
            yield Fault(Kind.NO_REASON, file, sentence, "Nothing needs to be done.")


def _broken_holds(inventory: Inventory) -> Iterator[Fault]:
    for file, resource in {**inventory.resources, **inventory.ended}.items():
        if resource.held and resource.state not in HOLDABLE:
            sentence = f"resource {resource.id} is {resource.state}, but was held ({resource.held_reason})"
            yield Fault(Kind.DELETED_WHILE_HELD, file, sentence, "Nothing brings it back.")


def _start_failed(resource: Resource) -> bool:
    """Whether its `cmd_new` failed by itself; assumed for a resource without a history."""
    return not resource.history or any(event.event == ResourceEvent.START_FAILED for event in resource.history)


def _shared_numbers(inventory: Inventory) -> Iterator[Fault]:
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


def _exceeded_limits(inventory: Inventory) -> Iterator[Fault]:
    living = [found for found in inventory.resources.values() if found.state is not ResourceState.ENDED]
    counts = Counter(resource.pool for resource in living)
    starting = Counter(found.pool for found in living if found.state is ResourceState.STARTING)
    for name, pool in inventory.pools.items():
        for count, limit, what in (
            (counts[name], pool.max, "max"),
            (starting[name], pool.max_starting, "max_starting"),
        ):
            if count > limit:
                sentence = f"pool {name} has {count} resources, but its {what} is {limit}"
                repair = f"Nothing needs to be done if {what} was lowered: no more are started."
                yield Fault(Kind.OVER_MAX, f"pools/{name}.json", sentence, repair)


def _unsettled(inventory: Inventory) -> Iterator[Fault]:
    resources = inventory.all_resources()
    for file, ticket in inventory.tickets.items():
        resource = resources.get(ticket.resource) if ticket.resource is not None else None
        if ticket.state is TicketState.CLOSED:
            yield _unsettled_note(file, f"ticket {ticket.id} is CLOSED and not settled yet")
        elif resource and ticket.state is TicketState.OPEN and resource.state is ResourceState.DELETE_REQUEST:
            yield _unsettled_note(file, f"ticket {ticket.id} is OPEN and its resource {resource.id} is to be deleted")
    for file, resource in inventory.resources.items():
        if resource.state is ResourceState.ENDED:
            yield _unsettled_note(file, f"resource {resource.id} is ENDED and not archived")
        elif inventory.runs is not None and resource.run is not None and resource.run.id not in inventory.runs:
            yield _unsettled_note(
                file, f"resource {resource.id} waits for the run {resource.run.id}, which is not there"
            )
    for file, intent in inventory.intents.items():
        what = f"resource {intent.resource}" if intent.pool is None else f"pool {intent.pool}"
        yield _unsettled_note(file, f"the intent {intent.kind} for {what} is not decided yet")


def _unsettled_note(file: str, sentence: str) -> Fault:
    return Fault(Kind.UNSETTLED, file, sentence, BY_NEXT_PASS)


def _wrong_runs(inventory: Inventory) -> Iterator[Fault]:
    """Each resource waits for the run that belongs to its state, and for no other."""
    for file, resource in {**inventory.resources, **inventory.ended}.items():
        wanted = RUN_OF.get(resource.state)
        run = resource.run
        if wanted is not None and (run is None or run.kind is not wanted):
            sentence = f"resource {resource.id} is {resource.state}, but waits for no {wanted} run"
            yield Fault(Kind.WRONG_RUN, file, sentence, f"It must count as cut off: {BY_FSCK}")
        elif wanted is None and run is not None:
            sentence = f"resource {resource.id} is {resource.state}, but waits for the run {run.id}"
            yield Fault(Kind.WRONG_RUN, file, sentence, f"The run must be removed from it: {BY_FSCK}")


def _ownerless_runs(inventory: Inventory) -> Iterator[Fault]:
    """Each run belongs to a resource or an agent that exists."""
    if inventory.runs is None:
        return
    living = {resource.id: resource for resource in inventory.resources.values()}
    for name, runs_on in inventory.runs.items():
        number, kind = _parse_run(name)
        if number is None:
            yield from _ownerless_run_of_agent(inventory, name, runs_on)
        if number is None or number == 0:
            continue
        resource = living.get(number)
        waits = resource is not None and resource.run is not None and resource.run.id == name
        # A livecheck that hangs may outlast its resource.
        watches = kind == HookKind.WATCH and (resource is not None or runs_on)
        if waits or watches or ("resources", number) in inventory.lost:
            continue
        yield _ownerless_run(name, f"resource {number}", runs_on)


def _ownerless_run_of_agent(inventory: Inventory, name: str, runs_on: bool) -> Iterator[Fault]:
    found = _AGENTS_RUN.fullmatch(name)
    if found and inventory.agents is not None and int(found[1]) not in (0, *inventory.agents):
        yield _ownerless_run(name, f"agent {int(found[1])}", runs_on)


def _ownerless_run(run: str, owner: str, runs_on: bool) -> Fault:
    file = f"runs/{run}.run"
    if runs_on:
        sentence = f"a hook of {owner} runs, and no document waits for it"
        return Fault(Kind.LONELY_RUN, file, sentence, f"End it: kill -- -$(cat runs/{run}.group).")
    sentence = f"run {run} is over, and no document waits for it"
    return Fault(Kind.LEFTOVER, file, sentence, f"It must be removed. {BY_NEXT_PASS}")


def _parse_run(run: str) -> tuple[int | None, str]:
    """The resource and the kind of a run; None for a run of anything else."""
    found = _RUN.fullmatch(run)
    return (int(found[1]), found[2]) if found else (None, "")
