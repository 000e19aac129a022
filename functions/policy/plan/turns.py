"""Who comes before whom among waiting tickets with different tags, as assignments are made."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Queue(NamedTuple):
    """Tickets that wait for the same tags, ids ascending, and the pools that could serve them.

    Those with an on-demand tag are served before all others, and otherwise by id.
    """

    ids: Sequence[int]
    pools: frozenset[str]
    on_demand: bool


def rivals(queue: Queue, queues: Iterable[Queue]) -> list[Queue]:
    """The queues, this one included, that a pool of this one could serve as well."""
    return [other for other in queues if not queue.pools.isdisjoint(other.pools)]


def before(ticket: int, queue: Queue, others: Iterable[Queue]) -> int:
    """How many tickets of these queues come before this one of `queue`."""
    return sum(_before(ticket, queue, other) for other in others)


def _before(ticket: int, queue: Queue, other: Queue) -> int:
    if other.on_demand is queue.on_demand:
        return bisect_left(other.ids, ticket)
    return len(other.ids) if other.on_demand else 0
