"""Checks a recorded history of clients against what an allocator promises. Pure: records in, faults out.

Each operation has an interval, from being sent to being answered. Somewhere in it the server did what was asked; an
operation without an answer was perhaps done at any time since, or never. A ticket surely has its resource from the
answer that showed it until its first close is sent, so two such intervals of one resource must not overlap. The same
must hold for what the documents say at the end, which have the server's own times.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from state.documents import TicketState
from tests.chaos.kept import check_kept
from tests.chaos.record import FOREVER, Call, Ending, Fault, Operation, Rule, Seen


def check(operations: Iterable[Operation], ending: Ending) -> list[Fault]:
    """All faults of a history that has come to its end."""
    operations = list(operations)
    history = _History(operations)
    return [
        *_ids(history),
        *_order(history),
        *_lost_tickets(history, ending),
        *_closes(history, ending),
        *_grants(history, ending),
        *_double_grants(_seen_holds(history), "clients"),
        *_double_grants(_written_holds(ending), "documents"),
        *_sandboxes(history, ending),
        *_deletes(history, ending),
        *check_kept(operations, ending),
    ]


@dataclass
class _Taking:
    """All tries of one TAKE together: sent with the first, answered with the first answer."""

    sandbox: str | None
    invoked: float
    returned: float = FOREVER
    tickets: set[int] = field(default_factory=set)


class _History:
    def __init__(self, operations: Iterable[Operation]) -> None:
        takings: dict[object, _Taking] = {}
        self.reads: dict[int, list[Operation]] = defaultdict(list)
        self.closes: dict[int, list[Operation]] = defaultdict(list)
        for operation in sorted(operations, key=lambda operation: operation.invoked):
            if operation.call is Call.TAKE:
                name = operation.key if operation.key is not None else object()
                taking = takings.setdefault(name, _Taking(operation.sandbox, operation.invoked))
                if operation.returned is not None and operation.ticket is not None:
                    taking.tickets.add(operation.ticket)
                    taking.returned = min(taking.returned, operation.returned)
            elif operation.ticket is not None:
                kept = self.reads if operation.call is Call.READ else self.closes
                kept[operation.ticket].append(operation)
        self.takings = list(takings.values())
        self.answered = [taking for taking in self.takings if taking.tickets]

    def first_close(self, ticket: int) -> float:
        """The time of the first close of a ticket: from then on it may be closed."""
        return min((close.invoked for close in self.closes.get(ticket, ())), default=FOREVER)

    def shown(self, ticket: int) -> list[Operation]:
        """Answered reads of a ticket that showed a resource."""
        return [read for read in self.reads.get(ticket, ()) if read.returned is not None and read.resource is not None]


def _ids(history: _History) -> Iterator[Fault]:
    owners: dict[int, int] = defaultdict(int)
    for taking in history.answered:
        if len(taking.tickets) > 1:
            yield Fault(Rule.KEY_SPLIT, f"tickets {sorted(taking.tickets)}")
        for ticket in taking.tickets:
            owners[ticket] += 1
    for ticket, count in owners.items():
        if count > 1:
            yield Fault(Rule.ID_REUSED, f"ticket {ticket} was the answer to {count} requests")


def _order(history: _History) -> Iterator[Fault]:
    """A ticket that was answered before another was asked for has the lower id."""
    by_return = sorted(history.answered, key=lambda taking: taking.returned)
    highest, done = 0, 0
    for taking in sorted(history.answered, key=lambda taking: taking.invoked):
        while by_return[done].returned < taking.invoked:
            highest = max(highest, *by_return[done].tickets)
            done += 1
        if min(taking.tickets) < highest:
            yield Fault(Rule.ORDER, f"ticket {min(taking.tickets)} was asked for after {highest} had been given")


def _lost_tickets(history: _History, ending: Ending) -> Iterator[Fault]:
    for taking in history.answered:
        for ticket in taking.tickets:
            if ticket not in ending.tickets:
                yield Fault(Rule.LOST_TICKET, f"ticket {ticket} was given and has no document")
            for asked in (*history.reads.get(ticket, ()), *history.closes.get(ticket, ())):
                if asked.seen is Seen.UNKNOWN and asked.invoked > taking.returned:
                    yield Fault(Rule.LOST_TICKET, f"ticket {ticket} was given and is unknown at {asked.invoked:.3f}")


def _closes(history: _History, ending: Ending) -> Iterator[Fault]:
    for ticket, closes in history.closes.items():
        closed_at = min(
            (close.returned for close in closes if close.returned is not None and close.seen is not Seen.UNKNOWN),
            default=FOREVER,
        )
        if closed_at == FOREVER:
            continue
        found = ending.tickets.get(ticket)
        if found is not None and found.state is not TicketState.CLOSED:
            yield Fault(Rule.LOST_CLOSE, f"ticket {ticket} was closed and is {found.state} at the end")
        for read in history.reads.get(ticket, ()):
            if read.returned is not None and read.invoked > closed_at and read.seen in (Seen.OPEN, Seen.FAILED):
                yield Fault(Rule.LOST_CLOSE, f"ticket {ticket} was closed and is {read.seen} at {read.invoked:.3f}")


def _grants(history: _History, ending: Ending) -> Iterator[Fault]:
    """A ticket keeps the resource that it showed once."""
    for ticket in history.reads:
        shown = history.shown(ticket)
        if not shown:
            continue
        first = min(shown, key=lambda read: read.returned or 0.0)
        found = ending.tickets.get(ticket)
        resources = {read.resource for read in shown}
        if found is not None and found.resource is not None:
            resources.add(str(found.resource))
        elif found is not None:
            yield Fault(Rule.LOST_GRANT, f"ticket {ticket} had resource {first.resource} and has none at the end")
        if len(resources) > 1:
            yield Fault(Rule.CHANGED_GRANT, f"ticket {ticket} had resources {sorted(map(str, resources))}")
        for read in history.reads[ticket]:
            nothing = read.returned is not None and read.resource is None and read.seen is not Seen.UNKNOWN
            if nothing and read.invoked > (first.returned or 0.0):
                yield Fault(
                    Rule.LOST_GRANT,
                    f"ticket {ticket} had resource {first.resource} and shows none at {read.invoked:.3f}",
                )


@dataclass(frozen=True)
class _Hold:
    """A ticket certainly has a resource, from `begin` to `end`."""

    resource: str
    ticket: int
    begin: float
    end: float


def _seen_holds(history: _History) -> Iterator[_Hold]:
    for ticket in history.reads:
        begins: dict[str, float] = {}
        for read in history.shown(ticket):
            if read.resource is not None and read.returned is not None:
                begins[read.resource] = min(read.returned, begins.get(read.resource, FOREVER))
        end = history.first_close(ticket)
        for resource, begin in begins.items():
            if begin < end:
                yield _Hold(resource, ticket, begin, end)


def _written_holds(ending: Ending) -> Iterator[_Hold]:
    for ticket in ending.tickets.values():
        if ticket.resource is not None and ticket.assigned_at is not None:
            end = min(at for at in (ticket.closed_at, ticket.failed_at, FOREVER) if at is not None)
            yield _Hold(str(ticket.resource), ticket.id, ticket.assigned_at, end)


def _double_grants(holds: Iterable[_Hold], source: str) -> Iterator[Fault]:
    last: dict[str, _Hold] = {}
    for hold in sorted(holds, key=lambda hold: hold.begin):
        before = last.get(hold.resource)
        if before is not None and hold.begin < before.end and hold.ticket != before.ticket:
            until = "for ever" if before.end == FOREVER else f"until {before.end:.3f}"
            yield Fault(
                Rule.DOUBLE_GRANT,
                f"resource {hold.resource} was with ticket {before.ticket} {until} and with ticket {hold.ticket} "
                f"from {hold.begin:.3f} (as {source} say)",
            )
        if before is None or hold.end > before.end:
            last[hold.resource] = hold


def _sandboxes(history: _History, ending: Ending) -> Iterator[Fault]:
    """All tickets that ever had a resource have one sandbox; without one, a ticket shares with no other."""
    sandboxes = {ticket: taking.sandbox for taking in history.answered for ticket in taking.tickets}
    owners: dict[str, dict[int, str | None]] = defaultdict(dict)
    for ticket, sandbox in sandboxes.items():
        for read in history.shown(ticket):
            owners[str(read.resource)][ticket] = sandbox
    for found in ending.tickets.values():
        if found.resource is not None:
            owners[str(found.resource)].setdefault(found.id, found.sandbox)
    for resource, tickets in owners.items():
        if len(tickets) > 1 and (None in tickets.values() or len(set(tickets.values())) > 1):
            holders = ", ".join(f"{ticket} of {sandbox or 'none'}" for ticket, sandbox in sorted(tickets.items()))
            yield Fault(Rule.SANDBOX, f"resource {resource} was with tickets {holders}")


def _deletes(history: _History, ending: Ending) -> Iterator[Fault]:
    """A resource is not deleted while a ticket has it; a ticket that failed has lost it before."""
    began: dict[str, list[float]] = defaultdict(list)
    for resource, at in ending.deletes:
        began[resource].append(at)
    for hold in _seen_holds(history):
        found = ending.tickets.get(hold.ticket)
        failed_at = found.failed_at if found is not None and found.failed_at is not None else FOREVER
        for at in began[hold.resource]:
            if hold.begin < at < min(hold.end, failed_at):
                yield Fault(
                    Rule.DELETED_IN_USE,
                    f"cmd_delete of resource {hold.resource} began at {at:.3f}, while ticket {hold.ticket} had it",
                )
