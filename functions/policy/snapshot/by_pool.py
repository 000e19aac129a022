"""The resources of each pool in the groups that decisions need."""

from functions.policy.snapshot.groups import Groups
from state.documents import Resource, ResourceState


class ByPool:
    """Resources that are not ENDED, in sorted groups by pool."""

    def __init__(self) -> None:
        self.starting: Groups[str] = Groups()
        """By pool: ids of STARTING resources that are not to be deleted at once."""
        self.spares: Groups[str] = Groups()
        """By pool: ids of fresh spares that are UP: free and never released."""
        self.idle: Groups[str] = Groups()
        """By pool: (released_at, id) of resources that are UP, free and were released before."""
        self.bound: Groups[str] = Groups()
        """The same resources by pool as (sandboxed_since, id)."""
        self.reused: Groups[str] = Groups()
        """The same resources by pool as (-releases_counter, id)."""
        self.failing: Groups[str] = Groups()
        """By pool: (-check_failed_count, id) of UP resources, taken or not, whose last livecheck failed."""
        self.held: Groups[str] = Groups()
        """By pool: (held_until, id) of resources that operators hold. They stand in none of the groups above."""
        self.to_delete: Groups[str] = Groups()
        """By pool: (delete_retry_at or 0, id) of resources in DELETE_REQUEST."""

        self.in_run: set[int] = set()
        """Ids of resources that wait for a hook run to end."""
        self._groups = (
            self.starting,
            self.spares,
            self.idle,
            self.bound,
            self.reused,
            self.failing,
            self.held,
            self.to_delete,
        )

    def place(self, resource: Resource, free: bool, doubtful: bool) -> None:
        """Put the resource into the groups where it belongs now.

        `free`: no ticket has it or may have it; `doubtful`: one may have it that nobody can read.
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
        self.bound.put(id, released, (resource.sandboxed_since or 0.0, id))
        self.reused.put(id, released, (-resource.releases_counter, id))
        failed = resource.check_failed_count
        judged = up and failed and held is None and not doubtful
        self.failing.put(id, pool if judged else None, (-failed, id))
        self.held.put(id, pool if held is not None else None, (held, id))
        requested = state is ResourceState.DELETE_REQUEST
        self.to_delete.put(id, pool if requested else None, (resource.delete_retry_at or 0.0, id))
        if resource.run is None:
            self.in_run.discard(id)
        else:
            self.in_run.add(id)

    def drop(self, id: int) -> None:
        """Let the resource stand in none of them."""
        for groups in self._groups:
            groups.drop(id)
        self.in_run.discard(id)
