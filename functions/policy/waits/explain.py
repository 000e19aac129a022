"""Why tickets wait: the plan is made once more, and what limited it is reported, so that both always agree.

Tickets with the same tags wait for the same, except for resources of their own sandboxes. Tag sets that the same pools
and the same resources can serve share one explanation, so that the cost is that of the kinds of tickets.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from config.pools import Pool
from functions.policy.plan.draft import Draft
from functions.policy.plan.plan import Plan, decide
from functions.policy.plan.starts import Limit, Reason, start_limits
from functions.policy.plan.steps import StartResource
from functions.policy.snapshot.groups import Offer, Tags, tag_set
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.waits.demand import having, starts_for, tags_of_pools
from functions.policy.waits.estimate import Forecast
from functions.policy.waits.forecast import Coming, coming_to, forecast, reuse_rate
from state.documents import PoolMode, ResourceState

MOST_OWN = 1000
"""How many pairs of tags and sandbox are explained at most."""


_NOTHING_STARTS = (Reason.ON_DEMAND_ONLY, Reason.OLD_TAGS, Reason.NOT_CONFIGURED)


class Prospect(msgspec.Struct, frozen=True, kw_only=True, rename={"limits": "holds"}):
    """One pool that could serve a kind of tickets: how full it is, what is on its way, and what limits it.

    `starting` are its starting resources that can serve the tickets, `about_to_start` those that this plan starts.
    `living` are all its resources, `taken` those that a ticket has.
    """

    pool: str
    max: int
    living: int
    taken: int
    starting: int = 0
    about_to_start: int = 0
    limits: tuple[Limit, ...] = ()


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Why tickets of one kind wait.

    Without `prospects` no pool can ever serve them: `missing` are the tags that no pool has; if that is empty, too, no
    pool has all of the tags together. `on_demand` tickets are served before the others.
    """

    on_demand: bool
    prospects: tuple[Prospect, ...] = ()
    missing: tuple[str, ...] = ()
    forecast: Forecast = Forecast()


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """Resources of a sandbox that will serve its own tickets with these tags as soon as they can."""

    tags: Tags
    sandbox: str
    releasing: int = 0
    """How many of them run `cmd_release`."""
    failing: int = 0
    """How many of them failed their last livecheck."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why all tickets wait. Equal cases are one object."""

    at: float
    cases: dict[Tags, Case]
    own: tuple[Own, ...] = ()
    pools: bool = True
    """Whether there are any pools."""


def explain(snapshot: Snapshot, now: float) -> Explanation:
    """Explain all waiting tickets at `now` (Unix seconds)."""
    draft = Draft(snapshot, now)
    explainer = _Explainer(draft, decide(draft))
    cases: dict[object, Case] = {}
    by_tags = {}
    for tags in snapshot.waiting:
        kind = explainer.kind(tags)
        missing = () if kind.pools or kind.found else tuple(sorted(tags - explainer.known_tags))
        key = (kind, missing)
        if key not in cases:
            prospects = tuple(explainer.prospects(kind))
            cases[key] = Case(
                on_demand=kind.on_demand, prospects=prospects, missing=missing, forecast=explainer.forecast(prospects)
            )
        by_tags[tags] = cases[key]
    own = []
    for tags, sandbox in draft.own_sandbox_pairs()[:MOST_OWN]:
        if tags in by_tags:
            own.append(explainer.own(tags, sandbox))
    return Explanation(at=now, cases=by_tags, own=tuple(own), pools=bool(snapshot.pools))


class _Kind(NamedTuple):
    """What can serve tickets with some tags; tags of equal kinds have equal explanations.

    `pools` are the configured pools that have the tags, `found` the offers of resources that have them and belong to no
    sandbox. `covered`: no ticket of them needs a start. `worse` are pools that start nothing because better ones do.
    """

    pools: tuple[str, ...]
    found: tuple[Offer, ...]
    on_demand: bool
    covered: bool
    worse: frozenset[str]


class _Explainer:
    """One plan, and what is derived from it again and again while one explanation is made."""

    def __init__(self, draft: Draft, decided: Plan) -> None:
        snapshot = draft.snapshot
        self.draft = draft
        self.snapshot = snapshot
        self.tags_of = tags_of_pools(snapshot)
        self.known_tags: Tags = frozenset[str]().union(*self.tags_of.values())
        self.covered = Counter(tag_set(snapshot.tickets[ticket].tags) for ticket in draft.covered)
        self.planned: defaultdict[Tags, Counter[str]] = defaultdict(Counter)
        """By tags: in which pools starts are planned for waiting tickets, and how many."""
        for pool, tickets in draft.planned.items():
            for ticket in tickets:
                self.planned[tag_set(snapshot.tickets[ticket].tags)][pool] += 1
        self.about_to_start = Counter(step.pool for step in decided.steps if isinstance(step, StartResource))
        self.found: dict[Offer, tuple[int, int]] = {}
        """By offer, of the resources of no sandbox: how many are on their way, how many fail their livecheck."""
        groups = snapshot.by_sandbox.covers[None]
        for offer, ready in groups:
            if draft.mode(offer.pool) is PoolMode.DRAINING:
                continue
            self.found.setdefault(offer, (0, 0))
            if not ready:
                self.found[offer] = self._count_coming(groups[offer, ready], ResourceState.STARTING)
        self._start_limits: dict[str, tuple[Limit, ...]] = {}
        self.reuse_rate = reuse_rate(snapshot)
        self._coming_by_pool: dict[str, list[Coming]] = {}

    def kind(self, tags: Tags) -> _Kind:
        on_demand = self.snapshot.wants_on_demand(tags)
        pools = having(self.tags_of, tags)
        return _Kind(
            pools=pools,
            found=tuple(offer for offer in self.found if tags <= offer.names),
            on_demand=on_demand,
            covered=on_demand and self.covered[tags] == len(self.snapshot.waiting[tags]),
            worse=self._worse(tags, pools) if tags in self.planned else frozenset(),
        )

    def _worse(self, tags: Tags, pools: Iterable[str]) -> frozenset[str]:
        """The pools that lose against those of all planned starts; none if one of these tickets still needs a start."""
        planned = self.planned[tags]
        if self.covered[tags] + planned.total() < len(self.snapshot.waiting[tags]):
            return frozenset()
        last = max(self._rank(name, tags) for name in planned)
        return frozenset(name for name in pools if self._rank(name, tags) > last)

    def _rank(self, name: str, tags: Tags) -> tuple[int, str]:
        offers = self.snapshot.pools[name].offers
        return -sum(offers[tag] for tag in tags), name

    def prospects(self, kind: _Kind) -> Iterator[Prospect]:
        """The prospects of the pools that have the tags, then of those that only have resources with the tags."""
        starting: Counter[str] = Counter()
        failing: Counter[str] = Counter()
        others: list[str] = []
        for offer in kind.found:
            starting[offer.pool] += self.found[offer][0]
            failing[offer.pool] += self.found[offer][1]
            if offer.pool not in kind.pools and offer.pool not in others:
                others.append(offer.pool)
        for name in kind.pools:
            pool = self.snapshot.pools[name]
            limits = self._not_starting(pool, kind)
            yield self._prospect(name, starting[name], [*limits, *self._not_assigned(name, failing[name])])
        for name in sorted(others):
            reason = Reason.OLD_TAGS if name in self.snapshot.pools else Reason.NOT_CONFIGURED
            yield self._prospect(name, starting[name], [Limit(reason), *self._not_assigned(name, failing[name])])

    def own(self, tags: Tags, sandbox: str) -> Own:
        groups = self.snapshot.by_sandbox.covers[sandbox]
        releasing = failing = 0
        for offer, ready in groups:
            if not ready and tags <= offer.names and self.draft.mode(offer.pool) is not PoolMode.DRAINING:
                coming = self._count_coming(groups[offer, ready], ResourceState.RELEASING)
                releasing, failing = releasing + coming[0], failing + coming[1]
        return Own(tags=tags, sandbox=sandbox, releasing=releasing, failing=failing)

    def forecast(self, prospects: Iterable[Prospect]) -> Forecast:
        """What comes from these pools, except those that start nothing for the tickets."""
        pools = [p.pool for p in prospects if not any(limit.reason in _NOTHING_STARTS for limit in p.limits)]
        return forecast([self._coming_to(self.snapshot.pools[name]) for name in pools])

    def _coming_to(self, pool: Pool) -> list[Coming]:
        coming = self._coming_by_pool.get(pool.name)
        if coming is None:
            coming = self._coming_by_pool[pool.name] = coming_to(
                self.draft, pool, self._limits_of(pool), self.reuse_rate
            )
        return coming

    def _limits_of(self, pool: Pool) -> tuple[Limit, ...]:
        limits = self._start_limits.get(pool.name)
        if limits is None:
            limits = self._start_limits[pool.name] = tuple(start_limits(self.draft, pool))
        return limits

    def _not_starting(self, pool: Pool, kind: _Kind) -> Iterable[Limit]:
        if not starts_for(pool, kind.on_demand):
            return [Limit(Reason.ON_DEMAND_ONLY, detail=", ".join(sorted(pool.tags_on_demand)))]
        limits = self._limits_of(pool)
        if kind.covered:
            return [*limits, Limit(Reason.ENOUGH_COMING)]
        return [*limits, Limit(Reason.BETTER_POOL)] if pool.name in kind.worse else limits

    def _not_assigned(self, name: str, failing: int) -> Iterator[Limit]:
        if idle := len(self.snapshot.by_pool.idle[name]):
            yield Limit(Reason.OTHER_SANDBOXES, idle)
        if held := len(self.snapshot.by_pool.held[name]):
            yield Limit(Reason.HELD, held)
        if failing:
            yield Limit(Reason.LIVECHECK_FAILING, failing)

    def _prospect(self, name: str, starting: int, limits: Iterable[Limit]) -> Prospect:
        snapshot = self.snapshot
        pool = snapshot.pools.get(name)
        return Prospect(
            pool=name,
            max=pool.max if pool else 0,
            living=snapshot.by_pool.living[name],
            taken=snapshot.taken(name),
            starting=starting,
            about_to_start=self.about_to_start[name],
            limits=tuple(limits),
        )

    def _count_coming(self, ids: Iterable[int], state: ResourceState) -> tuple[int, int]:
        """How many of these are in that state, and how many of the others fail their livecheck."""
        resources = [self.snapshot.resources[id] for id in ids if id not in self.draft.excluded]
        coming = sum(resource.state is state for resource in resources)
        return coming, len(resources) - coming
