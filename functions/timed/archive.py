"""Archive: finished documents leave the folders of what lives.

Triggered behind the grants, now and then, since two folders have to be synced for however many there are. What is not
archived when the scheduler stops, the next one does. What cannot be moved stays where it is and is tried again, and
nothing waits for it but a resource that another ticket is to let go.
"""

import logging
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from functions.logfields import of_file
from functions.timed.leader import Leader
from state.errors import StoreUnavailable

log = logging.getLogger(__name__)

ARCHIVE_PAUSE = 0.2
"""Least seconds between two calls."""
REFUSED_PAUSE = 10.0
"""The same while something cannot be moved."""


class Archivist:
    """When to archive. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._due = -math.inf

    def archive(self, leader: Leader) -> float:
        """Archive all that is finished, if it is time; returns when to call again (seconds from now).

        Raises StoreFrozen.
        """
        if not leader.mirror.finished_tickets and not leader.mirror.finished_resources:
            return math.inf
        wait = self._due - self._monotonic()
        if wait > 0:
            return wait
        kept = leader.mirror.snapshot.kept_taken
        archive(leader)
        pause = REFUSED_PAUSE if leader.mirror.not_archived else ARCHIVE_PAUSE
        self._due = self._monotonic() + pause
        if kept - leader.mirror.snapshot.kept_taken:
            # Tickets that had to keep their resources so far can let them go.
            return 0.0
        return pause if leader.mirror.not_archived else math.inf


def archive(leader: Leader) -> None:
    """Move all that is finished; what cannot be moved is told, and stays where it is. Raises StoreFrozen."""
    tickets, refused = leader.store.tickets.archive_all(leader.mirror.finished_tickets)
    resources, others = leader.store.resources.archive_all(leader.mirror.finished_resources)
    for ticket in tickets:
        del leader.mirror.finished_tickets[ticket]
    leader.mirror.finished_resources -= resources
    _tell(leader, refused | others)
    leader.mirror.snapshot.keep_taken(
        number for number in leader.mirror.finished_tickets.values() if number is not None
    )


def archive_earlier(leader: Leader, resources: Collection[int]) -> bool:
    """Move the finished tickets that had these resources; tells whether none is left. Raises StoreFrozen.

    A resource tells which ticket let it go last. An earlier one that stood beside that would let it go again, so that
    the resource stays taken until it can be moved.
    """
    earlier = {ticket: had for ticket, had in leader.mirror.finished_tickets.items() if had in resources}
    if not earlier:
        return True
    moved, refused = leader.store.tickets.archive_all(earlier)
    for ticket in moved:
        del leader.mirror.finished_tickets[ticket]
    if refused:
        _tell(leader, refused, at_least=leader.mirror.not_archived)
        left = {number for ticket, number in earlier.items() if number is not None and ticket not in moved}
        leader.mirror.snapshot.keep_taken(leader.mirror.snapshot.kept_taken | left)
    return not refused


def _tell(leader: Leader, refused: Mapping[Path, StoreUnavailable], at_least: Mapping[str, str] | None = None) -> None:
    """Log what is new about where nothing can be moved to, and have it shown."""
    before, now = leader.mirror.not_archived, dict(at_least or {})
    for folder, error in refused.items():
        name = str(folder.relative_to(leader.store.root))
        now[name] = error.error.strerror or str(error.error)
        if before.get(name) != now[name]:
            log.error(
                "what is finished cannot be moved to %s: %s; it stays where it is, and is tried again every %g s",
                name,
                now[name],
                REFUSED_PAUSE,
                extra=of_file(error.path),
            )
    for name in before.keys() - now.keys():
        log.info("what is finished can be moved to %s again", name)
    leader.mirror.changed |= now != before
    leader.mirror.not_archived = now
