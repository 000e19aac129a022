"""The order in which waiting tickets are served."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from state.documents import Ticket

OrderKey = int
"""What tickets are sorted by: of two tickets that wait for the same, the one with the lower key is served first."""


def order_key(ticket: Ticket) -> OrderKey:
    """The key of a ticket: tickets are served by id. Everything that orders tickets uses this function."""
    return ticket.id


def ticket_of(key: OrderKey) -> int:
    """The id of the ticket that has this key."""
    return key


class Queue(NamedTuple):
    """The keys of tickets that wait for the same tags, ascending, and the pools that could serve them.

    Tickets with an on-demand tag are served before all others.
    """

    keys: Sequence[OrderKey]
    pools: frozenset[str]
    on_demand: bool


def rivals(queue: Queue, queues: Iterable[Queue]) -> list[Queue]:
    """The queues, this one included, that a pool of this one could serve as well."""
    return [other for other in queues if not queue.pools.isdisjoint(other.pools)]


def before(key: OrderKey, queue: Queue, others: Iterable[Queue]) -> int:
    """How many tickets of these queues are served before the ticket of `queue` with this key."""
    return sum(_before(key, queue, other) for other in others)


def _before(key: OrderKey, queue: Queue, other: Queue) -> int:
    if other.on_demand is queue.on_demand:
        return bisect_left(other.keys, key)
    return len(other.keys) if other.on_demand else 0
