"""What resources offer to tickets, and which of them serve the tickets of which sandbox."""

from collections.abc import Iterable
from functools import lru_cache

from functions.policy.order import OrderKey
from functions.policy.snapshot.groups import GroupsBySandbox
from state.documents import Resource, ResourceState

Tags = frozenset[str]
tag_set = lru_cache(maxsize=4096)(frozenset[str])


class Offer:
    """What all resources with the same pool and the same tags have in common. Equal only to itself."""

    __slots__ = ("names", "pool", "priorities")

    def __init__(self, pool: str, priorities: dict[str, int]) -> None:
        self.pool = pool
        self.priorities = priorities
        self.names: Tags = frozenset(priorities)

    def score(self, wanted: Tags) -> int:
        """The sum of the priorities of the wanted tags; the offer must have all of them."""
        return sum(self.priorities[tag] for tag in wanted)


def can_cover(resource: Resource, free: bool) -> bool:
    """Whether the resource can serve a waiting ticket now or soon, without a new start; `free`: no ticket has it."""
    coming = resource.state in (ResourceState.STARTING, ResourceState.RELEASING)
    stays = resource.delete_after_run is None and not resource.held
    return stays and (coming or (free and resource.state is ResourceState.UP))


def ready(resource: Resource) -> bool:
    """Whether the resource can be assigned now, judged by its document alone, if no ticket has it."""
    well = resource.state is ResourceState.UP and resource.check_failed_count == 0
    return well and resource.delete_after_run is None and not resource.held


class BySandbox:
    """Waiting tickets and resources by sandbox, and which tickets a resource of their own sandbox can serve."""

    def __init__(self) -> None:
        self.waiting_in: GroupsBySandbox[str, Tags] = GroupsBySandbox()
        """Order keys of waiting tickets that have a sandbox, by sandbox and tags."""
        self.covers: GroupsBySandbox[str | None, tuple[Offer, bool]] = GroupsBySandbox()
        """Ids of resources that can serve a ticket now (True) or soon (False: STARTING, RELEASING, or UP and free but
        failing its livecheck), by their sandbox (None: none yet) and offer."""
        self.own_tags: dict[str, frozenset[Tags]] = {}
        """By sandbox: the tags of its waiting tickets that a resource of the same sandbox covers; only where any is."""

    def put_ticket(self, id: int, sandbox: str | None, tags: Tags, key: OrderKey) -> None:
        """Note that this ticket waits in the sandbox with these tags; a sandbox that is None: in none."""
        old = self.waiting_in.find(id)
        changed = self.waiting_in.drop(id) if sandbox is None else self.waiting_in.put(id, sandbox, tags, key)
        if changed:
            self._update_own_tags([old[0] if old else None, sandbox])

    def drop_ticket(self, id: int) -> None:
        """Note that this ticket waits no more."""
        self.put_ticket(id, None, frozenset(), 0)

    def put_resource(self, id: int, sandbox: str | None, group: tuple[Offer, bool] | None) -> None:
        """Note how this resource, of this sandbox or of none, can serve tickets (as in `covers`); None: not at all."""
        old = self.covers.find(id)
        changed = self.covers.drop(id) if group is None else self.covers.put(id, sandbox, group, id)
        if changed:
            self._update_own_tags([old[0] if old else None, sandbox])

    def _update_own_tags(self, sandboxes: Iterable[str | None]) -> None:
        for sandbox in sandboxes:
            if sandbox is None:
                continue
            offers = {offer.names for offer, _ in self.covers[sandbox]}
            waiting = self.waiting_in[sandbox] if offers else ()
            covered = frozenset(tags for tags in waiting if any(tags <= names for names in offers))
            if covered:
                self.own_tags[sandbox] = covered
            else:
                self.own_tags.pop(sandbox, None)
