"""The order in which waiting tickets are served."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from state.documents import Ticket

Turn = int
"""Where a ticket is in the order: of two turns that wait for the same, the lower one comes first."""


def turn_of(ticket: Ticket) -> Turn:
    """The turn of a ticket: tickets are served by id. Everything that orders tickets uses this key."""
    return ticket.id


def ticket_of(turn: Turn) -> int:
    """The id of the ticket that has this turn."""
    return turn


class Queue(NamedTuple):
    """Tickets that wait for the same tags, by their turns, ascending, and the pools that could serve them.

    Tickets with an on-demand tag are served before all others.
    """

    turns: Sequence[Turn]
    pools: frozenset[str]
    on_demand: bool


def rivals(queue: Queue, queues: Iterable[Queue]) -> list[Queue]:
    """The queues, this one included, that a pool of this one could serve as well."""
    return [other for other in queues if not queue.pools.isdisjoint(other.pools)]


def before(turn: Turn, queue: Queue, others: Iterable[Queue]) -> int:
    """How many tickets of these queues are served before the one of `queue` with this turn."""
    return sum(_before(turn, queue, other) for other in others)


def _before(turn: Turn, queue: Queue, other: Queue) -> int:
    if other.on_demand is queue.on_demand:
        return bisect_left(other.turns, turn)
    return len(other.turns) if other.on_demand else 0
