"""What one plan has decided so far, and the documents as they are after that."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from heapq import merge

from functions.policy.plan.steps import FailTicket, RequestDelete, Step
from functions.policy.snapshot.groups import Offer, Tags, can_cover, ready
from functions.policy.snapshot.snapshot import Snapshot
from state.documents import Actor, PoolMode, PoolRecord, Resource, ResourceState, TicketState


class Draft:
    """A plan in the making: the snapshot, which it never changes, seen through what is decided already."""

    def __init__(self, snapshot: Snapshot, now: float) -> None:
        self.snapshot = snapshot
        self.now = now
        self.next_due: float | None = None
        self.freed: dict[int, Resource] = {}
        """Resources that closed tickets release in this plan, as they are afterwards."""
        self.freed_in_pool: defaultdict[str, list[int]] = defaultdict(list)
        self.excluded: set[int] = set()
        """Resources that are not assigned and count as no spares: this plan requests their delete, or holds them."""
        self.newly_held: set[int] = set()
        """Resources whose hold begins, or is renewed, in this plan."""
        self.undecided: set[int] = set()
        """Resources with an intent that cannot be decided yet; later intents about them wait, too."""
        self.hold_ended: dict[int, Resource] = {}
        """Resources whose hold ends in this plan, as they are afterwards; not assigned before the next plan."""
        self.delete_requested: defaultdict[str, list[int]] = defaultdict(list)
        """By pool: resources that become DELETE_REQUEST in this plan."""
        self.excluded_spares: Counter[str] = Counter()
        """By pool: how many of the excluded resources were fresh spares, UP or STARTING."""
        self.planned: dict[str, list[int]] = {}
        """By on-demand pool: the waiting tickets for which this plan wants a start there."""
        self.covered: dict[int, str] = {}
        """Waiting tickets with an on-demand tag that need no start, and the pool that has a resource for each."""
        self.records: dict[str, PoolRecord] = {}
        """Records of pools that this plan changes, as they are afterwards."""
        self._freed_in_sandbox: defaultdict[str | None, list[Resource]] = defaultdict(list)
        self._excluded_covers: Counter[tuple[str | None, Offer]] = Counter()

    def plan_again_at(self, at: float) -> None:
        """Plan again at this time at the latest (Unix seconds), which must be later than now."""
        if self.next_due is None or at < self.next_due:
            self.next_due = at

    def resource(self, id: int) -> Resource | None:
        """The resource as it is after the releases and the ends of holds in this plan."""
        return self.hold_ended.get(id) or self.freed.get(id) or self.snapshot.resources.get(id)

    def is_free(self, id: int) -> bool:
        """Whether no ticket has the resource after the releases in this plan."""
        return id in self.freed or self.snapshot.is_free(id)

    def record(self, pool: str) -> PoolRecord | None:
        """The record of the pool, with the changes of this plan."""
        return self.records.get(pool) or self.snapshot.records.get(pool)

    def mode(self, pool: str) -> PoolMode:
        """The mode that operators set for the pool."""
        record = self.record(pool)
        return record.mode if record else PoolMode.ACTIVE

    def note_freed(self, resource: Resource) -> None:
        """Count this resource, as it is after its ticket released it, as free."""
        self.freed[resource.id] = resource
        self.freed_in_pool[resource.pool].append(resource.id)
        self._freed_in_sandbox[resource.sandbox].append(resource)

    def exclude_for_delete(self, resource: Resource) -> None:
        """Exclude a resource that is to be deleted: at once if it is UP, else when its hook run has ended."""
        if resource.state is ResourceState.UP:
            self.delete_requested[resource.pool].append(resource.id)
        self.exclude(resource)

    def exclude(self, resource: Resource) -> None:
        """Do not assign this resource in this plan, and do not count it as a spare or a cover."""
        self.excluded.add(resource.id)
        snapshot = self.snapshot
        if snapshot.by_pool.spares.group_of(resource.id) or snapshot.by_pool.starting.group_of(resource.id):
            self.excluded_spares[resource.pool] += 1
        found = snapshot.by_sandbox.covers.find(resource.id)
        if found is not None:
            sandbox, (offer, _) = found
            self._excluded_covers[sandbox, offer] += 1

    def request_delete(self, resource: Resource, reason: str, actor: Actor = Actor.LEADER) -> list[Step]:
        """The steps that delete this UP resource; its OPEN ticket, if it has one, fails."""
        self.exclude_for_delete(resource)
        steps: list[Step] = [RequestDelete(resource.id, reason, actor)]
        holder = self.snapshot.holder(resource.id)
        if holder is not None and holder.state is TicketState.OPEN:
            steps.append(FailTicket(holder.id, reason))
        return steps

    def count_covers(self, sandbox: str | None) -> Counter[Offer]:
        """How many resources of this sandbox, or of none, can serve a ticket now or soon, by what they offer."""
        counts: Counter[Offer] = Counter()
        groups = self.snapshot.by_sandbox.covers[sandbox]
        for offer, is_ready in groups:
            counts[offer] += len(groups[offer, is_ready])
        for offer in counts:
            counts[offer] -= self._excluded_covers[sandbox, offer]
        for resource in self._freed_in_sandbox.get(sandbox, ()):
            if can_cover(resource, free=True) and resource.id not in self.excluded:
                counts[self.snapshot.offer(resource)] += 1
        return Counter({offer: number for offer, number in counts.items() if self._may_assign(offer)})

    def ready_ids(self, sandbox: str | None) -> dict[Offer, Iterator[int]]:
        """The resources of this sandbox, or of none, that can be assigned now, lowest id first, by offer."""
        groups = self.snapshot.by_sandbox.covers[sandbox]
        known = {offer: groups[offer, True] for offer, is_ready in groups if is_ready}
        freed: defaultdict[Offer, list[int]] = defaultdict(list)
        for resource in self._freed_in_sandbox.get(sandbox, ()):
            if ready(resource):
                freed[self.snapshot.offer(resource)].append(resource.id)
        offers = [offer for offer in {*known, *freed} if self._may_assign(offer)]
        return {offer: self._without_excluded(known.get(offer, ()), freed[offer]) for offer in offers}

    def own_sandbox_pairs(self) -> list[tuple[Tags, str]]:
        """The (tags, sandbox) pairs of the waiting tickets that a resource of their own sandbox may serve."""
        pairs = {(tags, sandbox) for sandbox, sets in self.snapshot.by_sandbox.own_tags.items() for tags in sets}
        for resource in self.freed.values():
            if resource.sandbox is not None:
                pairs.update((tags, resource.sandbox) for tags in self.snapshot.by_sandbox.waiting_in[resource.sandbox])
        return list(pairs)

    def _may_assign(self, offer: Offer) -> bool:
        return self.mode(offer.pool) is not PoolMode.DRAINING

    def _without_excluded(self, known: Iterable[int], freed: list[int]) -> Iterator[int]:
        ids = merge(known, sorted(freed)) if freed else iter(known)
        return (id for id in ids if id not in self.excluded) if self.excluded else ids
