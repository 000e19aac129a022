"""The resource after one of its hook runs ended."""

from typing import Any

from config.pools import Pool
from functions.policy.transitions.history import resource_after
from functions.policy.transitions.outcome import Outcome, backoff, began_before
from functions.policy.transitions.resource import request_delete
from state.documents import Actor, HookKind, Resource, ResourceState
from state.lifecycle import ResourceEvent

_CHECKED_STATES = (ResourceState.UP, ResourceState.RELEASING)


def fold_resource(resource: Resource, outcome: Outcome, pool: Pool | None) -> Resource:
    """The resource after this outcome; the same object when the outcome does not belong to it (any more).

    `pool` are the options of its pool; without them (None: they are lost) a failing delete is never abandoned.
    """
    if outcome.kind is HookKind.WATCH:
        return _after_livecheck(resource, outcome)
    if resource.run is None or resource.run.id != outcome.run:
        return resource
    if outcome.kind is HookKind.ALLOC:
        return _after_start(resource, outcome)
    if outcome.kind is HookKind.RELEASE:
        return _after_release(resource, outcome)
    if outcome.kind is HookKind.TERMINATE:
        return _after_delete(resource, outcome, pool)
    return resource


def _after_start(resource: Resource, outcome: Outcome) -> Resource:
    if outcome.good:
        up = _ended(resource, outcome, ResourceEvent.START_SUCCEEDED, data=outcome.output, up_at=outcome.ended_at)
        return _deleted_if_asked(up, outcome.ended_at)
    reason = f"cmd_new {outcome.how}"
    if outcome.by_itself:
        event, ended_at = ResourceEvent.START_FAILED, outcome.ended_at
        return _ended(resource, outcome, event, event_reason=reason, ended_at=ended_at, reason=reason)
    return _ended(resource, outcome, ResourceEvent.START_CUT_OFF, event_reason=reason, reason=reason)


def _after_release(resource: Resource, outcome: Outcome) -> Resource:
    if outcome.good:
        return _deleted_if_asked(_ended(resource, outcome, ResourceEvent.RELEASE_SUCCEEDED), outcome.ended_at)
    reason = f"cmd_release {outcome.how}"
    if resource.delete_after_run is not None:
        reason = f"{resource.delete_after_run}; then {reason}"
    if resource.held:
        return _ended(
            resource, outcome, ResourceEvent.RELEASE_FAILED_HELD, event_reason=reason, delete_after_run=reason
        )
    return _ended(resource, outcome, ResourceEvent.RELEASE_FAILED, event_reason=reason, reason=reason)


def _after_delete(resource: Resource, outcome: Outcome, pool: Pool | None) -> Resource:
    if outcome.good:
        return _ended(resource, outcome, ResourceEvent.DELETE_SUCCEEDED, ended_at=outcome.ended_at)
    failures = resource.delete_failures + 1
    if pool is not None and failures >= pool.delete_attempts:
        abandoned = f"cmd_delete failed {failures} times and is not tried again; at last it {outcome.how}"
        return _ended(
            resource,
            outcome,
            ResourceEvent.DELETE_GIVEN_UP,
            event_reason=abandoned,
            delete_failures=failures,
            ended_at=outcome.ended_at,
            reason=f"{resource.reason}; {abandoned}" if resource.reason else abandoned,
        )
    retry_at = outcome.ended_at + backoff(2, failures - 1)
    why = f"cmd_delete {outcome.how}"
    event = ResourceEvent.DELETE_FAILED
    return _ended(resource, outcome, event, event_reason=why, delete_failures=failures, delete_retry_at=retry_at)


def _after_livecheck(resource: Resource, outcome: Outcome) -> Resource:
    last = resource.check_last_time
    outdated = last is not None and began_before(outcome, last)
    if outcome.lost or outdated or resource.state not in _CHECKED_STATES:
        return resource
    failed = 0 if outcome.good else resource.check_failed_count + 1
    if failed == 1:
        why = f"cmd_livecheck {outcome.how}"
        resource = resource_after(resource, ResourceEvent.CHECK_FAILED, outcome.ended_at, Actor.HOOK, event_reason=why)
    elif outcome.good and resource.check_failed_count:
        resource = resource_after(resource, ResourceEvent.CHECK_GOOD, outcome.ended_at, Actor.HOOK)
    return resource.replace(check_last_time=outcome.ended_at, check_failed_count=failed)


def _ended(resource: Resource, outcome: Outcome, event: ResourceEvent, **changes: Any) -> Resource:
    """The resource after this event, with no run under way; `changes` are those of `resource_after`."""
    return resource_after(resource, event, outcome.ended_at, Actor.HOOK, run=None, **changes)


def _deleted_if_asked(resource: Resource, now: float) -> Resource:
    """The UP resource, to be deleted if that was requested during its run; a held one is kept until its hold ends."""
    if resource.delete_after_run is None or resource.held:
        return resource
    return request_delete(resource, resource.delete_after_run, now)
