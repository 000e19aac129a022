"""Reconcile: fold in how hooks ended, decide, write, start hooks.

Triggered by changed tickets, intents, results and configuration, and by due times. Reads what changed; writes
resources, pool records and assignments. Everything that it starts stands in a document first.
"""

import logging
from collections.abc import Callable, Sequence
from itertools import takewhile

from functions.logfields import Fields, of_resource, of_ticket
from functions.policy.plan import holds as held
from functions.policy.plan.plan import (
    ROUNDS,
    AskDelete,
    Assign,
    DropIntent,
    EndHold,
    FailTicket,
    HoldResource,
    LetGo,
    Plan,
    RequestDelete,
    Settle,
    StartDelete,
    StartResource,
    Step,
    plan,
)
from functions.policy.transitions import resource as change
from functions.timed.archive import archive_earlier
from functions.timed.environment import resource_run
from functions.timed.farm import Farm
from functions.timed.outcomes import fold_outcomes, missing_runs, resource_of
from functions.timed.pool_changes import change_pools
from functions.timed.pool_records import keep_records
from state.documents import HookKind, Resource, ResourceState, Run, Ticket, TicketState
from state.store import Batch, Put, Update

log = logging.getLogger(__name__)


def reconcile(farm: Farm, more_tickets: Callable[[], bool] = lambda: False) -> float | None:
    """Bring the farm to where its tickets and pools want it; returns when something is due next (Unix seconds).

    `more_tickets` takes in those that came meanwhile and tells whether there were any: they need not wait for the
    rest of a plan. Raises StoreUnavailable or StoreFrozen when the state folder cannot be written; the mirror must be
    loaded anew then.
    """
    ended = farm.hooks.finished()
    if ended:
        # Who waits for a resource of which nothing new is known need not wait until all that is written down.
        changed = {resource_of(run) for run, _ in ended}
        grants, _ = _grants_of(plan(farm.snapshot, farm.clock()))
        sure = [*takewhile(lambda grant: grant.resource not in changed, grants)]
        _apply_to_tickets(farm, sure)
    fold_outcomes(farm, ended)
    if farm.loaded_anew:
        fold_outcomes(farm, missing_runs(farm))
        farm.loaded_anew = False
    for left in reversed(range(ROUNDS)):
        decided = plan(farm.snapshot, farm.clock())
        farm.finish_tickets([step.ticket for step in decided.steps if isinstance(step, Settle)])
        if not decided.steps:
            return decided.next_due
        # The last plan is made whole, or a stream of tickets would hold up all else.
        apply(farm, decided, more_tickets if left else lambda: False)
    return farm.clock()


def apply(farm: Farm, decided: Plan, interrupted: Callable[[], bool] = lambda: False) -> None:
    """Write a plan, in an order in which each part can be done again after a crash, and start its hooks.

    Grants come first. When it is `interrupted` by more tickets, what is left is decided anew, with those; likewise when
    a resource must not be let go yet.
    """
    steps = decided.steps
    grants, later_grants = _grants_of(decided)
    _apply_to_tickets(farm, grants)
    if interrupted():
        return
    if not archive_earlier(farm, {step.resource for step in steps if isinstance(step, LetGo)}):
        # Decided anew, without those.
        return
    _apply_to_resources(farm, steps)
    change_pools(farm, decided)
    if interrupted():
        return
    fails = [step for step in steps if isinstance(step, FailTicket)]
    _apply_to_tickets(farm, [*fails, *later_grants])
    resources = farm.snapshot.resources
    _apply_to_resources(
        farm,
        [
            step
            for step in steps
            if isinstance(step, StartDelete) and resources[step.resource].state is ResourceState.DELETE_REQUEST
        ],
    )
    dropped = [step.intent for step in steps if isinstance(step, DropIntent)]
    if dropped:
        farm.store.commit(Batch(removed_intents=dropped))
        for intent in dropped:
            farm.snapshot.drop_intent(intent)


def _grants_of(decided: Plan) -> tuple[list[Assign], list[Assign]]:
    """The assignments of what is free already, and those of what this plan lets go."""
    freed = {step.resource for step in decided.steps if isinstance(step, LetGo)}
    grants = [step for step in decided.steps if isinstance(step, Assign)]
    return [step for step in grants if step.resource not in freed], [step for step in grants if step.resource in freed]


def _apply_to_resources(farm: Farm, steps: Sequence[Step]) -> None:
    """Write what becomes of each resource, once for all that happens to it, and start the hooks of that."""
    now = farm.clock()
    snapshot = farm.snapshot
    changed: dict[int, Resource] = {}
    begun: set[int] = set()
    starts = [step for step in steps if isinstance(step, StartResource)]
    numbers = iter(farm.store.resources.reserve(len(starts)) if starts else ())
    for step in steps:
        match step:
            case LetGo(ticket=ticket, resource=number, hook=hook):
                changed[number] = change.let_go(snapshot.resources[number], snapshot.tickets[ticket], hook, now)
                _note_taken_time(farm, snapshot.tickets[ticket])
            case RequestDelete(resource=number, reason=reason, actor=actor):
                resource = changed.get(number) or snapshot.resources[number]
                holder = None if number in changed else snapshot.holder(number)
                changed[number] = change.request_delete(resource, reason, now, actor, holder)
                log.info(
                    "resource %d (%s): to be deleted: %s", number, resource.name, reason, extra=_about(farm, resource)
                )
            case HoldResource(resource=number, intent=intent):
                resource = changed.get(number) or snapshot.resources[number]
                changed[number] = held.hold(resource, snapshot.intents[intent], now)
                log.info("resource %d (%s): held", number, resource.name, extra=_about(farm, resource))
            case EndHold(resource=number, reason=why, actor=actor):
                resource = changed.get(number) or snapshot.resources[number]
                changed[number] = held.end_hold(resource, why, now, actor)
                log.info("resource %d (%s): held no more", number, resource.name, extra=_about(farm, resource))
            case AskDelete(resource=number, reason=reason, actor=actor):
                resource = changed.get(number) or snapshot.resources[number]
                changed[number] = change.ask_delete(resource, reason, now, actor)
                log.info(
                    "resource %d (%s): to be deleted when its hook ends: %s",
                    number,
                    resource.name,
                    reason,
                    extra=_about(farm, resource),
                )
            case StartDelete(resource=number):
                holder = snapshot.holder(number)
                # The ticket fails first; should it have changed meanwhile, the next plan decides.
                if holder is None or holder.state is not TicketState.OPEN:
                    changed[number] = change.begin_delete(changed.get(number) or snapshot.resources[number], now)
            case StartResource(pool=name):
                resource = _new_resource(farm, next(numbers), name, now)
                changed[resource.id] = resource
                begun.add(resource.id)
    if not changed:
        return
    writes = [Put(resource) for resource in changed.values()]
    started = {step.pool for step in starts}
    writes += keep_records(farm, [snapshot.records[name].replace(last_start=now) for name in started])
    under_way = {number: snapshot.resources[number].run for number in changed}
    farm.store.commit(Batch(writes))
    for number, resource in changed.items():
        farm.keep(resource)
        run = resource.run
        if run is not None and (number in begun or run != under_way[number]):
            _tell_start(farm, resource, run)
            _start_hook(farm, resource, run)


def _tell_start(farm: Farm, resource: Resource, run: Run) -> None:
    about = _about(farm, resource)
    if run.kind is HookKind.ALLOC:
        log.info("resource %d (%s): starting", resource.id, resource.name, extra=about)
    elif run.kind is HookKind.TERMINATE:
        log.info("resource %d (%s): deleting: %s", resource.id, resource.name, resource.reason, extra=about)


def _note_taken_time(farm: Farm, ticket: Ticket) -> None:
    if ticket.pool is not None and ticket.assigned_at is not None and ticket.closed_at is not None:
        farm.taken_times.setdefault(ticket.pool, []).append(ticket.closed_at - ticket.assigned_at)


def _apply_to_tickets(farm: Farm, steps: Sequence[FailTicket | Assign]) -> None:
    now = farm.clock()
    snapshot = farm.snapshot
    updates: dict[int, Update] = {}
    for step in steps:
        ticket = snapshot.tickets[step.ticket]
        match step:
            case FailTicket(reason=reason):
                updates[ticket.id] = Update(ticket, change.fail(ticket, reason, now))
                log.info("ticket %d: failed: %s", ticket.id, reason, extra=of_ticket(ticket))
            case Assign(resource=number):
                sandbox = ticket.sandbox or farm.random_name()
                assigned = change.assign(ticket, snapshot.resources[number], sandbox, now)
                updates[ticket.id] = Update(ticket, assigned)
    if not updates:
        return
    conflicts = {ticket.id for ticket in farm.store.commit(Batch(list(updates.values())))}
    for number, update in updates.items():
        if number in conflicts:
            farm.refresh({"tickets": {f"{number}.json"}})
        else:
            farm.keep(update.document)
            if update.document.state is TicketState.FAILED:
                farm.measures.ticket_failed(update.document)
            elif update.base.waiting and not update.document.waiting:
                farm.measures.granted(update.document)
                _tell_assignment(update.document)


def _new_resource(farm: Farm, number: int, pool_name: str, now: float) -> Resource:
    snapshot = farm.snapshot
    pool = snapshot.pools[pool_name]
    counters = {name: snapshot.free_counter(name) for name in pool.named_counters}
    resource = change.new_resource(number, pool, snapshot.free_number(pool_name), counters, now)
    farm.keep(resource)
    return resource


def _start_hook(farm: Farm, resource: Resource, run: Run) -> None:
    pool = farm.snapshot.options_of(resource.pool)
    if pool is None:
        log.error(
            "resource %d (%s): the options of pool %s are lost",
            resource.id,
            resource.name,
            resource.pool,
            extra=_about(farm, resource),
        )
        return
    farm.hooks.start(resource_run(resource, pool, run.kind, run.id, farm.settings.output_limit))


def _tell_assignment(ticket: Ticket) -> None:
    log.info(
        "ticket %d: got resource %s (%s)", ticket.id, ticket.resource, ticket.resource_name, extra=of_ticket(ticket)
    )


def _about(farm: Farm, resource: Resource) -> Fields:
    """The fields of a line of the log about a resource: it, and who has it."""
    return of_resource(resource, farm.snapshot.holder(resource.id))
