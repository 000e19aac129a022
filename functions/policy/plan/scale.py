"""How many resources to start, and where (steps 2 and 5 of a reconcile pass)."""

from collections.abc import Iterable, Mapping

from functions.policy.plan.draft import Draft
from functions.policy.plan.limits import Limit, Reason, missing_spares, room, start_limits
from functions.policy.plan.match import serve_in_order
from functions.policy.plan.steps import StartResource
from functions.policy.snapshot.offers import Tags


class _Stock:
    """What is left in one pool: how many equivalent resources, or (`start`) how many starts it has room for."""

    __slots__ = ("left", "pool", "start")

    def __init__(self, pool: str, left: int, start: bool = False) -> None:
        self.pool = pool
        self.left = left
        self.start = start


class _Stocks:
    """The stocks that can serve tickets with the same tags, best first: resources that cover them, then starts."""

    __slots__ = ("_stocks",)

    def __init__(self, stocks: Iterable[_Stock]) -> None:
        self._stocks = [*stocks][::-1]

    def best(self) -> _Stock | None:
        stocks = self._stocks
        # An empty stock is never refilled within a plan, so it is dropped.
        while stocks and stocks[-1].left <= 0:
            stocks.pop()
        return stocks[-1] if stocks else None


def on_demand_starts(draft: Draft) -> dict[str, list[int]]:
    """Step 2: the waiting tickets for which a start is planned, by pool.

    Capable pools are configured on-demand pools that have all the ticket's tags. The first capable pool, by name, that
    does not drain and has a resource for the ticket that is not counted yet covers it: a resource that is STARTING,
    RELEASING, or UP and free, is not to be deleted, has the ticket's tags, and belongs to no sandbox or to the ticket's
    (within one pool the ticket's own count first). Otherwise a start is planned in the capable pool with the highest
    sum of priorities that has room and is paused neither by operators nor by failed starts; among equals, by name.
    """
    snapshot = draft.snapshot
    tag_sets = [tags for tags in snapshot.waiting if snapshot.wants_on_demand(tags)]
    if not tag_sets:
        return {}
    offers = {name: pool.offers for name, pool in sorted(snapshot.pools.items()) if pool.on_demand}
    capable = {tags: [name for name, offered in offers.items() if tags <= offered.keys()] for tags in tag_sets}
    rooms = _rooms(draft, {name for names in capable.values() for name in names})
    unbound = _covers(draft, None)
    pairs = [(tags, sandbox) for tags, sandbox in draft.own_sandbox_pairs() if tags in capable]
    bound = {sandbox: _covers(draft, sandbox) for _, sandbox in pairs}
    served = serve_in_order(
        snapshot,
        {
            tags: _Stocks([*_serving(unbound, tags, names), *_by_priority(rooms, tags, names, offers)])
            for tags, names in capable.items()
        },
        {(tags, sandbox): _Stocks(_serving(bound[sandbox], tags, capable[tags])) for tags, sandbox in pairs},
    )
    planned = draft.planned
    for ticket, stock, own in served:
        own_first = own is not None and (stock is None or stock.start or own.pool <= stock.pool)
        counted = own if own_first else stock
        if counted is not None:
            counted.left -= 1
            if counted.start:
                planned.setdefault(counted.pool, []).append(ticket)
            else:
                draft.covered[ticket] = counted.pool
    return planned


def start(draft: Draft, on_demand: Mapping[str, list[int]]) -> list[StartResource]:
    """Step 5: what starts in the configured pools, as their limits, pauses and `start_delay` allow.

    `on_demand` is what step 2 planned. Fresh spares that are assigned in the same plan are replaced by the next.
    """
    steps: list[StartResource] = []
    for pool in draft.snapshot.pools.values():
        tickets = on_demand.get(pool.name)
        if pool.on_demand and not tickets:
            continue
        limits = start_limits(draft, pool)
        if not limits:
            most = 1 if pool.start_delay > 0 else room(draft, pool)
            wanted = tickets[:most] if tickets else [None] * min(most, missing_spares(draft, pool))
            steps += [StartResource(pool.name, ticket) for ticket in wanted]
        elif (until := _last_end(limits)) is not None:
            draft.plan_again_at(until)
    return steps


def _covers(draft: Draft, sandbox: str | None) -> list[tuple[Tags, _Stock]]:
    counts = draft.count_covers(sandbox).items()
    # Pools by name; within a pool any fixed order would do.
    ordered = sorted(counts, key=lambda item: (item[0].pool, sorted(item[0].priorities.items())))
    return [(offer.names, _Stock(offer.pool, number)) for offer, number in ordered]


def _serving(covers: Iterable[tuple[Tags, _Stock]], tags: Tags, capable: list[str]) -> list[_Stock]:
    return [stock for names, stock in covers if tags <= names and stock.pool in capable] if capable else []


def _rooms(draft: Draft, names: Iterable[str]) -> dict[str, _Stock]:
    """The pools where starts have room; a `start_delay` does not matter here."""
    rooms = {}
    for name in names:
        pool = draft.snapshot.pools[name]
        limits = [limit for limit in start_limits(draft, pool) if limit.reason is not Reason.START_DELAY]
        if not limits:
            rooms[name] = _Stock(name, room(draft, pool), start=True)
        elif (until := _last_end(limits)) is not None:
            draft.plan_again_at(until)
    return rooms


def _last_end(limits: Iterable[Limit]) -> float | None:
    """When the last of these limits ends (Unix seconds); None if one of them does not end by time."""
    ends = [limit.until for limit in limits]
    return None if None in ends else max(end for end in ends if end is not None)


def _by_priority(
    rooms: Mapping[str, _Stock], tags: Tags, capable: Iterable[str], offers: Mapping[str, dict[str, int]]
) -> list[_Stock]:
    found = [(-sum(offers[name][tag] for tag in tags), name) for name in capable if name in rooms]
    return [rooms[name] for _, name in sorted(found)]
