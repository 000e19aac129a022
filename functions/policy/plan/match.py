"""Serves waiting tickets in their order, and assigns resources to them (step 6 of a reconcile pass)."""

from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from typing import Protocol, TypeVar

from functions.policy.order import ticket_of
from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import Assign
from functions.policy.snapshot.offers import Offer, Tags
from functions.policy.snapshot.snapshot import Snapshot

_OWN_SANDBOX = 500
"""Added to the sum of priorities when a resource already belongs to the ticket's sandbox."""

B = TypeVar("B", covariant=True)


class Choice(Protocol[B]):
    """What the tickets of one kind can get. Once nothing is left, nothing is ever left again."""

    def best(self) -> B | None:
        """What the next of them would get, None for nothing."""


def in_turn(
    snapshot: Snapshot, for_all: Mapping[Tags, Choice[B]], own: Mapping[tuple[Tags, str | None], Choice[B]]
) -> Iterator[tuple[int, B | None, B | None]]:
    """Waiting tickets in their order, each once: its id, the best that its tags can get, the best of its own sandbox.

    The caller takes what it chooses before it asks for the next ticket. As soon as nothing is left for a kind of
    tickets, its tickets are skipped, so that tickets that wait in vain cost nothing.
    """
    waiting_in = snapshot.by_sandbox.waiting_in
    queues = [(tags, choice, iter(snapshot.waiting[tags])) for tags, choice in for_all.items()]
    queues += [(tags, choice, iter(waiting_in[sandbox or ""][tags])) for (tags, sandbox), choice in own.items()]
    heap = [(next(keys), number) for number, (_, _, keys) in enumerate(queues)]
    heapify(heap)
    last = None
    while heap:
        key, number = heap[0]
        tags, choice, keys = queues[number]
        best = choice.best()
        if best is None:
            heappop(heap)
            continue
        # A ticket may be in the queue of its tags and in that of its sandbox: then it comes twice in a row.
        if key != last:
            last, ticket = key, ticket_of(key)
            if own:
                yield ticket, _best(for_all.get(tags)), _best(own.get((tags, snapshot.tickets[ticket].sandbox)))
            else:
                yield ticket, best, None
        following = next(keys, None)
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following, number))


def _best(choice: Choice[B] | None) -> B | None:
    return choice.best() if choice is not None else None


class _Line:
    """Equivalent resources, lowest id first; `head` is the next one, None when none is left."""

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
    """Assign ready resources to waiting tickets: those with an on-demand tag first, then in their order.

    A ticket is assigned the eligible resource with the best score, the lowest id among equals.
    """
    snapshot = draft.snapshot
    pairs = draft.own_sandbox_pairs()
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
