"""The patrol: reads every file again and again, a few at a time, so that corruption is found while it can be repaired.

Cleanup walks it. Living documents are compared with the mirror; finished ones and keys need only parse.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice

from functions.timed.leader import Leader
from state.errors import CorruptDocument, StoreUnavailable, UnreadableDocument


class Patrol:
    """Remembers how far the walk came."""

    LIVING, FINISHED = 500, 1000
    """How many files one call reads: about 30 ms. Files on a disk rot slowly."""

    def __init__(self) -> None:
        self._living: Iterator[None] | None = None
        self._finished: Iterator[None] | None = None

    def walk(self, leader: Leader) -> None:
        """Continue where the last call ended. Raises StoreUnavailable and StoreFrozen."""
        self._living = _some(self._living or _check_living(leader), self.LIVING)
        self._finished = _some(self._finished or _check_finished(leader), self.FINISHED)


def _some(walk: Iterator[None], count: int) -> Iterator[None] | None:
    """Advance a walk by `count` files; returns it, or None at its end."""
    return walk if sum(1 for _ in islice(walk, count)) == count else None


def _check_living(leader: Leader) -> Iterator[None]:
    store, mirror = leader.store, leader.mirror
    for key in {*mirror.snapshot.tickets, *store.tickets.living()}:
        with _refusals_noted(leader):
            leader.refresh({"tickets": {key}})
        yield
    for key in sorted({*mirror.snapshot.intents, *store.intents.living()}):
        with _refusals_noted(leader):
            leader.refresh({"intents": {key}})
        yield
    for collection in (store.resources, store.pools, store.agents):
        for key in {*leader.known_documents(collection), *collection.living()}:
            with _refusals_noted(leader):
                leader.check_document(collection, key)
            yield


def _check_finished(leader: Leader) -> Iterator[None]:
    store = leader.store
    forgotten = store.keys.forget_before(leader.clock() - leader.settings.ticket_retention)
    for fault in chain(forgotten, store.corruption.check_finished() if store.corruption else ()):
        match fault:
            case CorruptDocument():
                leader.report_corrupt(fault)
            case UnreadableDocument():
                leader.report_refused(fault)
        yield


@contextmanager
def _refusals_noted(leader: Leader) -> Iterator[None]:
    """Note one document that cannot be read, and go on with the others."""
    try:
        yield
    except StoreUnavailable as refused:
        if not refused.one_document:
            raise
        leader.report_refused(UnreadableDocument(refused.place, refused.reason))
