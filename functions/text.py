"""Times, spans, counts and lists as people read them. Pure, except for the machine's time zone.

Times come in as Unix seconds, spans as seconds. Pages use `local` times, sentences and lines `utc` ones.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

LONGEST_SHOWN = 120
"""Characters of a resource's data in a list."""
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def moment(at: float) -> str:
    """A time in the server's time zone: `2026-03-01 18:00:00`."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock(at: float) -> str:
    """A time of the day in the server's time zone: `18:00`."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M")


def zone() -> str:
    """The name of the server's time zone."""
    return datetime.now().astimezone().strftime("%Z")


def utc(at: float) -> str:
    """A time in sentences: `2026-03-01 18:00:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def utc_clock(at: float) -> str:
    """A time of today in sentences: `18:00:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def iso(at: float) -> str:
    """A time for programs: `2026-03-01T18:00:00Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_millis(at: float) -> str:
    """A time for programs, to the millisecond: `2026-03-01T18:00:00.123Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def span(seconds: float) -> str:
    """A span in tables and on pages, in one unit: `1.5 s`, `42 s`, `3 min`, `5 h`, `2 d`."""
    if seconds < 0:
        return "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    for unit, size, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < most * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def rough_span(seconds: float) -> str:
    """A span in sentences, rounded as people say it: `7 s`, `40 s`, `4 min`, `2.5 h`, `4.6 days`."""
    if seconds < 20:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 90:
        return f"{seconds / 10:.0f}0 s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36 * 3600 else f"{seconds / 86400:.1f} days"


def units(seconds: float) -> str:
    """A span as operators write it, in its two largest units: `2h 30m`."""
    left, parts = round(seconds), []
    for unit, letter in _UNITS:
        number, left = divmod(left, unit)
        if number:
            parts.append(f"{number}{letter}")
    return " ".join(parts[:2]) or "0s"


def percent(share: float) -> str:
    """A share (0 to 1): `45 %`."""
    return f"{share * 100:.0f} %"


def size(count: int) -> str:
    """A number of bytes: `12 B`, `3 KiB`, `1.5 MiB`."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.0f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MiB"


def noun(word: str, count: int) -> str:
    """`pool` for one, `pools` otherwise."""
    return word if count == 1 else f"{word}s"


def plural(count: int, word: str) -> str:
    """`1 pool`, `2 pools`."""
    return f"{count} {noun(word, count)}"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ..., 11th, ..., 21st."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def listed(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def first_few(words: Iterable[str], most: int) -> str:
    """At most so many of the words, and how many more there are: `a, b and 4 more`."""
    found = list(words)
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more} more" if more > 0 else "")


def text(content: bytes | None) -> str:
    """What a hook printed, as text without white space around it."""
    return "" if content is None else content.decode(errors="replace").strip()


def log(content: bytes) -> str:
    """What a hook wrote into its log, as text."""
    return content.decode(errors="replace")


def printable(words: str) -> str:
    """A client's text without characters that control a terminal or a parser."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in words)


def brief(content: bytes | None) -> str:
    """What a hook printed, on one line of at most `LONGEST_SHOWN` characters."""
    line = " ".join(text(None if content is None else content[: 4 * LONGEST_SHOWN]).split())
    return line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 1] + "…"
