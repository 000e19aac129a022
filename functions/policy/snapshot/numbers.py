"""Which values of `id_in_pool` and of named counters are in use, those of unreadable documents included."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from sortedcontainers import SortedList

from config.pools import Pool
from state.documents import Resource


class UsedNumbers:
    """How many users each number from 0 has, and the smallest number that has none."""

    __slots__ = ("_sorted", "_users")

    def __init__(self) -> None:
        self._users: dict[int, int] = {}
        self._sorted: Any = SortedList()

    def add_user(self, number: int) -> None:
        """Count one more user of `number`."""
        if number not in self._users:
            self._sorted.add(number)
        self._users[number] = self._users.get(number, 0) + 1

    def remove_user(self, number: int) -> None:
        """Count one user of `number` less."""
        self._users[number] -= 1
        if not self._users[number]:
            del self._users[number]
            self._sorted.remove(number)

    def smallest_free(self) -> int:
        """The smallest number, from 0, that is not in use."""
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
        self._in_pool: defaultdict[str, UsedNumbers] = defaultdict(UsedNumbers)
        self._counters: defaultdict[str, UsedNumbers] = defaultdict(UsedNumbers)

    def add(self, resource: Resource) -> None:
        """Count the resource as a user of its numbers."""
        self.use(resource.pool, resource.id_in_pool, resource.counters)

    def remove(self, resource: Resource) -> None:
        """Count the resource as a user of its numbers no longer."""
        self.free(resource.pool, resource.id_in_pool, resource.counters)

    def use(self, pool: str | None, id_in_pool: int | None, counters: Mapping[str, int | None]) -> None:
        """Count one more user of these numbers; an unknown number (None) is left out."""
        for numbers, number in self._named(pool, id_in_pool, counters):
            numbers.add_user(number)

    def free(self, pool: str | None, id_in_pool: int | None, counters: Mapping[str, int | None]) -> None:
        """Count one user of these numbers less."""
        for numbers, number in self._named(pool, id_in_pool, counters):
            numbers.remove_user(number)

    def _named(
        self, pool: str | None, id_in_pool: int | None, counters: Mapping[str, int | None]
    ) -> Iterator[tuple[UsedNumbers, int]]:
        if pool is not None and id_in_pool is not None:
            yield self._in_pool[pool], id_in_pool
        for name, number in counters.items():
            if number is not None:
                yield self._counters[name], number

    def free_number(self, pool_name: str) -> int:
        """The smallest `id_in_pool` that no resource of the pool has."""
        return self._in_pool[pool_name].smallest_free()

    def free_counter(self, name: str) -> int:
        """The smallest value of a named counter that no resource of any pool has."""
        return self._counters[name].smallest_free()


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What is reserved for a resource with an unreadable document: one of the `max` resources of its pool, its numbers.

    `pool` is None when it is unknown; numbers that are None are unknown.
    """

    pool: str | None = None
    id_in_pool: int | None = None
    counters: dict[str, int | None] = {}


class Reservations:
    """The reservations in force, which count as resources in `living` (by pool) and as users in `numbers`."""

    def __init__(self, living: Counter[str], numbers: NumbersInUse) -> None:
        self._living = living
        self._numbers = numbers
        self._pools: tuple[str, ...] = ()
        self._reserved: tuple[tuple[str | None, int | None, dict[str, int | None]], ...] = ()

    def replace(
        self, wanted: Iterable[Reservation], pools: Mapping[str, Pool], options_of: Callable[[str], Pool | None]
    ) -> None:
        """Replace the reservations in force by these."""
        for pool in self._pools:
            self._living[pool] -= 1
        for numbers in self._reserved:
            self._numbers.free(*numbers)
        reservations = list(wanted)
        self._pools = tuple(reservation.pool for reservation in reservations if reservation.pool is not None)
        self._reserved = tuple(
            numbers for reservation in reservations for numbers in _possible_numbers(reservation, pools, options_of)
        )
        for pool in self._pools:
            self._living[pool] += 1
        for numbers in self._reserved:
            self._numbers.use(*numbers)


def _possible_numbers(
    wanted: Reservation, pools: Mapping[str, Pool], options_of: Callable[[str], Pool | None]
) -> Iterator[tuple[str | None, int | None, dict[str, int | None]]]:
    """The numbers to reserve; for an unknown one all that it can be, so that no other resource gets the same."""
    if wanted.pool is not None:
        pool = options_of(wanted.pool)
        known = wanted.id_in_pool
        for number in (known,) if known is not None else range(pool.max if pool else 0):
            yield wanted.pool, number, {}
    for name, value in wanted.counters.items():
        users = sum(pool.max for pool in pools.values() if name in pool.named_counters)
        for number in (value,) if value is not None else range(users):
            yield None, None, {name: number}
