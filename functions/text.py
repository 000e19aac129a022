"""Times, sizes and other values as pages show them. Pure, but for the machine's time zone."""

from datetime import UTC, datetime

LONGEST_SHOWN = 120
"""Characters of a resource's data in a list."""


def moment(at: float) -> str:
    """A time (Unix seconds) as the clock on the wall of the server's machine shows it."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock(at: float) -> str:
    """The same without the day and the seconds."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M")


def iso(at: float) -> str:
    """A time (Unix seconds) as programs read it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def zone() -> str:
    """The time zone that `moment` uses."""
    return datetime.now().astimezone().strftime("%Z")


def span(seconds: float) -> str:
    """How long, in one unit and no more digits than anybody wants to read."""
    if seconds < 0:
        return "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    for unit, size, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < most * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def percent(share: float) -> str:
    """A share (0 to 1)."""
    return f"{share * 100:.0f} %"


def size(count: int) -> str:
    """A number of bytes."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.0f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MiB"


def text(content: bytes | None) -> str:
    """What a hook printed, as text."""
    return "" if content is None else content.decode(errors="replace").strip()


def log(content: bytes) -> str:
    """What a hook wrote into its log, as text."""
    return content.decode(errors="replace")


def printable(words: str) -> str:
    """A client's text without what only controls a terminal or a parser."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in words)


def brief(content: bytes | None) -> str:
    """What a hook printed, on one line, cut to what fits into a list."""
    line = " ".join(text(None if content is None else content[: 4 * LONGEST_SHOWN]).split())
    return line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 1] + "…"


def plural(count: int, word: str) -> str:
    """`1 pool`, `2 pools`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
