"""Events in words, a line each. Pure."""

from functions.text import iso_millis
from state.documents import Event


def line(event: Event) -> str:
    """`TIME KIND ID EVENT, BEFORE → AFTER, by ACTOR, ...: REASON`, as far as there are any of these."""
    parts = [f"{_subject(event)} {event.event}"]
    if event.after is not None and event.before != event.after:
        parts.append(f"{event.before} → {event.after}" if event.before else event.after)
    parts.append(f"by {event.actor}")
    if event.kind == "ticket" and event.resource is not None:
        parts.append(f"resource {event.resource} {event.name}")
    if event.kind == "resource" and event.ticket is not None:
        since = f" since {iso_millis(event.since)}" if event.since is not None else ""
        parts.append(f"ticket {event.ticket}{since}")
    if event.kind == "document":
        parts += [f"ticket {event.ticket}"] * (event.ticket is not None)
        parts += [f"resource {event.resource}"] * (event.resource is not None)
    if event.kind == "agent":
        parts.append(f"group {event.group}")
    if event.pool is not None and event.kind != "pool":
        parts.append(f"pool {event.pool}")
    if event.until is not None:
        parts.append(f"until {iso_millis(event.until)}")
    words = f"{iso_millis(event.at)} {', '.join(parts)}"
    return _plain(f"{words}: {event.reason}" if event.reason else words)


def _subject(event: Event) -> str:
    match event.kind:
        case "resource":
            return f"resource {event.resource} {event.name}"
        case "ticket":
            return f"ticket {event.ticket}"
        case "pool":
            return f"pool {event.pool}"
        case "agent":
            return f"agent {event.ticket}"
        case kind:
            return kind or "?"


def _plain(text: str) -> str:
    """On one line, without what a terminal would obey."""
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)
