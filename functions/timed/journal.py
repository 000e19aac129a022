"""The journal: events that are not in the event files yet. `events.py` writes them there."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from functions.policy.transitions.history import KEPT_EVENTS, EventSource, Key, key_of
from state.documents import Actor, Event

_MOST_CHANGES = KEPT_EVENTS // 4
"""Changes of one document before its events must be written: each change adds four of them at most."""


class Journal:
    """Changed documents whose events are unwritten, and unwritten events that belong to no document.

    `clock` gives Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.documents: dict[Key, EventSource] = {}
        """The newest version of each document that may have unwritten events."""
        self.events: list[Event] = []
        """Unwritten events that belong to no document."""
        self.crowded = False
        """Whether a document changed so often that its oldest unwritten events may soon drop out of its history."""
        self._clock = clock
        self._changes: Counter[Key] = Counter()

    def note(self, document: EventSource) -> None:
        """Note that a document changed, so that its new events are written."""
        key = key_of(document)
        if key is not None:
            self.documents[key] = document
            self._changes[key] += 1
            self.crowded |= self._changes[key] >= _MOST_CHANGES

    def add(self, kind: str, event: str, reason: str | None = None, **about: Any) -> None:
        """Add an event of the leader that belongs to no document; `about` are more fields of the event."""
        self.events.append(Event(at=self._clock(), kind=kind, event=event, actor=Actor.LEADER, reason=reason, **about))

    def clear(self) -> None:
        """Forget everything: it has been written."""
        self.documents.clear()
        self.events.clear()
        self._changes.clear()
        self.crowded = False
