"""Checks that held or bad resources were neither assigned nor lost: pure, a part of the checker of histories.

A close is perhaps done twice, when its first try got no answer; each says the same against the resource. When one was
answered, the ticket's document must show it, and no other ticket may have been assigned that resource since.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from tests.chaos.record import Call, Ending, Fault, Operation, Rule, Seen


def check_kept(operations: Iterable[Operation], ending: Ending) -> Iterator[Fault]:
    """All faults with what operators held and what clients called bad."""
    yield from _held(ending)
    yield from _bad(ending)
    yield from _words(operations, ending)


def _held(ending: Ending) -> Iterator[Fault]:
    given: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for ticket in ending.tickets.values():
        if ticket.resource is not None and ticket.assigned_at is not None:
            given[str(ticket.resource)].append((ticket.assigned_at, f"was given to ticket {ticket.id}"))
    for resource, at in ending.deletes:
        given[resource].append((at, "was deleted"))
    for kept in ending.kept:
        for at, what in given[kept.resource]:
            if kept.begin < at < kept.end:
                span = f"held from {kept.begin:.3f} until {kept.end:.3f}"
                yield Fault(Rule.HELD, f"resource {kept.resource} {what} at {at:.3f}, and was {span}")


def _bad(ending: Ending) -> Iterator[Fault]:
    called: dict[int, tuple[int, float]] = {}
    for ticket in ending.tickets.values():
        if ticket.bad is not None and ticket.resource is not None and ticket.closed_at is not None:
            called[ticket.resource] = (ticket.id, ticket.closed_at)
    for ticket in ending.tickets.values():
        if ticket.resource in called and ticket.assigned_at is not None:
            by, at = called[ticket.resource]
            if ticket.assigned_at > at and ticket.id != by:
                acknowledged = f"ticket {by} called resource {ticket.resource} bad"
                yield Fault(Rule.BAD, f"{acknowledged} at {at:.3f}, and ticket {ticket.id} got it after that")


def _words(operations: Iterable[Operation], ending: Ending) -> Iterator[Fault]:
    for close in operations:
        if close.call is Call.CLOSE and close.bad and close.returned is not None and close.seen is not Seen.UNKNOWN:
            found = ending.tickets.get(close.ticket or 0)
            if found is not None and found.bad is None:
                yield Fault(Rule.LOST_WORD, f"ticket {close.ticket} was closed with a word that its document lost")
