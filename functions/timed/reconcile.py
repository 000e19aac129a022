"""Reconcile: records the outcomes of hooks, plans, writes the documents that the plan changes, and starts hooks.

Triggered by changed tickets, intents, hook results and configuration, and by due times. Reads the mirror; writes
resources, pool records and assignments. A hook starts only after a document that names its run was written.
"""

import logging
from collections.abc import Callable, Iterable, Sequence, Set
from itertools import takewhile

from functions.logfields import Fields, of_pool, of_resource, of_ticket
from functions.policy.plan.apply import AppliedSteps, apply_step
from functions.policy.plan.plan import ROUNDS, Plan, plan
from functions.policy.plan.steps import (
    Assign,
    ChangePool,
    DeleteAfterRun,
    DropIntent,
    EndHold,
    FailTicket,
    HoldResource,
    NoteDrained,
    Release,
    RequestDelete,
    Settle,
    StartDelete,
    StartResource,
    Step,
)
from functions.policy.transitions.history import reason_of
from functions.policy.transitions.run_id import Consumer, RunId
from functions.policy.transitions.ticket import TURN_OVER
from functions.timed.hook_runs import resource_run
from functions.timed.leader import Leader
from functions.timed.outcomes import fold_outcomes, missing_runs
from functions.timed.pool_records import keep_records
from state.documents import HookKind, Resource, ResourceState, Run, Ticket, TicketState
from state.store import Batch, Put, Update

log = logging.getLogger(__name__)


def reconcile(leader: Leader, more_tickets: Callable[[], bool] = lambda: False) -> float | None:
    """Do what tickets, pools and intents ask for; returns when something is due next (Unix seconds).

    `more_tickets` reads new tickets into the mirror and returns whether there are any: they need not wait for the rest
    of a plan. Raises StoreUnavailable or StoreFrozen when the store cannot be written; then the mirror must be loaded
    again.
    """
    ended = leader.hooks.finished(Consumer.RECONCILE)
    if ended:
        _grant_before(leader, {RunId.parse(run.id).subject for run, _ in ended})
        fold_outcomes(leader, ended)
    if leader.mirror.may_miss_runs:
        fold_outcomes(leader, missing_runs(leader))
        leader.mirror.may_miss_runs = False
    for left in reversed(range(ROUNDS)):
        decided = plan(leader.mirror.snapshot, leader.clock())
        _settle(leader, [step.ticket for step in decided.steps if isinstance(step, Settle)])
        if not decided.steps:
            return decided.next_due
        # The last plan is applied completely: otherwise a stream of tickets would block everything else.
        apply(leader, decided, more_tickets if left else lambda: False)
    return leader.clock()


def _grant_before(leader: Leader, changed: Set[int]) -> None:
    """Assign free resources, so that their tickets need not wait until the outcomes of other resources are written.

    `changed` are the resources with outcomes. The first assignment of one of these ends it: after the outcomes, the
    later ones may be decided otherwise.
    """
    grants, _ = _grants_of(plan(leader.mirror.snapshot, leader.clock()))
    _apply_to_tickets(leader, [*takewhile(lambda grant: grant.resource not in changed, grants)])


def apply(leader: Leader, decided: Plan, interrupted: Callable[[], bool] = lambda: False) -> None:
    """Write a plan, in an order in which each part can be done again after a crash, and start its hooks.

    Grants come first. When it is `interrupted` by more tickets, the rest is planned again, with those.
    """
    steps = decided.steps
    grants, later_grants = _grants_of(decided)
    _apply_to_tickets(leader, grants)
    if interrupted():
        return
    _apply_to_resources(leader, steps)
    if interrupted():
        return
    fails = [step for step in steps if isinstance(step, FailTicket)]
    _apply_to_tickets(leader, [*fails, *later_grants])
    # What is left are the deletes that waited until their tickets failed.
    resources = leader.mirror.snapshot.resources
    _apply_to_resources(
        leader,
        [
            step
            for step in steps
            if isinstance(step, StartDelete) and resources[step.resource].state is ResourceState.DELETE_REQUEST
        ],
    )
    dropped = [step.intent for step in steps if isinstance(step, DropIntent)]
    if dropped:
        leader.store.commit(Batch(removed_intents=dropped))
        for intent in dropped:
            leader.mirror.snapshot.drop_intent(intent)


def _settle(leader: Leader, tickets: Sequence[int]) -> None:
    """Remove tickets that hold nothing any more from the snapshot, so that they are archived.

    A ticket that an older version assigned has no `turn`. It is written with TURN_OVER before: otherwise, until it is
    archived, a reload would take it for the holder of its resource after another ticket has released that.
    """
    snapshot = leader.mirror.snapshot
    found = [snapshot.tickets[id] for id in tickets]
    without = [ticket for ticket in found if ticket.turn is None and ticket.resource in snapshot.resources]
    if without:
        leader.store.commit(Batch([Update(ticket, ticket.replace(turn=TURN_OVER)) for ticket in without]))
    leader.mirror.finish_tickets(tickets)


def _grants_of(decided: Plan) -> tuple[list[Assign], list[Assign]]:
    """The assignments of free resources, and those of resources that this plan releases first."""
    freed = {step.resource for step in decided.steps if isinstance(step, Release)}
    grants = [step for step in decided.steps if isinstance(step, Assign)]
    return [step for step in grants if step.resource not in freed], [step for step in grants if step.resource in freed]


def _apply_to_resources(leader: Leader, steps: Sequence[Step]) -> None:
    """Write the resources and pool records that steps change, each once, and start the hooks that begin with them.

    Skips the steps that change only tickets, and deletes of resources whose ticket is still OPEN: the ticket must fail
    first.
    """
    snapshot = leader.mirror.snapshot
    starts = sum(isinstance(step, StartResource) for step in steps)
    numbers = leader.store.resources.reserve(starts) if starts else ()
    applied = _applied_steps(leader, numbers)
    started: set[int] = set()
    for step in steps:
        if isinstance(step, FailTicket | Assign) or (isinstance(step, StartDelete) and _is_in_use(leader, step)):
            continue
        for document in apply_step(step, applied):
            if isinstance(document, Ticket):
                continue
            applied.put(document)
            if isinstance(step, StartResource) and isinstance(document, Resource):
                leader.keep(document)
                started.add(document.id)
        _log_step(leader, step, applied)
        if isinstance(step, Release):
            _note_taken_time(leader, snapshot.tickets[step.ticket])
    if not applied.resources and not applied.records:
        return
    writes = [Put(resource) for resource in applied.resources.values()]
    writes += keep_records(leader, applied.records.values())
    runs_before = {number: snapshot.resources[number].run for number in applied.resources}
    leader.store.commit(Batch(writes))
    for number, resource in applied.resources.items():
        leader.keep(resource)
        run = resource.run
        if run is not None and (number in started or run != runs_before[number]):
            _log_start(leader, resource, run)
            _start_hook(leader, resource, run)


def _applied_steps(leader: Leader, new_ids: Iterable[int] = ()) -> AppliedSteps:
    return AppliedSteps(
        leader.mirror.snapshot, leader.clock(), iter(new_ids), new_sandbox=lambda _: leader.random_name()
    )


def _is_in_use(leader: Leader, step: StartDelete) -> bool:
    """Whether an OPEN ticket has the resource that the step deletes."""
    holder = leader.mirror.snapshot.holder(step.resource)
    return holder is not None and holder.state is TicketState.OPEN


def _log_step(leader: Leader, step: Step, applied: AppliedSteps) -> None:
    match step:
        case RequestDelete(resource=number, reason=reason):
            _log_resource(leader, applied.resource(number), "to be deleted: %s", reason)
        case DeleteAfterRun(resource=number, reason=reason):
            _log_resource(leader, applied.resource(number), "to be deleted when its hook ends: %s", reason)
        case HoldResource(resource=number):
            _log_resource(leader, applied.resource(number), "held")
        case EndHold(resource=number):
            _log_resource(leader, applied.resource(number), "no longer held")
        case ChangePool(pool=name, intent=number):
            intent = leader.mirror.snapshot.intents[number]
            log.info("pool %s: %s by %s", name, intent.kind, reason_of(intent) or "an operator", extra=of_pool(name))
        case NoteDrained(pool=name):
            log.info("pool %s: drained", name, extra=of_pool(name))
        case _:
            pass


def _log_resource(leader: Leader, resource: Resource, message: str, *facts: object) -> None:
    log.info(f"resource %d (%s): {message}", resource.id, resource.name, *facts, extra=_about(leader, resource))


def _log_start(leader: Leader, resource: Resource, run: Run) -> None:
    about = _about(leader, resource)
    if run.kind is HookKind.ALLOC:
        log.info("resource %d (%s): starting", resource.id, resource.name, extra=about)
    elif run.kind is HookKind.TERMINATE:
        log.info("resource %d (%s): deleting: %s", resource.id, resource.name, resource.reason, extra=about)


def _note_taken_time(leader: Leader, ticket: Ticket) -> None:
    """Add how long a released ticket had its resource to the statistics of its pool."""
    if ticket.pool is not None and ticket.assigned_at is not None and ticket.closed_at is not None:
        leader.mirror.taken_times.setdefault(ticket.pool, []).append(ticket.closed_at - ticket.assigned_at)


def _apply_to_tickets(leader: Leader, steps: Sequence[FailTicket | Assign]) -> None:
    """Write the tickets that steps change. A ticket that its client changed meanwhile is read again instead."""
    applied = _applied_steps(leader)
    updates: dict[int, Update] = {}
    for step in steps:
        ticket = leader.mirror.snapshot.tickets[step.ticket]
        for document in apply_step(step, applied):
            if isinstance(document, Ticket):
                updates[ticket.id] = Update(ticket, document)
        if isinstance(step, FailTicket):
            log.info("ticket %d: failed: %s", ticket.id, step.reason, extra=of_ticket(ticket))
    if not updates:
        return
    conflicts = {ticket.id for ticket in leader.store.commit(Batch(list(updates.values())))}
    for number, update in updates.items():
        if number in conflicts:
            leader.refresh({"tickets": {number}})
        else:
            leader.keep(update.document)
            if update.document.state is TicketState.FAILED:
                leader.measures.ticket_failed(update.document)
            elif update.base.waiting and not update.document.waiting:
                leader.measures.granted(update.document)
                _log_assignment(update.document)


def _start_hook(leader: Leader, resource: Resource, run: Run) -> None:
    pool = leader.mirror.snapshot.options_of(resource.pool)
    if pool is None:
        log.error(
            "resource %d (%s): the options of pool %s are lost",
            resource.id,
            resource.name,
            resource.pool,
            extra=_about(leader, resource),
        )
        return
    leader.hooks.start(resource_run(resource, pool, run.kind, run.id, leader.settings.output_limit))


def _log_assignment(ticket: Ticket) -> None:
    log.info(
        "ticket %d: got resource %s (%s)", ticket.id, ticket.resource, ticket.resource_name, extra=of_ticket(ticket)
    )


def _about(leader: Leader, resource: Resource) -> Fields:
    """The log fields of a resource and of the ticket that has it."""
    return of_resource(resource, leader.mirror.snapshot.holder(resource.id))
