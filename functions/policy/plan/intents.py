"""What operators asked for: intents are decided, holds end, pools drain.

Each intent is decided once, then dropped; intents about one resource are decided in their order.
"""

from functions.policy.clock import due_ids
from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import ChangePool, DeleteAfterRun, DropIntent, EndHold, HoldResource, NoteDrained, Step
from functions.policy.transitions.history import reason_of
from functions.policy.transitions.pool import change_mode
from functions.policy.transitions.resource import (
    DELETABLE_AFTER_RUN,
    HOLDABLE,
    LONGEST_HOLD,
    end_hold,
    hold_resource,
)
from functions.text import utc
from state.documents import Actor, Intent, IntentKind, PoolMode, PoolRecord, Resource, ResourceState


def decide(draft: Draft, intent: Intent) -> list[Step]:
    """The steps that follow from an intent.

    There are none while it has to wait: for a document that cannot be read, for the next plan, or for an earlier intent
    about the same resource.
    """
    if intent.resource is None:
        return [*_change_pool(draft, intent), DropIntent(intent.id)]
    if intent.resource in draft.undecided or intent.resource in draft.snapshot.lost:
        return []
    steps = _OF_RESOURCES[intent.kind](draft, intent)
    if not steps:
        draft.undecided.add(intent.resource)
    return steps


def end_holds(draft: Draft) -> list[Step]:
    """End the holds whose time is over; the others will wake the scheduler."""
    held = draft.snapshot.by_pool.held
    steps: list[Step] = []
    for pool in sorted(held):
        ids, following = due_ids(held[pool], 0.0, LONGEST_HOLD, draft.now)
        if following is not None:
            draft.plan_again_at(following)
        for id in sorted(ids):
            resource = draft.resource(id)
            if resource is not None and resource.held and id not in draft.excluded:
                steps += _end_hold(draft, resource, "its time is over", Actor.LEADER)
    return steps


def drain_pools(draft: Draft) -> list[Step]:
    """Deletes in the pools that drain, and a note for each pool that has nothing left since this plan.

    Free resources are deleted at once, STARTING and RELEASING ones when they come UP, taken ones at the deadline.
    """
    steps: list[Step] = []
    names = draft.snapshot.draining() | draft.records.keys()
    for name in sorted(names):
        record = draft.record(name)
        if record is None or record.mode is not PoolMode.DRAINING:
            continue
        if draft.snapshot.by_pool.living[name]:
            steps += _drain(draft, record)
        elif record.drained_at is None:
            steps.append(NoteDrained(name))
    return steps


def _delete(draft: Draft, intent: Intent) -> list[Step]:
    drop = DropIntent(intent.id)
    resource = draft.resource(intent.resource) if intent.resource is not None else None
    if resource is None or resource.id in draft.excluded or resource.held:
        return [drop]
    if resource.id in draft.snapshot.doubtful:
        return []
    reason = intent.reason or "deleted by an operator"
    up = resource.state is ResourceState.UP
    unused = up and draft.is_free(resource.id) and resource.check_failed_count == 0
    if intent.unused_only and not unused:
        return [drop]
    if up:
        return [*draft.request_delete(resource, reason, Actor.OPERATOR), drop]
    if resource.state in DELETABLE_AFTER_RUN and resource.delete_after_run is None:
        draft.exclude_for_delete(resource)
        return [DeleteAfterRun(resource.id, reason, Actor.OPERATOR), drop]
    return [drop]


def _hold(draft: Draft, intent: Intent) -> list[Step]:
    drop = DropIntent(intent.id)
    resource = draft.resource(intent.resource) if intent.resource is not None else None
    if resource is not None and _changes_hold(draft, resource.id):
        return []
    if resource is None or resource.id in draft.excluded or resource.state not in HOLDABLE:
        return [drop]
    if hold_resource(resource, intent, draft.now) is resource:
        return [drop]
    draft.newly_held.add(resource.id)
    draft.exclude(resource)
    return [HoldResource(resource.id, intent.id), drop]


def _unhold(draft: Draft, intent: Intent) -> list[Step]:
    drop = DropIntent(intent.id)
    resource = draft.resource(intent.resource) if intent.resource is not None else None
    if resource is not None and _changes_hold(draft, resource.id):
        return []
    if resource is None or not resource.held or resource.id in draft.excluded:
        return [drop]
    return [*_end_hold(draft, resource, reason_of(intent), Actor.OPERATOR), drop]


def _changes_hold(draft: Draft, resource: int) -> bool:
    """Whether this plan begins or ends a hold of the resource already; later intents wait for the next plan."""
    return resource in draft.newly_held or resource in draft.hold_ended


_OF_RESOURCES = {
    IntentKind.DELETE_RESOURCE: _delete,
    IntentKind.HOLD_RESOURCE: _hold,
    IntentKind.RELEASE_RESOURCE: _unhold,
}


def _change_pool(draft: Draft, intent: Intent) -> list[Step]:
    record = draft.record(intent.pool) if intent.pool is not None else None
    if record is None:
        return []
    changed = change_mode(record, intent, draft.now)
    if changed is record:
        return []
    draft.records[record.name] = changed
    return [ChangePool(record.name, intent.id)]


def _end_hold(draft: Draft, resource: Resource, reason: str | None, actor: Actor) -> list[Step]:
    """End this hold. If the resource was to be deleted meanwhile, request that now; the next plan decides the rest."""
    free = end_hold(resource, reason, draft.now, actor)
    draft.hold_ended[free.id] = free
    steps: list[Step] = [EndHold(free.id, reason, actor)]
    if free.delete_after_run is not None and free.state is ResourceState.UP:
        steps += draft.request_delete(free, free.delete_after_run)
    return steps


def _drain(draft: Draft, record: PoolRecord) -> list[Step]:
    snapshot, pool = draft.snapshot, record.name
    groups = snapshot.by_pool
    reason = f"its pool is drained: {record.mode_reason}" if record.mode_reason else "its pool is drained"
    ids = {*groups.spares[pool], *(id for _, id in groups.idle[pool]), *draft.freed_in_pool[pool]}
    if record.drain_until is not None and groups.states[pool, ResourceState.UP]:
        if record.drain_until > draft.now:
            draft.plan_again_at(record.drain_until)
        else:
            reason = f"{reason} (the deadline was {utc(record.drain_until)})"
            # This happens so seldom that there is no group of taken resources.
            up = (resource for resource in snapshot.resources.values() if resource.state is ResourceState.UP)
            ids.update(resource.id for resource in up if resource.pool == pool)
    steps: list[Step] = []
    for id in sorted(ids - draft.excluded - snapshot.doubtful):
        resource = draft.resource(id)
        if resource is not None and resource.state is ResourceState.UP and not resource.held:
            steps += draft.request_delete(resource, reason)
    return steps
