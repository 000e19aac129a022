"""What operators asked for: each intent is decided once, then dropped; those about one resource in their order."""

from functions.policy.clock import due_ids
from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import ChangePool, DeleteAfterRun, DropIntent, EndHold, HoldResource, Step
from functions.policy.transitions.history import reason_of
from functions.policy.transitions.pool import change_mode
from functions.policy.transitions.resource import DELETABLE_AFTER_RUN, HOLDABLE, LONGEST_HOLD, end_hold, hold_resource
from state.documents import Actor, Intent, IntentKind, Resource, ResourceState

_OVER = "its time is over"


def decide(draft: Draft, intent: Intent) -> list[Step]:
    """What follows from an intent; nothing while it has to wait: for a document that cannot be read, for the next plan,
    or for an earlier one about the same resource.
    """
    if intent.resource is None:
        return [*_change_pool(draft, intent), DropIntent(intent.id)]
    if intent.resource in draft.undecided or intent.resource in draft.snapshot.lost:
        return []
    steps = _OF_RESOURCES[intent.kind](draft, intent)
    if not steps:
        draft.undecided.add(intent.resource)
    return steps


def _delete(draft: Draft, intent: Intent) -> list[Step]:
    drop = DropIntent(intent.id)
    resource = draft.resource(intent.resource) if intent.resource is not None else None
    if resource is None or resource.id in draft.leaving or resource.held:
        return [drop]
    if resource.id in draft.snapshot.doubtful:
        return []
    reason = intent.reason or "deleted by an operator"
    up = resource.state is ResourceState.UP
    unused = up and draft.is_free(resource.id) and resource.check_failed_count == 0
    if intent.unused_only and not unused:
        return [drop]
    if up:
        return [*draft.request(resource, reason, Actor.OPERATOR), drop]
    if resource.state in DELETABLE_AFTER_RUN and resource.delete_after_run is None:
        draft.leave(resource)
        return [DeleteAfterRun(resource.id, reason, Actor.OPERATOR), drop]
    return [drop]


def _hold(draft: Draft, intent: Intent) -> list[Step]:
    drop = DropIntent(intent.id)
    resource = draft.resource(intent.resource) if intent.resource is not None else None
    if resource is not None and _changes_hold(draft, resource.id):
        return []
    if resource is None or resource.id in draft.leaving or resource.state not in HOLDABLE:
        return [drop]
    if hold_resource(resource, intent, draft.now) is resource:
        return [drop]
    draft.withheld.add(resource.id)
    draft.withhold(resource)
    return [HoldResource(resource.id, intent.id), drop]


def _release(draft: Draft, intent: Intent) -> list[Step]:
    drop = DropIntent(intent.id)
    resource = draft.resource(intent.resource) if intent.resource is not None else None
    if resource is not None and _changes_hold(draft, resource.id):
        return []
    if resource is None or not resource.held or resource.id in draft.leaving:
        return [drop]
    return [*_end_hold(draft, resource, reason_of(intent), Actor.OPERATOR), drop]


def _changes_hold(draft: Draft, resource: int) -> bool:
    """Whether this plan begins or ends a hold of the resource already; whatever is to follow is the next plan's."""
    return resource in draft.withheld or resource in draft.unheld


_OF_RESOURCES = {
    IntentKind.DELETE_RESOURCE: _delete,
    IntentKind.HOLD_RESOURCE: _hold,
    IntentKind.RELEASE_RESOURCE: _release,
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
    """Let this hold end in this plan. What was to be deleted meanwhile is deleted now; all else is the next plan's."""
    free = end_hold(resource, reason, draft.now, actor)
    draft.unheld[free.id] = free
    steps: list[Step] = [EndHold(free.id, reason, actor)]
    if free.delete_after_run is not None and free.state is ResourceState.UP:
        steps += draft.request(free, free.delete_after_run)
    return steps


def end_holds(draft: Draft) -> list[Step]:
    """End the holds whose time is over; the others will wake the scheduler."""
    snapshot = draft.snapshot
    steps: list[Step] = []
    for pool in sorted(snapshot.held):
        ids, following = due_ids(snapshot.held[pool], 0.0, LONGEST_HOLD, draft.now)
        if following is not None:
            draft.wake(following)
        for id in sorted(ids):
            resource = draft.resource(id)
            if resource is not None and resource.held and id not in draft.leaving:
                steps += _end_hold(draft, resource, _OVER, Actor.LEADER)
    return steps
