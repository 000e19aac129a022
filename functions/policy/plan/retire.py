"""Releases what closed tickets had, decides what is to be deleted and why, and starts deletes (steps 1, 3 and 4)."""

from collections.abc import Sequence

from config.pools import Pool
from functions.policy.clock import due_at, due_ids
from functions.policy.plan import intents
from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import FailTicket, Release, Settle, StartDelete, Step
from functions.policy.transitions.outcome import LONGEST_PAUSE
from functions.policy.transitions.resource import release_resource
from functions.text import plural
from state.documents import Actor, Resource, ResourceState


def release_closed(draft: Draft) -> list[Step]:
    """Step 1: a CLOSED ticket releases its resource, or settles when it has none to release.

    A ticket is never released and settled in one plan: its resource must be written first. A resource that its client
    called bad is deleted, after `cmd_release` if there is one.
    """
    snapshot = draft.snapshot
    steps: list[Step] = []
    for id in sorted(snapshot.closed):
        ticket = snapshot.tickets[id]
        if ticket.resource in snapshot.lost:
            continue
        resource = snapshot.resources.get(ticket.resource) if ticket.resource is not None else None
        if resource is None or resource.state is not ResourceState.UP or snapshot.holder(resource.id) is not ticket:
            steps.append(Settle(id))
            continue
        options = snapshot.options_of(resource.pool)
        hook = options is not None and options.cmd_release is not None
        free = release_resource(resource, ticket, hook, draft.now)
        draft.note_freed(free)
        steps.append(Release(id, resource.id, hook))
        if not hook and free.delete_after_run is not None and not free.held:
            steps += draft.request_delete(free, free.delete_after_run, Actor.CLIENT)
    return steps


def remove(draft: Draft) -> list[Step]:
    """Step 3: tickets without their resource fail, intents are decided, and resources of no more use are deleted.

    A pool that left the file is treated like the others, by the options that it last had: its resources stay and can be
    assigned until one of the usual reasons removes them. So a pool that was removed by mistake finds its spares again.
    """
    snapshot = draft.snapshot
    steps: list[Step] = []
    for id in sorted(snapshot.stranded):
        steps.append(FailTicket(id, _what_happened(draft, id)))
    for id in sorted(snapshot.intents):
        steps += intents.decide(draft, snapshot.intents[id])
    if snapshot.by_pool.held:
        steps += intents.end_holds(draft)
    if draft.records or snapshot.draining():
        steps += intents.drain_pools(draft)
    for name in snapshot.pool_names():
        pool = snapshot.options_of(name)
        if pool is not None:
            steps += _remove_failing(draft, pool)
            steps += _remove_released(draft, pool)
            steps += _remove_surplus(draft, pool)
    return steps


def delete(draft: Draft) -> list[Step]:
    """Step 4: `cmd_delete` starts for resources in DELETE_REQUEST, when a retry is due, and for those of this plan.

    No such resource has an OPEN ticket, since step 3 fails those. Nothing starts in a pool whose options are lost.
    """
    snapshot = draft.snapshot
    steps: list[Step] = []
    for name in snapshot.pool_names():
        if snapshot.options_of(name) is None:
            continue
        ids = _due(draft, snapshot.by_pool.to_delete[name], 0.0, LONGEST_PAUSE)
        steps += [StartDelete(id) for id in sorted([*draft.delete_requested[name], *ids])]
    return steps


def _what_happened(draft: Draft, ticket_id: int) -> str:
    number = draft.snapshot.tickets[ticket_id].resource
    resource = draft.snapshot.resources.get(number) if number is not None else None
    return (resource.reason if resource else None) or "its resource no longer exists"


def _remove_failing(draft: Draft, pool: Pool) -> list[Step]:
    found = []
    for minus_failed, id in draft.snapshot.by_pool.failing[pool.name]:
        if -minus_failed < pool.livecheck_attempts:
            break
        found.append(id)
    steps: list[Step] = []
    for id in sorted(found):
        resource = draft.resource(id)
        if resource is not None and resource.state is ResourceState.UP and id not in draft.excluded:
            reason = f"livecheck failed {plural(resource.check_failed_count, 'time')} in a row"
            steps += draft.request_delete(resource, reason)
    return steps


def _remove_released(draft: Draft, pool: Pool) -> list[Step]:
    steps: list[Step] = []
    for id in sorted(_released(draft, pool)):
        resource = draft.resource(id)
        if (
            resource is not None
            and resource.state is ResourceState.UP
            and not resource.held
            and id not in draft.excluded
        ):
            reason = _why_not_reused(resource, pool, draft.now)
            if reason is not None:
                steps += draft.request_delete(resource, reason)
    return steps


def _released(draft: Draft, pool: Pool) -> set[int]:
    """Resources of the pool that are free and were released before, and may have to be deleted."""
    snapshot = draft.snapshot
    found = set(draft.freed_in_pool[pool.name])
    if pool.reuse_opportunity_time:
        found.update(
            _due(draft, snapshot.by_pool.idle[pool.name], pool.reuse_opportunity_time, pool.reuse_opportunity_time)
        )
    else:
        found.update(id for _, id in snapshot.by_pool.idle[pool.name])
    if pool.reuse_max_time:
        found.update(
            _due(draft, snapshot.by_pool.idle_by_first_use[pool.name], pool.reuse_max_time, pool.reuse_max_time)
        )
    for minus_releases, id in snapshot.by_pool.idle_by_releases[pool.name] if pool.reuse_max_count else ():
        if -minus_releases <= pool.reuse_max_count:
            break
        found.add(id)
    return found


def _due(draft: Draft, entries: Sequence[tuple[float, int]], after: float, longest: float) -> list[int]:
    """The ids of the (time, id) entries that are due; the others will wake the scheduler."""
    ids, following = due_ids(entries, after, longest, draft.now)
    if following is not None:
        draft.plan_again_at(following)
    return ids


def _why_not_reused(resource: Resource, pool: Pool, now: float) -> str | None:
    if not pool.reuse_opportunity_time:
        return "released, and its pool does not reuse (reuse_opportunity_time is 0)"
    released_at, since = resource.released_at or 0.0, resource.sandboxed_since or 0.0
    if _is_over(released_at, pool.reuse_opportunity_time, now):
        return f"idle for {_span(released_at, now)}, longer than reuse_opportunity_time"
    if pool.reuse_max_time and _is_over(since, pool.reuse_max_time, now):
        return f"first taken {_span(since, now)} ago, longer than reuse_max_time"
    if pool.reuse_max_count and resource.releases_counter > pool.reuse_max_count:
        return f"reused {plural(resource.releases_counter - 1, 'time')} (reuse_max_count)"
    return None


def _remove_surplus(draft: Draft, pool: Pool) -> list[Step]:
    """Delete fresh spares of an on-demand pool beyond the waiting tickets that it could serve.

    Those whose livecheck fails go first, since they serve no ticket and cost as much as the others; then the oldest.
    """
    if not pool.on_demand:
        return []
    snapshot = draft.snapshot
    spares = [snapshot.resources[id] for id in snapshot.by_pool.spares[pool.name] if id not in draft.excluded]
    if not spares:
        return []
    offers = frozenset(pool.offers)
    wanted = sum(len(snapshot.waiting[tags]) for tags in snapshot.waiting if tags <= offers)
    spares.sort(key=lambda resource: (resource.check_failed_count == 0, resource.id))
    steps: list[Step] = []
    for resource in spares[: max(0, len(spares) - wanted)]:
        steps += draft.request_delete(resource, "no waiting ticket needs it, and its pool starts on demand only")
    return steps


def _is_over(since: float, span: float, now: float) -> bool:
    return due_at(since + span, span, now) <= now


def _span(since: float, now: float) -> str:
    return "an unknown time (the clock was set back)" if since > now else f"{now - since:.0f} s"
