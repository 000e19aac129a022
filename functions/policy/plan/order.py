"""Whose turn it is: waiting tickets in the order of their ids, as long as there is something to get for them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple, Protocol, TypeVar

from functions.policy.snapshot.offers import Tags
from functions.policy.snapshot.snapshot import Snapshot

B = TypeVar("B", covariant=True)


class Choice(Protocol[B]):
    """What the tickets of one kind can get. Once nothing is left, nothing will come up again."""

    def best(self) -> B | None:
        """What the next of them would get, None for nothing."""


def in_turn(
    snapshot: Snapshot, for_all: Mapping[Tags, Choice[B]], own: Mapping[tuple[Tags, str | None], Choice[B]]
) -> Iterator[tuple[int, B | None, B | None]]:
    """Waiting tickets by id, each once: the id, the best that its tags can get, the best of what its sandbox has.

    The caller takes what it chooses before it asks for the next. A kind of tickets for which nothing is left is left
    out from then on, so that those who wait in vain cost nothing.
    """
    queues = [(tags, choice, iter(snapshot.waiting[tags])) for tags, choice in for_all.items()]
    queues += [
        (tags, choice, iter(snapshot.waiting_in[sandbox or ""][tags])) for (tags, sandbox), choice in own.items()
    ]
    heap = [(next(ids), number) for number, (_, _, ids) in enumerate(queues)]
    heapify(heap)
    last = None
    while heap:
        ticket, number = heap[0]
        tags, choice, ids = queues[number]
        best = choice.best()
        if best is None:
            heappop(heap)
            continue
        # A ticket may stand in the queue of its tags and in that of its sandbox: then it comes twice in a row.
        if ticket != last:
            last = ticket
            if own:
                yield ticket, _best(for_all.get(tags)), _best(own.get((tags, snapshot.tickets[ticket].sandbox)))
            else:
                yield ticket, best, None
        following = next(ids, None)
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following, number))


def _best(choice: Choice[B] | None) -> B | None:
    return choice.best() if choice is not None else None


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
