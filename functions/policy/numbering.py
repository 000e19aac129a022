"""Which small numbers the resources use: `id_in_pool` and named counters."""

from collections import defaultdict
from typing import Any

from sortedcontainers import SortedList

from state.documents import Resource


class Numbers:
    """Numbers in use, some perhaps more than once, and the smallest one from 0 that is not."""

    __slots__ = ("_sorted", "_users")

    def __init__(self) -> None:
        self._users: dict[int, int] = {}
        self._sorted: Any = SortedList()

    def take(self, number: int) -> None:
        """One more uses `number`."""
        if number not in self._users:
            self._sorted.add(number)
        self._users[number] = self._users.get(number, 0) + 1

    def give_back(self, number: int) -> None:
        """One fewer uses `number`."""
        self._users[number] -= 1
        if not self._users[number]:
            del self._users[number]
            self._sorted.remove(number)

    def smallest_free(self) -> int:
        """The smallest number, from 0, that nobody uses."""
        # Up to the first gap the n-th number in use is n itself, after it each is larger: search for the gap.
        low, high = 0, len(self._sorted)
        while low < high:
            middle = (low + high) // 2
            if self._sorted[middle] == middle:
                low = middle + 1
            else:
                high = middle
        return low


class NumbersInUse:
    """The numbers of all living resources: `id_in_pool` for each pool, named counters over all pools."""

    def __init__(self) -> None:
        self._in_pool: defaultdict[str, Numbers] = defaultdict(Numbers)
        self._counters: defaultdict[str, Numbers] = defaultdict(Numbers)

    def take(self, resource: Resource) -> None:
        """The resource uses its numbers from now on."""
        self._in_pool[resource.pool].take(resource.id_in_pool)
        for name, number in resource.counters.items():
            self._counters[name].take(number)

    def give_back(self, resource: Resource) -> None:
        """The resource uses its numbers no more."""
        self._in_pool[resource.pool].give_back(resource.id_in_pool)
        for name, number in resource.counters.items():
            self._counters[name].give_back(number)

    def free_number(self, pool_name: str) -> int:
        """The smallest `id_in_pool` that no resource of the pool has."""
        return self._in_pool[pool_name].smallest_free()

    def free_counter(self, name: str) -> int:
        """The smallest value of a named counter that no resource of any pool has."""
        return self._counters[name].smallest_free()
