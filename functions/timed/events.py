"""Events: copies the transitions in the histories of documents to the event files, behind the grants.

Each event is written once. `WrittenEvents` has the number of the last written event of each living document, but not
after a start, nor of documents that an operator puts back (`_documents_without_number`). Of these:
- events of a document that begins after `WrittenEvents.since` (the first writing of this process) are all unwritten;
- events from before the horizon (the last line in the files minus MARGIN) are all written, since lines follow their
  transitions within one turn;
- for events in between, the files are searched backwards.
Events that a crash kept from being written are still in the documents, and are written after the next start.
"""

import logging
import math
import time
from collections.abc import Collection, Iterable
from itertools import accumulate, islice
from typing import Any

from functions.policy.transitions.history import EventSource, Key, began_at, key_of, key_of_line, lines_of
from functions.timed.leader import Leader
from state.errors import StoreUnavailable
from state.store import Events

log = logging.getLogger(__name__)

SYNC_PERIOD = 1.0
"""Most seconds from writing a line to syncing it."""
MARGIN = 600.0
"""Seconds before the last line within which lines may be missing: far more than from a transition to its line."""
LONGEST_LOOK = 86400.0
"""Age (seconds) up to which finished documents are read at a start when there are no lines at all ..."""
MOST_EXAMINED = 10_000
"""... and how many of them at most, those with the highest ids: it blocks everything else."""
_LAST_LINES = 1000
_ENDED_KEPT = 1000
"""How many ended documents are remembered at least, before all of them are forgotten together."""
_LOOKED_THROUGH = 64
"""How many pieces of the files (of 256 KiB) are read at least before a document counts as one without lines."""


class WrittenEvents:
    """Which events were written so far."""

    def __init__(self) -> None:
        self.written: dict[Key, int] = {}
        """By living document: the number of its last written event."""
        self.since = math.inf
        """No event is written yet of a document that begins after this time (Unix seconds)."""
        self.begun = False
        self.synced_at = -math.inf
        self.unsynced = False
        self.refused = ""

    def forget(self, leader: Leader) -> None:
        """Forget ended documents, once they may outnumber the living ones."""
        snapshot = leader.mirror.snapshot
        living: dict[str, Collection[Any]] = {
            "ticket": snapshot.tickets,
            "resource": snapshot.resources,
            "pool": snapshot.records,
            "agent": leader.mirror.agents,
            "document": leader.corruption.quarantined,
        }
        if len(self.written) < 2 * sum(map(len, living.values())) + _ENDED_KEPT:
            return
        finished = {"ticket": leader.mirror.finished_tickets, "resource": leader.mirror.finished_resources}
        self.written = {
            (kind, key): number
            for (kind, key), number in self.written.items()
            if key in living[kind] or key in finished.get(kind, ())
        }


def write_events(leader: Leader, written_events: WrittenEvents, sync: bool = False) -> float:
    """Write new events, and sync them when that is due; returns in how many seconds to call again.

    A failure to write is logged and retried. Raises StoreFrozen.
    """
    try:
        _write(leader, written_events)
        wait = written_events.synced_at + SYNC_PERIOD - time.monotonic()
        if written_events.unsynced and (sync or wait <= 0):
            leader.store.events.sync()
            written_events.synced_at, written_events.unsynced = time.monotonic(), False
    except StoreUnavailable as error:
        if str(error) != written_events.refused:
            log.error("events cannot be written: %s; trying again", error)
        written_events.refused = str(error)
        return SYNC_PERIOD
    written_events.refused = ""
    return wait if written_events.unsynced else math.inf


def _write(leader: Leader, written_events: WrittenEvents) -> None:
    now = leader.clock()
    if not written_events.begun:
        _begin(leader, now)
        written_events.begun = True
    if not leader.journal.documents and not leader.journal.events:
        written_events.since = min(written_events.since, now)
        return
    written = written_events.written
    written.update(last_written(leader.store.events, _documents_without_number(leader, written_events), now))
    lines = [(event.at, event) for event in leader.journal.events]
    numbers: dict[Key, int] = {}
    for key, document in leader.journal.documents.items():
        events = lines_of(document, written.get(key, 0))
        if events:
            numbers[key] = events[-1].n
            # Ordered by number, even if the clock was set back meanwhile.
            lines += zip(accumulate((event.at for event in events), max), events, strict=True)
    if lines:
        lines.sort(key=lambda line: line[0])
        leader.store.events.append([event for _, event in lines], now)
        written_events.unsynced = True
    written.update(numbers)
    written_events.forget(leader)
    written_events.since = min(written_events.since, now)
    leader.journal.clear()


def _begin(leader: Leader, now: float) -> None:
    """Repair the files after a crash, and include documents that were finished shortly before it."""
    repaired = leader.store.events.recover()
    if repaired is not None:
        log.warning("%s: %s", leader.store.name, repaired)
    horizon = _horizon(leader.store.events, now)
    most = MOST_EXAMINED if horizon == -math.inf else None
    for collection in (leader.store.tickets, leader.store.resources):
        for document in islice(collection.finished_since(max(horizon, now - LONGEST_LOOK)), most):
            key = key_of(document)
            if key is not None:
                leader.journal.documents.setdefault(key, document)


def _documents_without_number(leader: Leader, written_events: WrittenEvents) -> list[EventSource]:
    """Documents with unknown written events: all at the start, later those that an operator puts back."""
    since = written_events.since
    return [
        document
        for key, document in leader.journal.documents.items()
        if key not in written_events.written and began_at(document, since) < since
    ]


def last_written(files: Events, documents: Iterable[EventSource], now: float) -> dict[Key, int]:
    """The number of the last written event of each document; 0 when there is none.

    Only events that may be missing are searched for. Raises
    StoreUnavailable when the last file cannot be read.
    """
    written: dict[Key, int] = {}
    wanted: set[Key] = set()
    horizon = math.nan
    for document in documents:
        horizon = _horizon(files, now) if math.isnan(horizon) else horizon
        key, events = key_of(document), lines_of(document)
        if key is not None:
            written[key] = max((event.n for event in events if event.at < horizon), default=0)
            if events and events[-1].at >= horizon:
                wanted.add(key)
    oldest = math.inf
    for number, piece in enumerate(files.backwards(strict=True) if wanted else ()):
        if not wanted or (number >= _LOOKED_THROUGH and oldest < horizon):
            break
        for line in piece.lines:
            event = line.event()
            if event is not None:
                oldest = event.at
                found = key_of_line(event)
                if found in wanted:
                    written[found] = max(written[found], event.n)
                    wanted.discard(found)
    return written


def _horizon(files: Events, now: float) -> float:
    """All events before this time (Unix seconds) are written; minus infinity when there are no lines.

    Raises StoreUnavailable when the last file cannot be read.
    """
    lines = (line for piece in files.backwards(strict=True) for line in piece.lines)
    events = (line.event() for line in islice(lines, _LAST_LINES))
    last = min((event.at for event in events if event is not None), default=-math.inf)
    return min(last, now) - MARGIN
