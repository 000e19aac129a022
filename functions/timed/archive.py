"""Archive: finished documents leave the folders of what lives.

Triggered behind the grants, now and then, since two folders have to be synced for however many there are. What is not
archived when the scheduler stops, the next one does.
"""

from functions.timed.farm import Farm
from state.store import Batch

ARCHIVE_PAUSE = 0.2
"""Least seconds between two calls."""


def archive(farm: Farm) -> None:
    """Move all that is finished. Raises StoreUnavailable and StoreFrozen."""
    tickets, resources = sorted(farm.finished_tickets), sorted(farm.finished_resources)
    if tickets or resources:
        farm.store.commit(Batch(archived_tickets=tickets, archived_resources=resources))
        farm.finished_tickets.clear()
        farm.finished_resources.clear()
