"""Judges stored times, which may be in the future because the wall clock was set back."""

from collections.abc import Sequence

SLACK = 60.0
"""Seconds by which the clock may be set back without shortening a pause; the pause is that much longer then."""


def due_at(at: float, longest: float, now: float) -> float:
    """When something is due that was postponed until `at`, by `longest` seconds at most.

    It is due now if `at` is further ahead than that: then the clock was set back in the meantime.
    """
    return now if at > now + longest + SLACK else at


def due_ids(
    entries: Sequence[tuple[float, int]], after: float, longest: float, now: float
) -> tuple[list[int], float | None]:
    """The ids of those sorted (time, id) entries that are due `after` seconds after their times, and when the next is.

    Each is due as `due_at` returns.
    """
    ids: list[int] = []
    following = None
    for time, id in entries:
        if time + after > now:
            following = time + after
            break
        ids.append(id)
    # Entries that are far in the future were stored before the clock was set back. They are the last ones.
    for time, id in reversed(entries):
        at = time + after
        if at <= now or due_at(at, longest, now) > now:
            break
        ids.append(id)
    if following is not None and due_at(following, longest, now) <= now:
        following = None
    return ids, following


def later(known: float | None, now: float) -> float:
    """The later of two times; a known time that is ahead of `now` by more than the slack does not count."""
    return now if known is None or known > now + SLACK else max(known, now)
