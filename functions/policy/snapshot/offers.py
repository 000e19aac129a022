"""What a resource has to offer, and whether it can be counted on."""

from functools import lru_cache

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
        """The sum of the priorities of the wanted tags, all of which it must have."""
        return sum(self.priorities[tag] for tag in wanted)


def covers(resource: Resource, free: bool) -> bool:
    """Whether it serves a waiting ticket now or may soon; `free`: whether no ticket has it."""
    coming = resource.state in (ResourceState.STARTING, ResourceState.RELEASING)
    stays = resource.delete_after_run is None and not resource.held
    return stays and (coming or (free and resource.state is ResourceState.UP))


def ready(resource: Resource) -> bool:
    """Whether it can be given away, as far as its document tells and if no ticket has it."""
    well = resource.state is ResourceState.UP and resource.check_failed_count == 0
    return well and resource.delete_after_run is None and not resource.held
