"""Archive: moves settled tickets and ended resources to the archive.

Triggered behind the grants, in batches a few times a second, since each batch syncs two folders. The next scheduler
archives what this one leaves. A document that cannot be moved stays where it is and is retried; nothing waits for it.
"""

import logging
import math
from collections.abc import Callable, Mapping

from functions.logfields import of_place
from functions.timed.leader import Leader
from state.errors import StoreUnavailable

log = logging.getLogger(__name__)

ARCHIVE_PAUSE = 0.2
"""Least seconds between two calls."""
REFUSED_PAUSE = 10.0
"""The same while a document cannot be moved."""


class Archiver:
    """Decides when to archive. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._due = -math.inf

    def archive(self, leader: Leader) -> float:
        """Archive all finished documents, if it is time; returns when to call again (seconds from now).

        Raises StoreFrozen.
        """
        if not leader.mirror.finished_tickets and not leader.mirror.finished_resources:
            return math.inf
        wait = self._due - self._monotonic()
        if wait > 0:
            return wait
        archive(leader)
        pause = REFUSED_PAUSE if leader.mirror.not_archived else ARCHIVE_PAUSE
        self._due = self._monotonic() + pause
        return pause if leader.mirror.not_archived else math.inf


def archive(leader: Leader) -> None:
    """Move all finished documents; those that cannot be moved are reported and stay. Raises StoreFrozen."""
    tickets, refused = leader.store.tickets.archive_all(leader.mirror.finished_tickets)
    resources, others = leader.store.resources.archive_all(leader.mirror.finished_resources)
    leader.mirror.finished_tickets -= tickets
    leader.mirror.finished_resources -= resources
    _report_refusals(leader, refused | others)


def _report_refusals(leader: Leader, refused: Mapping[str, StoreUnavailable]) -> None:
    """Log archive folders that became unwritable or writable again, and have the view show them."""
    before, now = leader.mirror.not_archived, dict[str, str]()
    for name, error in refused.items():
        now[name] = error.reason
        if before.get(name) != now[name]:
            log.error(
                "finished documents cannot be moved to %s: %s; they stay where they are, with a retry every %g s",
                name,
                now[name],
                REFUSED_PAUSE,
                extra=of_place(error.place),
            )
    for name in before.keys() - now.keys():
        log.info("finished documents can be moved to %s again", name)
    leader.mirror.changed |= now != before
    leader.mirror.not_archived = now
