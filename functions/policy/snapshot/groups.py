"""Sorted groups of documents by pool and by sandbox, updated one document at a time while documents change.

An offer is what all resources with the same pool and tags offer to tickets.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sortedcontainers import SortedList

from functions.policy.order import OrderKey
from state.documents import Resource, ResourceState

G = TypeVar("G", bound=Hashable)
S = TypeVar("S", bound=Hashable)


class Groups(Generic[G]):
    """Entries in groups, each group sorted. A document is in at most one group; empty groups are removed.

    An entry is the document's id, or a tuple of what to sort by and the id.
    """

    __slots__ = ("_groups", "_locations")

    def __init__(self) -> None:
        self._groups: dict[G, Any] = {}
        self._locations: dict[int, tuple[G, Any]] = {}

    def put(self, id: int, group: G | None, entry: Any) -> bool:
        """Put document `id` into `group` only (None: into none). Returns whether a group appeared or vanished."""
        if group is None:
            return self.drop(id)
        location = (group, entry)
        old = self._locations.get(id)
        if old == location:
            return False
        vanished = old is not None and self._leave(old)
        self._locations[id] = location
        entries = self._groups.get(group)
        if entries is None:
            self._groups[group] = SortedList((entry,))
            return True
        entries.add(entry)
        return vanished

    def drop(self, id: int) -> bool:
        """Take document `id` out of its group. Returns whether the group vanished."""
        location = self._locations.pop(id, None)
        return location is not None and self._leave(location)

    def _leave(self, location: tuple[G, Any]) -> bool:
        group, entry = location
        entries = self._groups[group]
        entries.remove(entry)
        if entries:
            return False
        del self._groups[group]
        return True

    def group_of(self, id: int) -> G | None:
        """The group of document `id`."""
        location = self._locations.get(id)
        return location[0] if location else None

    def __getitem__(self, group: G) -> Sequence[Any]:
        entries: Sequence[Any] = self._groups.get(group, ())
        return entries

    def __iter__(self) -> Iterator[G]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)


class GroupsBySandbox(Generic[S, G]):
    """Groups for each sandbox: those of one sandbox are found without looking at the others."""

    __slots__ = ("_groups", "_sandboxes")

    def __init__(self) -> None:
        self._groups: dict[S, Groups[G]] = {}
        self._sandboxes: dict[int, S] = {}

    def put(self, id: int, sandbox: S, group: G, entry: Any) -> bool:
        """Put document `id` into this group of this sandbox only. Returns whether a group appeared or vanished."""
        changed = self._sandboxes.get(id, sandbox) != sandbox and self.drop(id)
        self._sandboxes[id] = sandbox
        groups = self._groups.get(sandbox)
        if groups is None:
            groups = self._groups[sandbox] = Groups()
        return groups.put(id, group, entry) or changed

    def drop(self, id: int) -> bool:
        """Take document `id` out of its sandbox. Returns whether its group vanished."""
        if id not in self._sandboxes:
            return False
        sandbox = self._sandboxes.pop(id)
        groups = self._groups[sandbox]
        vanished = groups.drop(id)
        if not groups:
            del self._groups[sandbox]
        return vanished

    def find(self, id: int) -> tuple[S, G] | None:
        """The sandbox and the group of document `id`; None when it is in none."""
        if id not in self._sandboxes:
            return None
        sandbox = self._sandboxes[id]
        group = self._groups[sandbox].group_of(id)
        return None if group is None else (sandbox, group)

    def __getitem__(self, sandbox: S) -> Groups[G]:
        groups = self._groups.get(sandbox)
        return Groups() if groups is None else groups


class ByPool:
    """The resources of each pool that are not ENDED, in the sorted groups that decisions need."""

    def __init__(self) -> None:
        self.living: Counter[str] = Counter()
        """Number of resources by pool."""
        self.states: Counter[tuple[str, ResourceState]] = Counter()
        """Number of resources by pool and state."""
        self.starting: Groups[str] = Groups()
        """By pool: ids of STARTING resources that are not to be deleted after their start."""
        self.spares: Groups[str] = Groups()
        """By pool: ids of fresh spares that are UP: free and never released."""
        self.idle: Groups[str] = Groups()
        """By pool: (released_at, id) of resources that are UP, free and were released before."""
        self.idle_by_first_use: Groups[str] = Groups()
        """The same resources by pool as (sandboxed_since, id)."""
        self.idle_by_releases: Groups[str] = Groups()
        """The same resources by pool as (-releases_counter, id)."""
        self.failing: Groups[str] = Groups()
        """By pool: (-check_failed_count, id) of UP resources, taken or not, whose last livecheck failed."""
        self.held: Groups[str] = Groups()
        """By pool: (held_until, id) of resources that operators hold. They are in none of the groups above."""
        self.to_delete: Groups[str] = Groups()
        """By pool: (delete_retry_at or 0, id) of resources in DELETE_REQUEST."""

        self._in_run: set[int] = set()
        self._groups = (
            self.starting,
            self.spares,
            self.idle,
            self.idle_by_first_use,
            self.idle_by_releases,
            self.failing,
            self.held,
            self.to_delete,
        )

    def count(self, resource: Resource, change: int) -> None:
        """Count one resource more (`change` is 1) or less (-1)."""
        self.living[resource.pool] += change
        self.states[resource.pool, resource.state] += change

    def put(self, resource: Resource, free: bool, doubtful: bool) -> None:
        """Put the resource into the groups where it belongs now.

        `free`: no ticket has it or may have it; `doubtful`: a ticket whose document cannot be read may have it.
        """
        id, pool, state = resource.id, resource.pool, resource.state
        up = state is ResourceState.UP
        held = resource.held_until
        free = free and up and held is None
        released = pool if free and resource.releases_counter > 0 else None
        starts = state is ResourceState.STARTING and resource.delete_after_run is None
        self.starting.put(id, pool if starts else None, id)
        self.spares.put(id, pool if free and not released else None, id)
        self.idle.put(id, released, (resource.released_at or 0.0, id))
        self.idle_by_first_use.put(id, released, (resource.sandboxed_since or 0.0, id))
        self.idle_by_releases.put(id, released, (-resource.releases_counter, id))
        failed = resource.check_failed_count
        judged = up and failed and held is None and not doubtful
        self.failing.put(id, pool if judged else None, (-failed, id))
        self.held.put(id, pool if held is not None else None, (held, id))
        requested = state is ResourceState.DELETE_REQUEST
        self.to_delete.put(id, pool if requested else None, (resource.delete_retry_at or 0.0, id))
        if resource.run is None:
            self._in_run.discard(id)
        else:
            self._in_run.add(id)

    def drop(self, id: int) -> None:
        """Take the resource out of all groups."""
        for groups in self._groups:
            groups.drop(id)
        self._in_run.discard(id)

    def in_run(self) -> list[int]:
        """Ids of the resources that wait for a hook run to end, ascending."""
        return sorted(self._in_run)


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
