"""What lost resources occupy: those that exist, although nobody can read their documents."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from config.pools import Pool
from functions.policy.snapshot.numbers import NumbersInUse


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What a resource occupies whose document cannot be read: a place in its pool, and its numbers.

    A pool that is None occupies no place; numbers that are None are not known.
    """

    pool: str | None = None
    id_in_pool: int | None = None
    counters: dict[str, int | None] = {}


class Reservations:
    """Reservations in force, counted in `living` (resources by pool) and held in `numbers`."""

    def __init__(self, living: Counter[str], numbers: NumbersInUse) -> None:
        self._living = living
        self._numbers = numbers
        self._places: tuple[str, ...] = ()
        self._held: tuple[tuple[str | None, int | None, dict[str, int | None]], ...] = ()

    def replace(
        self, wanted: Iterable[Reservation], pools: Mapping[str, Pool], options_of: Callable[[str], Pool | None]
    ) -> None:
        """Put these in force instead of the earlier ones."""
        for pool in self._places:
            self._living[pool] -= 1
        for numbers in self._held:
            self._numbers.let_go(*numbers)
        reservations = list(wanted)
        self._places = tuple(reservation.pool for reservation in reservations if reservation.pool is not None)
        self._held = tuple(
            numbers for reservation in reservations for numbers in _possible(reservation, pools, options_of)
        )
        for pool in self._places:
            self._living[pool] += 1
        for numbers in self._held:
            self._numbers.hold(*numbers)


def _possible(
    wanted: Reservation, pools: Mapping[str, Pool], options_of: Callable[[str], Pool | None]
) -> Iterator[tuple[str | None, int | None, dict[str, int | None]]]:
    """The numbers to hold: where one is not known, all that it can be, so that nobody gets the same."""
    if wanted.pool is not None:
        pool = options_of(wanted.pool)
        known = wanted.id_in_pool
        for number in (known,) if known is not None else range(pool.max if pool else 0):
            yield wanted.pool, number, {}
    for name, value in wanted.counters.items():
        users = sum(pool.max for pool in pools.values() if name in pool.named_counters)
        for number in (value,) if value is not None else range(users):
            yield None, None, {name: number}
