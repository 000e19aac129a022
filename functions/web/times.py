"""Reads times and spans as people write them: `2026-03-01T18:00`, `14:05`, `Tuesday 14:05`, `2h`, Unix seconds.

A time without an offset is in the server's time zone.
"""

import re
from datetime import datetime, time, timedelta
from typing import Literal

from functions.text import units, utc
from functions.web.errors import BadField, BadParameter, shown

_SPAN = re.compile(r"\+?\s*(?=\d)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", re.ASCII)
_SPAN_UNITS = (86400, 3600, 60, 1)
_UNIX = re.compile(r"\d{9,11}(\.\d{1,9})?", re.ASCII)
_CLOCK = re.compile(
    r"(?:(mon|tue|wed|thu|fri|sat|sun|yesterday|today|tomorrow)[a-z]*\s+(?:at\s+)?)?(\d{1,2}:\d{2}(?::\d{2})?)",
    re.ASCII | re.IGNORECASE,
)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_Direction = Literal[-1, 1]
_PAST: _Direction = -1
_FUTURE: _Direction = 1


def read_span(field: str, text: str, most: float) -> float:
    """Seconds, from `2h`, `1d12h`, `30m` or a number of seconds, with or without a `+`; raises BadField."""
    span = _span(text.strip())
    if span is None:
        raise BadField(field, f"must be a time span like 30m, 2h or 1d, not {shown(text)}")
    if not 0 < span <= most:
        raise BadField(field, f"must be more than 0 and at most {units(most)}, not {shown(text)}")
    return span


def read_future(field: str, text: str, now: float, most: float) -> float:
    """A time (Unix seconds) at most `most` seconds after `now`; raises BadField. A span counts from now."""
    try:
        at = _time(text.strip(), now, _FUTURE)
    except (ValueError, OverflowError, OSError):
        known = "like 2026-03-01T18:00, 23:59, Tuesday 14:05 or +2h"
        raise BadField(field, f"must be a time {known}, not {shown(text)}") from None
    if at <= now:
        raise BadField(field, f"must be in the future, but {shown(text)} is not")
    if at > now + most:
        raise BadField(field, f"must be at most {units(most)} ahead, not {shown(text)}")
    return at


def read_past(field: str, text: str, now: float) -> float:
    """A time (Unix seconds) not after `now`; raises BadParameter. A span, which needs a unit, means so long ago."""
    try:
        at = _time(text.strip(), now, _PAST)
    except (ValueError, OverflowError, OSError):
        known = "like 2026-03-01T18:00, 14:05, Tuesday 14:05, 2h (ago), or Unix seconds"
        raise BadParameter(field, f"must be a time {known}, not {shown(text)}") from None
    if at > now:
        raise BadParameter(field, f"must not be in the future, but {utc(at)} is")
    return at


def _time(text: str, now: float, direction: _Direction) -> float:
    """Unix seconds; raises ValueError, OverflowError and OSError."""
    if _UNIX.fullmatch(text):
        return float(text)
    span = _span(text)
    if span is not None and (direction == _FUTURE or text[-1].isalpha()):
        return now + direction * span
    found = _CLOCK.fullmatch(text)
    if found is None:
        return datetime.fromisoformat(text).timestamp()
    hours_first = found[2].zfill(5 if found[2].count(":") == 1 else 8)
    return _nearest((found[1] or "").lower(), time.fromisoformat(hours_first), now, direction)


def _span(text: str) -> int | None:
    """Seconds; None when the text is not a span."""
    found = _SPAN.fullmatch(text)
    if found is None:
        return None
    return sum(unit * int(number or 0) for unit, number in zip(_SPAN_UNITS, found.groups(), strict=True))


def _nearest(day_word: str, clock: time, now: float, direction: _Direction) -> float:
    """The nearest time in this direction at which a clock shows `clock`, on this day or weekday if one is given."""
    today = datetime.fromtimestamp(now)
    if day_word in _DAYS:
        return datetime.combine(today + timedelta(days=_DAYS[day_word]), clock).timestamp()
    for days in range(8):
        day = today + timedelta(days=direction * days)
        at = datetime.combine(day, clock).timestamp()
        if (at - now) * direction >= 0 and day_word in ("", _WEEKDAYS[day.weekday()]):
            return at
    raise ValueError(day_word)
