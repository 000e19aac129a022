"""Serves waiting tickets in their order, and assigns resources to them (step 6 of a reconcile pass)."""

from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from typing import Protocol, TypeVar

from functions.policy.order import ticket_of
from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import Assign
from functions.policy.snapshot.groups import Offer, Tags
from functions.policy.snapshot.snapshot import Snapshot

_OWN_SANDBOX = 500
"""Added to the sum of priorities when a resource already belongs to the ticket's sandbox."""

B = TypeVar("B", covariant=True)


class Supply(Protocol[B]):
    """What can serve tickets with the same tags (and perhaps the same sandbox). It only shrinks."""

    def best(self) -> B | None:
        """What the next of these tickets would be served by; None when nothing is left."""


def serve_in_order(
    snapshot: Snapshot, by_tags: Mapping[Tags, Supply[B]], own: Mapping[tuple[Tags, str | None], Supply[B]]
) -> Iterator[tuple[int, B | None, B | None]]:
    """Yield waiting tickets in their order, each once: its id, the best for its tags, the best of its own sandbox.

    `own` has the supplies by tags and sandbox. The caller takes what it chooses before it asks for the next ticket.
    When a supply is used up, the rest of its tickets are skipped, so that tickets that keep waiting cost nothing.
    """
    waiting_in = snapshot.by_sandbox.waiting_in
    queues = [(tags, supply, iter(snapshot.waiting[tags])) for tags, supply in by_tags.items()]
    queues += [(tags, supply, iter(waiting_in[sandbox or ""][tags])) for (tags, sandbox), supply in own.items()]
    heap = [(next(keys), number) for number, (_, _, keys) in enumerate(queues)]
    heapify(heap)
    last = None
    while heap:
        key, number = heap[0]
        tags, supply, keys = queues[number]
        best = supply.best()
        if best is None:
            heappop(heap)
            continue
        # A ticket may be in the queue of its tags and in that of its sandbox: then it comes twice in a row.
        if key != last:
            last, ticket = key, ticket_of(key)
            if own:
                yield ticket, _best(by_tags.get(tags)), _best(own.get((tags, snapshot.tickets[ticket].sandbox)))
            else:
                yield ticket, best, None
        following = next(keys, None)
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following, number))


def _best(supply: Supply[B] | None) -> B | None:
    return supply.best() if supply is not None else None


class _ResourceQueue:
    """Equivalent resources, lowest id first; `head` is the next one, None when none is left."""

    __slots__ = ("_ids", "head")

    def __init__(self, ids: Iterator[int]) -> None:
        self._ids = ids
        self.head = next(ids, None)

    def take(self) -> None:
        self.head = next(self._ids, None)


class _Candidates:
    """The queues that can serve tickets with these tags, best first: highest score, then lowest id at the head."""

    __slots__ = ("_heap",)

    def __init__(self, tags: Tags, queues: Iterable[tuple[Offer, _ResourceQueue]], bonus: int = 0) -> None:
        self._heap = [
            (-offer.score(tags) - bonus, queue.head, queue)
            for offer, queue in queues
            if queue.head is not None and tags <= offer.names
        ]
        heapify(self._heap)

    def best(self) -> tuple[int, int, _ResourceQueue] | None:
        """The best as (negative score, id of the resource, its queue)."""
        heap = self._heap
        while heap:
            score, seen, queue = entry = heap[0]
            # Tickets with other tags take from the same queues; heads only ever rise.
            if queue.head == seen:
                return entry
            if queue.head is None:
                heappop(heap)
            else:
                heapreplace(heap, (score, queue.head, queue))
        return None


def assign(draft: Draft) -> list[Assign]:
    """Assign ready resources to waiting tickets: those with an on-demand tag first, then in their order.

    A ticket is assigned the eligible resource with the best score, the lowest id among equals.
    """
    snapshot = draft.snapshot
    pairs = draft.own_sandbox_pairs()
    ready = {
        sandbox: [(offer, _ResourceQueue(ids)) for offer, ids in draft.ready_ids(sandbox).items()]
        for sandbox in {None, *(sandbox for _, sandbox in pairs)}
    }
    fresh = {tags: _Candidates(tags, ready[None]) for tags in snapshot.waiting} if ready[None] else {}
    own = {(tags, sandbox): _Candidates(tags, ready[sandbox], _OWN_SANDBOX) for tags, sandbox in pairs}
    steps: list[Assign] = []
    for on_demand in (True, False):
        served = serve_in_order(
            snapshot,
            {tags: supply for tags, supply in fresh.items() if snapshot.wants_on_demand(tags) is on_demand},
            {pair: supply for pair, supply in own.items() if snapshot.wants_on_demand(pair[0]) is on_demand},
        )
        for ticket, best, best_of_own in served:
            own_first = best is None or (best_of_own is not None and best_of_own < best)
            chosen = best_of_own if own_first else best
            if chosen is not None:
                _, resource, queue = chosen
                queue.take()
                steps.append(Assign(ticket, resource))
    return steps
