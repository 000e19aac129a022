"""Which waiting ticket gets which resource (step 6 of a reconcile pass)."""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heapreplace

from functions.policy.plan.draft import Draft
from functions.policy.plan.order import in_turn
from functions.policy.plan.steps import Assign
from functions.policy.snapshot.offers import Offer, Tags

_OWN_SANDBOX = 500
"""What it is worth that a resource already belongs to the ticket's sandbox, beside the priorities of tags."""


class _Line:
    """Resources that are all the same to every ticket, lowest id first; `head` is None when none is left."""

    __slots__ = ("_ids", "head")

    def __init__(self, ids: Iterator[int]) -> None:
        self._ids = ids
        self.head = next(ids, None)

    def take(self) -> None:
        self.head = next(self._ids, None)


class _Choice:
    """The lines that can serve one kind of ticket, best first: highest score, then lowest id at the head."""

    __slots__ = ("_heap",)

    def __init__(self, tags: Tags, lines: Iterable[tuple[Offer, _Line]], bonus: int = 0) -> None:
        self._heap = [
            (-offer.score(tags) - bonus, line.head, line)
            for offer, line in lines
            if line.head is not None and tags <= offer.names
        ]
        heapify(self._heap)

    def best(self) -> tuple[int, int, _Line] | None:
        """The best as (negative score, id of the resource, its line)."""
        heap = self._heap
        while heap:
            score, seen, line = entry = heap[0]
            # Other kinds of tickets take from the same lines; heads only ever rise.
            if line.head == seen:
                return entry
            if line.head is None:
                heappop(heap)
            else:
                heapreplace(heap, (score, line.head, line))
        return None


def assign(draft: Draft) -> list[Assign]:
    """Give ready resources to waiting tickets: those with an on-demand tag first, then by id.

    A ticket gets the eligible resource with the best score, the lowest id among equals.
    """
    snapshot = draft.snapshot
    pairs = draft.kept_pairs()
    lines = {
        sandbox: [(offer, _Line(ids)) for offer, ids in draft.ready_ids(sandbox).items()]
        for sandbox in {None, *(sandbox for _, sandbox in pairs)}
    }
    fresh = {tags: _Choice(tags, lines[None]) for tags in snapshot.waiting} if lines[None] else {}
    own = {(tags, sandbox): _Choice(tags, lines[sandbox], _OWN_SANDBOX) for tags, sandbox in pairs}
    steps: list[Assign] = []
    for on_demand in (True, False):
        queues = in_turn(
            snapshot,
            {tags: choice for tags, choice in fresh.items() if snapshot.wants_on_demand(tags) is on_demand},
            {pair: choice for pair, choice in own.items() if snapshot.wants_on_demand(pair[0]) is on_demand},
        )
        for ticket, best, best_of_own in queues:
            own_first = best is None or (best_of_own is not None and best_of_own < best)
            chosen = best_of_own if own_first else best
            if chosen is not None:
                _, resource, line = chosen
                line.take()
                steps.append(Assign(ticket, resource))
    return steps
