"""Checks of the events in a state folder: each transition of each document must have one line."""

from collections import Counter
from collections.abc import Iterator

from functions.policy.transitions.history import Key, key_of, key_of_line, last_number, lines_of
from state.documents import Document, Event, Ticket
from state.files.store import FileStore
from state.store import Position


def lines(store: FileStore) -> list[Event]:
    """All whole lines, in the order in which they were written; none may be damaged."""
    found = whole_lines(store)
    assert len(found) == sum(len(piece.lines) for piece in store.events.forwards(Position("", 0)))
    return found


def whole_lines(store: FileStore) -> list[Event]:
    """Those that can be read, as readers do it: a power cut may leave others."""
    found = [line.event() for piece in store.events.forwards(Position("", 0)) for line in piece.lines]
    return [event for event in found if event is not None]


def documents(store: FileStore) -> Iterator[Document]:
    """Living and finished ones."""
    contents = store.read_all()
    yield from (*contents.tickets, *contents.resources, *contents.records, *contents.agents)
    for archive in (store.tickets, store.resources):
        for key in archive.archived():
            yield archive.read(key)


def missing_and_double(store: FileStore) -> tuple[list[tuple[Key, int]], list[tuple[Key, int]]]:
    """Transitions without a line, and those with more than one."""
    wanted: set[tuple[Key, int]] = set()
    for document in documents(store):
        key = key_of(document)
        assert key is not None
        if isinstance(document, Ticket):
            wanted |= {(key, event.n) for event in lines_of(document)}
        else:
            wanted |= {(key, number) for number in range(1, last_number(document.history) + 1)}  # type: ignore[attr-defined]
    there = Counter((key, event.n) for event in whole_lines(store) if (key := key_of_line(event)) is not None)
    return sorted(wanted - there.keys(), key=str), sorted((each for each in there if there[each] > 1), key=str)
