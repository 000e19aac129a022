"""What operators asked for: each intent is decided once, then dropped."""

from functions.policy import change, held, modes
from functions.policy.draft import Draft
from functions.policy.steps import AskDelete, ChangePool, DropIntent, HoldResource, Step
from state.documents import Actor, Intent, IntentKind, ResourceState


def decide(draft: Draft, intent: Intent) -> list[Step]:
    """What follows from an intent; nothing while a document that it needs cannot be read."""
    if intent.kind is IntentKind.DELETE_RESOURCE:
        return _delete(draft, intent)
    if intent.kind is IntentKind.HOLD_RESOURCE:
        return _hold(draft, intent)
    if intent.kind is IntentKind.RELEASE_RESOURCE:
        return _release(draft, intent)
    return [*_change_pool(draft, intent), DropIntent(intent.id)]


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
    if resource is None or resource.id in draft.leaving or resource.state not in held.HOLDABLE:
        return [drop]
    if resource.id in draft.unheld:
        # One plan ends a hold or begins one; to begin one again waits for the next.
        return []
    if held.hold(resource, intent, draft.now) is resource:
        return [drop]
    draft.withhold(resource)
    return [HoldResource(resource.id, intent.id), drop]


def _release(draft: Draft, intent: Intent) -> list[Step]:
    drop = DropIntent(intent.id)
    resource = draft.resource(intent.resource) if intent.resource is not None else None
    if resource is None or not resource.held or resource.id in draft.leaving:
        return [drop]
    return [*held.end(draft, resource, modes.why(intent), Actor.OPERATOR), drop]


def _change_pool(draft: Draft, intent: Intent) -> list[Step]:
    record = draft.record(intent.pool) if intent.pool is not None else None
    if record is None:
        return []
    changed = modes.change_pool(record, intent, draft.now)
    if changed is record:
        return []
    draft.records[record.name] = changed
    return [ChangePool(record.name, intent.id)]
