"""Events: what documents tell of their transitions is copied into the files of events, behind the grants.

Each line is written once: the number of the last event that was told is known for each living document, after a start
from the files themselves. What a crash kept from being written stands in the documents, and is written then.
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
"""Most seconds from the writing of a line to its sync."""
MARGIN = 600.0
"""Seconds before the last line for which others may be missing: far more than from a transition to its line."""
LONGEST_LOOK = 86400.0
"""Seconds for which finished documents are looked through at a start, when there are no lines at all ..."""
MOST_LOOKED_AT = 10_000
"""... and how many of them at most, those with the highest numbers: nothing else goes on meanwhile."""
_LAST_LINES = 1000
_ENDED_KEPT = 1000
"""How many documents that have ended are remembered at least, before they are forgotten together."""
_LOOKED_THROUGH = 64
"""How many pieces of the files (of 256 KiB) are read at least before a document is taken for one without lines."""


class Chronicle:
    """What was written so far."""

    def __init__(self) -> None:
        self.told: dict[Key, int] = {}
        """Of all that lives the number of the last event that was written."""
        self.since = math.inf
        """Of a document that begins after this time nothing was written before."""
        self.begun = False
        self.synced_at = -math.inf
        self.unsynced = False
        self.refused = ""

    def forget(self, leader: Leader) -> None:
        """Forget those that have ended, as soon as they may be more than those that live."""
        snapshot = leader.mirror.snapshot
        living: dict[str, Collection[Any]] = {
            "ticket": snapshot.tickets,
            "resource": snapshot.resources,
            "pool": snapshot.records,
            "agent": leader.mirror.agents,
            "document": leader.corruption.quarantined,
        }
        if len(self.told) < 2 * sum(map(len, living.values())) + _ENDED_KEPT:
            return
        finished = {"ticket": leader.mirror.finished_tickets, "resource": leader.mirror.finished_resources}
        self.told = {
            (kind, key): number
            for (kind, key), number in self.told.items()
            if key in living[kind] or key in finished.get(kind, ())
        }


def write_events(leader: Leader, chronicle: Chronicle, sync: bool = False) -> float:
    """Write what is new, and sync it when that is due; returns in how many seconds to call again.

    When the files cannot be written this is told, and tried again. Raises StoreFrozen.
    """
    try:
        _write(leader, chronicle)
        wait = chronicle.synced_at + SYNC_PERIOD - time.monotonic()
        if chronicle.unsynced and (sync or wait <= 0):
            leader.store.events.sync()
            chronicle.synced_at, chronicle.unsynced = time.monotonic(), False
    except StoreUnavailable as error:
        if str(error) != chronicle.refused:
            log.error("events cannot be written: %s; trying again", error)
        chronicle.refused = str(error)
        return SYNC_PERIOD
    chronicle.refused = ""
    return wait if chronicle.unsynced else math.inf


def _write(leader: Leader, chronicle: Chronicle) -> None:
    now = leader.clock()
    if not chronicle.begun:
        _begin(leader, now)
        chronicle.begun = True
    if not leader.journal.documents and not leader.journal.events:
        chronicle.since = min(chronicle.since, now)
        return
    told = chronicle.told
    told.update(last_told(leader.store.events, _strangers(leader, chronicle), now))
    lines = [(event.at, event) for event in leader.journal.events]
    numbers: dict[Key, int] = {}
    for key, document in leader.journal.documents.items():
        events = lines_of(document, told.get(key, 0))
        if events:
            numbers[key] = events[-1].n
            # In the order of their numbers, even if the clock was set back meanwhile.
            lines += zip(accumulate((event.at for event in events), max), events, strict=True)
    if lines:
        lines.sort(key=lambda line: line[0])
        leader.store.events.append([event for _, event in lines], now)
        chronicle.unsynced = True
    told.update(numbers)
    chronicle.forget(leader)
    chronicle.since = min(chronicle.since, now)
    leader.journal.clear()


def _begin(leader: Leader, now: float) -> None:
    """Put the files in order after a crash, and look also at documents that were finished shortly before it."""
    repaired = leader.store.events.recover()
    if repaired is not None:
        log.warning("%s: %s", leader.store.name, repaired)
    horizon = _horizon(leader.store.events, now)
    most = MOST_LOOKED_AT if horizon == -math.inf else None
    for collection in (leader.store.tickets, leader.store.resources):
        for document in islice(collection.finished_since(max(horizon, now - LONGEST_LOOK)), most):
            key = key_of(document)
            if key is not None:
                leader.journal.documents.setdefault(key, document)


def _strangers(leader: Leader, chronicle: Chronicle) -> list[EventSource]:
    """Documents of which it is not known what was written: all at the start, later what an operator puts back."""
    since = chronicle.since
    return [
        document
        for key, document in leader.journal.documents.items()
        if key not in chronicle.told and began_at(document, since) < since
    ]


def last_told(files: Events, documents: Iterable[EventSource], now: float) -> dict[Key, int]:
    """The number of the last event of each document that stands in the files; 0 when there is none.

    Only what may be missing is searched: lines are written within one turn, so that older ones are there. Raises
    StoreUnavailable when the last file cannot be read.
    """
    told: dict[Key, int] = {}
    wanted: set[Key] = set()
    horizon = math.nan
    for document in documents:
        horizon = _horizon(files, now) if math.isnan(horizon) else horizon
        key, events = key_of(document), lines_of(document)
        if key is not None:
            told[key] = max((event.n for event in events if event.at < horizon), default=0)
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
                    told[found] = max(told[found], event.n)
                    wanted.discard(found)
    return told


def _horizon(files: Events, now: float) -> float:
    """What happened before this time has its line; all time when there are no lines.

    Raises StoreUnavailable when the last file cannot be read.
    """
    lines = (line for piece in files.backwards(strict=True) for line in piece.lines)
    events = (line.event() for line in islice(lines, _LAST_LINES))
    last = min((event.at for event in events if event is not None), default=-math.inf)
    return min(last, now) - MARGIN
