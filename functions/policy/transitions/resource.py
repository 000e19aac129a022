"""The transitions of a resource: it starts, is released, held and deleted. `hook_results.py` has those after hooks."""

from datetime import datetime

from config.pools import Pool
from functions.policy.transitions.history import closed_by, reason_of, resource_after
from functions.policy.transitions.run_id import RunId
from functions.policy.transitions.ticket import called_bad
from state.documents import Actor, Event, HookKind, Intent, Resource, ResourceState, Run, Ticket
from state.lifecycle import ResourceEvent

LONGEST_HOLD = 7 * 86400.0
"""Seconds that a hold may last. A hold can be renewed."""
HOLDABLE = (ResourceState.UP, ResourceState.RELEASING)
DELETABLE_AFTER_RUN = (ResourceState.STARTING, ResourceState.RELEASING)
"""States in which a resource can be asked to be deleted once its hook run has ended."""


def release_resource(resource: Resource, ticket: Ticket, hook: bool, now: float) -> Resource:
    """The resource after its CLOSED ticket released it: free, or RELEASING with `hook`; once only for each ticket.

    A resource that its client called bad is to be deleted.
    """
    if not ticket.holds(resource):
        return resource
    event = ResourceEvent.RELEASE_BEGAN if hook else ResourceEvent.RELEASED
    releases = resource.releases_counter + 1
    run = None
    if hook:
        run = Run(id=str(RunId(HookKind.RELEASE, resource.id, releases)), kind=HookKind.RELEASE, started_at=now)
    bound = resource.sandbox is not None
    return resource_after(
        resource,
        event,
        now,
        closed_by(ticket),
        event_reason=called_bad(ticket),
        holder=ticket,
        delete_after_run=called_bad(ticket) or resource.delete_after_run,
        releases_counter=releases,
        released_at=now,
        released_ticket=ticket.id,
        sandbox=resource.sandbox if bound else ticket.sandbox,
        sandboxed_since=resource.sandboxed_since if bound else ticket.assigned_at,
        run=run,
    )


def request_delete(
    resource: Resource, reason: str, now: float, actor: Actor = Actor.LEADER, holder: Ticket | None = None
) -> Resource:
    """The UP resource, to be deleted at once; `holder` is the ticket that has it."""
    return resource_after(
        resource,
        ResourceEvent.DELETE_REQUESTED,
        now,
        actor,
        event_reason=reason,
        holder=holder,
        reason=reason,
        delete_after_run=None,
    )


def delete_after_run(resource: Resource, reason: str, now: float, actor: Actor = Actor.LEADER) -> Resource:
    """The STARTING or RELEASING resource, to be deleted when its run has ended."""
    return resource_after(
        resource, ResourceEvent.DELETE_AFTER_RUN, now, actor, event_reason=reason, delete_after_run=reason
    )


def begin_delete(resource: Resource, now: float) -> Resource:
    """The resource in DELETE_REQUEST after its `cmd_delete` began."""
    id = str(RunId(HookKind.TERMINATE, resource.id, resource.delete_failures + 1))
    return resource_after(
        resource,
        ResourceEvent.DELETE_BEGAN,
        now,
        Actor.LEADER,
        run=Run(id=id, kind=HookKind.TERMINATE, started_at=now),
        delete_began_at=now,
        delete_retry_at=None,
    )


def new_resource(id: int, pool: Pool, id_in_pool: int, counters: dict[str, int], now: float) -> Resource:
    """A resource whose `cmd_new` begins now, with the tags that its pool has now; its name contains the local time."""
    name = pool.name_pattern.format(
        pool_name=pool.name, id=f"{id:08d}", datetime=datetime.fromtimestamp(now).strftime("%Y%m%d_%H%M%S")
    )
    began = Event(at=now, n=1, event=ResourceEvent.START_BEGAN, after=ResourceState.STARTING, actor=Actor.LEADER)
    return Resource(
        id=id,
        name=name,
        pool=pool.name,
        tags=pool.offers,
        id_in_pool=id_in_pool,
        counters=counters,
        created_at=now,
        run=Run(id=str(RunId(HookKind.ALLOC, id, 1)), kind=HookKind.ALLOC, started_at=now),
        history=(began,),
    )


def hold_resource(resource: Resource, intent: Intent, now: float) -> Resource:
    """The UP or RELEASING resource, held; the same object when it is held like that already."""
    wanted = (intent.by, intent.reason, intent.until)
    if wanted == (resource.held_by, resource.held_reason, resource.held_until):
        return resource
    return resource_after(
        resource,
        ResourceEvent.HELD,
        now,
        Actor.OPERATOR,
        event_reason=reason_of(intent),
        until=intent.until,
        held_since=now if resource.held_since is None else resource.held_since,
        held_until=intent.until,
        held_by=intent.by,
        held_reason=intent.reason,
    )


def end_hold(resource: Resource, reason: str | None, now: float, actor: Actor = Actor.LEADER) -> Resource:
    """The held resource after its hold ended."""
    return resource_after(
        resource,
        ResourceEvent.HOLD_ENDED,
        now,
        actor,
        event_reason=reason,
        held_since=None,
        held_until=None,
        held_by=None,
        held_reason=None,
    )
