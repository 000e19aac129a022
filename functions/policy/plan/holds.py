"""Resources that operators hold for a while, to look at them: nobody gets them and nothing deletes them meanwhile."""

from functions.policy.clock import due_ids
from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import EndHold, Step
from functions.policy.transitions.history import moved
from functions.policy.transitions.pool import why
from state.documents import Actor, Intent, Resource, ResourceState
from state.lifecycle import ResourceEvent

LONGEST = 7 * 86400.0
"""Seconds that a hold may last; it can be renewed."""
HOLDABLE = (ResourceState.UP, ResourceState.RELEASING)
OVER = "its time is over"


def hold(resource: Resource, intent: Intent, now: float) -> Resource:
    """The UP or RELEASING resource, held; the same object when it is held like that already."""
    wanted = (intent.by, intent.reason, intent.until)
    if wanted == (resource.held_by, resource.held_reason, resource.held_until):
        return resource
    return moved(
        resource,
        ResourceEvent.HELD,
        now,
        Actor.OPERATOR,
        why=why(intent),
        until=intent.until,
        held_since=now if resource.held_since is None else resource.held_since,
        held_until=intent.until,
        held_by=intent.by,
        held_reason=intent.reason,
    )


def end_hold(resource: Resource, reason: str | None, now: float, actor: Actor = Actor.LEADER) -> Resource:
    """The held resource, held no more."""
    return moved(
        resource,
        ResourceEvent.HOLD_ENDED,
        now,
        actor,
        why=reason,
        held_since=None,
        held_until=None,
        held_by=None,
        held_reason=None,
    )


def end(draft: Draft, resource: Resource, reason: str | None, actor: Actor) -> list[Step]:
    """Let this hold end in this plan. What was to be deleted meanwhile is deleted now; all else is the next plan's."""
    free = end_hold(resource, reason, draft.now, actor)
    draft.unheld[free.id] = free
    steps: list[Step] = [EndHold(free.id, reason, actor)]
    if free.delete_asked is not None and free.state is ResourceState.UP:
        steps += draft.request(free, free.delete_asked)
    return steps


def expire(draft: Draft) -> list[Step]:
    """End the holds whose time is over; the others will wake the scheduler."""
    snapshot = draft.snapshot
    steps: list[Step] = []
    for pool in sorted(snapshot.held):
        ids, following = due_ids(snapshot.held[pool], 0.0, LONGEST, draft.now)
        if following is not None:
            draft.wake(following)
        for id in sorted(ids):
            resource = draft.resource(id)
            if resource is not None and resource.held and id not in draft.leaving:
                steps += end(draft, resource, OVER, Actor.LEADER)
    return steps
