"""What to make of stored times when the wall clock may have been set back since."""

from collections.abc import Sequence

SLACK = 60.0
"""Seconds that the clock may be set back without anything being cut short: then it only lasts so much longer."""


def due_at(at: float, longest: float, now: float) -> float:
    """When something is due that was put off until `at`, for `longest` seconds at most.

    That is now, when `at` lies further ahead than can have been meant: the clock was set back since, nobody knows how
    long ago.
    """
    return now if at > now + longest + SLACK else at


def due_ids(
    entries: Sequence[tuple[float, int]], after: float, longest: float, now: float
) -> tuple[list[int], float | None]:
    """Of sorted (time, id) entries those that are due `after` seconds after their times, and when the next one is.

    Each is due as `due_at` says.
    """
    ids: list[int] = []
    following = None
    for time, id in entries:
        if time + after > now:
            following = time + after
            break
        ids.append(id)
    for time, id in reversed(entries):
        at = time + after
        if at <= now or due_at(at, longest, now) > now:
            break
        ids.append(id)
    if following is not None and due_at(following, longest, now) <= now:
        following = None
    return ids, following


def later(known: float | None, now: float) -> float:
    """The later of two times; a known one that lies ahead of `now` by more than the slack does not count."""
    return now if known is None or known > now + SLACK else max(known, now)
