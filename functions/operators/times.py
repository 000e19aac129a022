"""Times and spans as operators write them: `2026-03-01T18:00`, `+2h`, `1h30m`."""

import re
from datetime import datetime, time, timedelta

from functions.text import units, utc
from functions.web.errors import BadField, BadParameter, shown

_SPAN = re.compile(r"\+?\s*(?=\d)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", re.ASCII)
_UNIX = re.compile(r"\d{9,11}(\.\d{1,9})?", re.ASCII)
_CLOCK = re.compile(
    r"(?:(mon|tue|wed|thu|fri|sat|sun|yesterday|today)[a-z]*\s+(?:at\s+)?)?(\d{1,2}:\d{2}(?::\d{2})?)",
    re.ASCII | re.IGNORECASE,
)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = (86400, 3600, 60, 1)


def read_span(field: str, text: str, most: float) -> float:
    """Seconds, from `2h`, `1d12h`, `30m`, or a number of seconds, with or without a `+`; raises BadField."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise BadField(field, f"must be a time span like 30m, 2h or 1d, not {shown(text)}")
    span = sum(unit * int(number or 0) for unit, number in zip(_UNITS, found.groups(), strict=True))
    if not 0 < span <= most:
        raise BadField(field, f"must be more than nothing and at most {units(most)}, not {shown(text)}")
    return span


def read_moment(field: str, text: str, now: float, most: float) -> float:
    """A time (Unix seconds) up to `most` seconds ahead, from a span or an ISO time; raises BadField.

    An ISO time without an offset is in the server's time zone.
    """
    text = text.strip()
    if _SPAN.fullmatch(text):
        return now + read_span(field, text, most)
    try:
        at = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise BadField(field, f"must be a time like 2026-03-01T18:00 or +2h, not {shown(text)}") from None
    if at <= now:
        raise BadField(field, f"must lie ahead, and {utc(at)} is over")
    if at > now + most:
        raise BadField(field, f"must be at most {units(most)} ahead, not {shown(text)}")
    return at


def read_past(field: str, text: str, now: float) -> float:
    """A time that is over (Unix seconds), from Unix seconds, a span (`2h`: so long ago), an ISO time, or one of the
    last days: `14:05`, `yesterday 14:05`, `Tuesday at 14:05`. Raises BadParameter.

    A time without an offset is in the server's time zone.
    """
    text = text.strip()
    try:
        at = _past(text, now)
    except (ValueError, OverflowError, OSError, BadField):
        known = "like 2026-03-01T18:00, 14:05, Tuesday 14:05, 2h (ago), or Unix seconds"
        raise BadParameter(field, f"must be a time {known}, not {shown(text)}") from None
    if at > now:
        raise BadParameter(field, f"must not lie ahead, as {utc(at)} does")
    return at


def _past(text: str, now: float) -> float:
    if _UNIX.fullmatch(text):
        return float(text)
    if _SPAN.fullmatch(text) and text[-1:].isalpha():
        return now - read_span("", text, now)
    found = _CLOCK.fullmatch(text)
    if found is None:
        return datetime.fromisoformat(text).timestamp()
    word, clock = (found[1] or "").lower(), time.fromisoformat(found[2].zfill(5 if found[2].count(":") == 1 else 8))
    for days in range(8):
        day = datetime.fromtimestamp(now) - timedelta(days=days)
        at = datetime.combine(day, clock).timestamp()
        if word == ("today", "yesterday", "")[min(days, 2)] and word:
            return at
        if at <= now and word in ("", _WEEKDAYS[day.weekday()]):
            return at
    raise ValueError(text)
