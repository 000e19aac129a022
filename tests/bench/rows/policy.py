"""Row 10: the pure policy by itself: one plan for as many waiting tickets as free resources.

Trusted because it is the function that the scheduler calls, on a snapshot put together beforehand, as the scheduler
keeps one; every run plans anew. The bare limit makes as many steps without deciding anything.
"""

import time
from collections.abc import Iterator

from config.pools import Pool
from functions.policy.plan.plan import plan
from functions.policy.plan.steps import Assign
from functions.policy.snapshot.snapshot import Snapshot
from state.documents import Ticket
from tests.bench import fill
from tests.bench.place import Place
from tests.bench.table import Figure, Row, Values

POOLS, TAG_SETS = 30, 100


def farm_of(size: int) -> Snapshot:
    """`size` waiting tickets and free resources, 30 pools, 100 tag sets; some tags are asked for more often than they
    are there, so that a few tickets go without.
    """
    snapshot = Snapshot()
    shared = {f"s{number}": number for number in range(4)}
    pools = [
        Pool(
            name=f"p{number}",
            cmd_new="new",
            cmd_delete="delete",
            max=size,
            max_prealloc=0,
            tags={f"t{number}": number % 3, f"t{(number + 1) % POOLS}": 1, **shared},
        )
        for number in range(POOLS)
    ]
    snapshot.set_pools(pools)
    for number in range(size):
        pool = pools[number % POOLS]
        snapshot.put_resource(fill.up(number + 1, pool.name, ()).replace(tags=pool.tags))
    for number in range(size):
        kind = number % TAG_SETS
        tags = (f"t{kind % POOLS}", *tuple(shared)[: kind // POOLS])
        snapshot.put_ticket(Ticket(id=number + 1, tags=tags))
    return snapshot


def _planned(snapshot: Snapshot) -> tuple[float, int]:
    begun = time.perf_counter()
    decided = plan(snapshot, 0.0)
    return (time.perf_counter() - begun) * 1000, len(decided.steps)


def _steps_only(count: int) -> float:
    begun = time.perf_counter()
    tuple([Assign(number, number) for number in range(count)])
    return (time.perf_counter() - begun) * 1000


def _measure(place: Place) -> Iterator[Values]:
    size = place.size(10_000, 500)
    small, large = farm_of(size), farm_of(10 * size)
    for _ in place.runs(9):
        took, steps = _planned(small)
        ten, ten_steps = _planned(large)
        yield {
            "plan for 10,000 × 10,000": took,
            "100,000 × 100,000, times as long": ten / took,
            "assigned": (steps + ten_steps) / (11 * size) * 100,
            "bare: 10,000 steps made": _steps_only(size),
        }


ROWS = (
    Row(
        "10",
        "pure policy: a plan for 10,000 tickets × 10,000 resources, 30 pools, 100 tag sets",
        "–",
        (
            Figure("plan for 10,000 × 10,000", "ms", most=20),
            Figure("100,000 × 100,000, times as long", "×", most=12),
            Figure("assigned", "%"),
            Figure("bare: 10,000 steps made", "ms"),
        ),
        _measure,
        runs=9,
    ),
)
