"""What operators asked for: each intent is decided once, then dropped; those about one resource in their order."""

from functions.policy.plan import holds as held
from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import AskDelete, ChangePool, DropIntent, HoldResource, Step
from functions.policy.transitions import pool as modes
from functions.policy.transitions import resource as change
from state.documents import Actor, Intent, IntentKind, ResourceState


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
    if resource.state in change.ASKABLE and resource.delete_asked is None:
        draft.leave(resource)
        return [AskDelete(resource.id, reason, Actor.OPERATOR), drop]
    return [drop]


def _hold(draft: Draft, intent: Intent) -> list[Step]:
    drop = DropIntent(intent.id)
    resource = draft.resource(intent.resource) if intent.resource is not None else None
    if resource is not None and _changes_hold(draft, resource.id):
        return []
    if resource is None or resource.id in draft.leaving or resource.state not in held.HOLDABLE:
        return [drop]
    if held.hold(resource, intent, draft.now) is resource:
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
    return [*held.end(draft, resource, modes.why(intent), Actor.OPERATOR), drop]


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
    changed = modes.change_pool(record, intent, draft.now)
    if changed is record:
        return []
    draft.records[record.name] = changed
    return [ChangePool(record.name, intent.id)]
