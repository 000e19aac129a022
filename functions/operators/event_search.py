"""Looks events up in their files: the newest that fit, or what came after a place. Reads so much and no more."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from state.documents import Event
from state.files.events import EventFiles, Line, Piece, Place

MOST_AT_ONCE = 1000
"""Events in one answer, at most."""
MOST_PIECES = 256
"""Pieces (of 256 KiB) of the files that are looked through for one answer, at most."""
_DAY = 86400.0


@dataclass(frozen=True)
class Wanted:
    """Which events: from `since` to `until` (Unix seconds), of a pool, a resource (number or name), a ticket."""

    since: float = -math.inf
    until: float = math.inf
    pool: str | None = None
    resource: int | str | None = None
    ticket: int | None = None

    def fits(self, event: Event) -> bool:
        resource = event.name if isinstance(self.resource, str) else event.resource
        return (
            self.since <= event.at <= self.until
            and self.pool in (None, event.pool)
            and self.ticket in (None, event.ticket)
            and self.resource in (None, resource)
        )

    @property
    def needle(self) -> bytes:
        """What every line that fits has in it; most others are passed over without being parsed."""
        if self.resource is not None:
            field = b"name" if isinstance(self.resource, str) else b"resource"
            return b'"%s":%s' % (field, msgspec.json.encode(self.resource))
        if self.ticket is not None:
            return b'"ticket":%d' % self.ticket
        return b"" if self.pool is None else b'"pool":' + msgspec.json.encode(self.pool)


class Told(NamedTuple):
    """One event as it stands in a file."""

    line: Line
    event: Event

    @property
    def id(self) -> str:
        """The place after it, where reading goes on."""
        return str(self.line.place)

    @property
    def json(self) -> msgspec.Raw:
        """It, with its id, as it stands there."""
        return msgspec.Raw(b'{"id":"%s",%s' % (self.id.encode(), self.line.content.strip()[1:]))


class Found(NamedTuple):
    """Events in their order, the place from where the next ones follow, and the one before which there may be more."""

    events: list[Told]
    end: Place
    earlier: Place | None = None


def newest(files: EventFiles, wanted: Wanted, limit: int, before: Place | None = None) -> Found:
    """The last ones that fit, before this place."""
    end = files.end()
    start = min(end if before is None else before, _day_after(wanted.until), end)
    first_day = _day(wanted.since)
    found: list[Told] = []
    for number, piece in enumerate(files.backwards(wanted.needle, start), start=1):
        for told in _fitting(piece, wanted):
            if len(found) == limit:
                return Found(found[::-1], end, found[-1].line.begin if found else start)
            found.append(told)
        if piece.place.day < first_day:
            break
        if number == MOST_PIECES:
            return Found(found[::-1], end, piece.place)
    return Found(found[::-1], end)


def following(files: EventFiles, wanted: Wanted, after: Place, limit: int) -> Found:
    """The first ones that fit, after this place."""
    found: list[Told] = []
    for number, piece in enumerate(files.forwards(after, wanted.needle), start=1):
        for told in _fitting(piece, wanted):
            found.append(told)
            if len(found) == limit:
                return Found(found, told.line.place)
        after = piece.place
        if number == MOST_PIECES:
            break
    return Found(found, after)


def _fitting(piece: Piece, wanted: Wanted) -> list[Told]:
    return [Told(line, event) for line in piece.lines if (event := line.event()) is not None and wanted.fits(event)]


def first_place(at: float) -> Place:
    """The place from which on the events since this time stand."""
    return Place(_day(at), 0)


def _day(at: float) -> str:
    return "0000-00-00" if at == -math.inf else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _day_after(at: float) -> Place:
    """A place after what happened at this time, even if the leader wrote it down a day later."""
    return Place("9999-99-99", 0) if at == math.inf else Place(_day(at + 2 * _DAY), 0)
