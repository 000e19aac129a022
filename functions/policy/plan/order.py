"""Whose turn it is: waiting tickets in the order of their ids, as long as there is something to get for them."""

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from typing import Protocol, TypeVar

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
