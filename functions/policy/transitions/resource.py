"""The documents after one step of a plan: pure functions, one a step, each through the table of states."""

from datetime import datetime

from config.pools import Pool
from functions.policy.transitions.history import BY_CLIENT, closed_by, moved
from state.documents import Actor, Event, HookKind, Resource, ResourceState, Run, Ticket
from state.lifecycle import ResourceEvent, TicketEvent, after_ticket_event

ASKABLE = (ResourceState.STARTING, ResourceState.RELEASING)
"""States in which a resource can be asked to be deleted once its hook run has ended."""


def run_id(resource_id: int, kind: HookKind, number: int) -> str:
    """The name of a hook run.

    `number` is 1 for alloc, `releases_counter` for release, `delete_failures + 1` for terminate, and for watch the
    start in whole milliseconds.
    """
    return f"{resource_id:06d}_{kind}_{number}"


def let_go(resource: Resource, ticket: Ticket, hook: bool, now: float) -> Resource:
    """The resource after its CLOSED ticket let it go: free, or RELEASING with `hook`; once only for each ticket.

    One that its client called bad is to be deleted.
    """
    if resource.released_ticket == ticket.id:
        return resource
    event = ResourceEvent.RELEASE_BEGAN if hook else ResourceEvent.LET_GO
    releases = resource.releases_counter + 1
    run = None
    if hook:
        run = Run(id=run_id(resource.id, HookKind.RELEASE, releases), kind=HookKind.RELEASE, started_at=now)
    bound = resource.sandbox is not None
    return moved(
        resource,
        event,
        now,
        closed_by(ticket),
        why=called_bad(ticket),
        holder=ticket,
        delete_asked=called_bad(ticket) or resource.delete_asked,
        releases_counter=releases,
        released_at=now,
        released_ticket=ticket.id,
        sandbox=resource.sandbox if bound else ticket.sandbox,
        sandboxed_since=resource.sandboxed_since if bound else ticket.assigned_at,
        run=run,
    )


def assign(ticket: Ticket, resource: Resource, sandbox: str, now: float) -> Ticket:
    """The ticket with this resource; `sandbox` is a random text for a ticket that has no sandbox."""
    return ticket.replace(
        state=after_ticket_event(ticket.state, TicketEvent.ASSIGN),
        resource=resource.id,
        resource_name=resource.name,
        pool=resource.pool,
        output=resource.data or b"",
        assigned_at=now,
        sandbox=sandbox if ticket.sandbox is None else ticket.sandbox,
    )


def fail(ticket: Ticket, reason: str, now: float) -> Ticket:
    """The ticket after its resource went away. It keeps the resource's name, but holds it no more."""
    return ticket.replace(state=after_ticket_event(ticket.state, TicketEvent.FAIL), failed_at=now, reason=reason)


def close(ticket: Ticket, now: float, why: str = BY_CLIENT, bad: str | None = None) -> Ticket:
    """The ticket after it was closed; closing again changes nothing. Why it failed before says more than `why`; `bad`
    is what its client says against the resource.
    """
    state = after_ticket_event(ticket.state, TicketEvent.CLOSE)
    if state is ticket.state:
        return ticket
    return ticket.replace(state=state, closed_at=now, reason=ticket.reason or why, bad=bad)


def called_bad(ticket: Ticket) -> str | None:
    """Why the resource that this ticket lets go is to be deleted; None when it may be used again."""
    return None if ticket.bad is None else f"its client called it bad: {ticket.bad}"


def request_delete(
    resource: Resource, reason: str, now: float, actor: Actor = Actor.LEADER, holder: Ticket | None = None
) -> Resource:
    """The UP resource, to be deleted at once; `holder` is the ticket that has it."""
    return moved(
        resource, ResourceEvent.DELETE_ASKED, now, actor, why=reason, holder=holder, reason=reason, delete_asked=None
    )


def ask_delete(resource: Resource, reason: str, now: float, actor: Actor = Actor.LEADER) -> Resource:
    """The STARTING or RELEASING resource, to be deleted when its run has ended."""
    return moved(resource, ResourceEvent.DELETE_PLANNED, now, actor, why=reason, delete_asked=reason)


def begin_delete(resource: Resource, now: float) -> Resource:
    """The resource in DELETE_REQUEST after its `cmd_delete` began."""
    id = run_id(resource.id, HookKind.TERMINATE, resource.delete_failures + 1)
    return moved(
        resource,
        ResourceEvent.DELETE_BEGAN,
        now,
        Actor.LEADER,
        run=Run(id=id, kind=HookKind.TERMINATE, started_at=now),
        delete_began_at=now,
        delete_retry_at=None,
    )


def new_resource(id: int, pool: Pool, id_in_pool: int, counters: dict[str, int], now: float) -> Resource:
    """A resource whose `cmd_new` begins now, with the tags that its pool has now; its name tells local time."""
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
        run=Run(id=run_id(id, HookKind.ALLOC, 1), kind=HookKind.ALLOC, started_at=now),
        history=(began,),
    )
