"""Reconcile: fold in how hooks ended, decide, write, start hooks.

Triggered by changed tickets, intents, results and configuration, and by due times. Reads what changed; writes
resources, pool records and assignments. Everything that it starts stands in a document first.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile

from functions.logfields import Fields, of_resource, of_ticket
from functions.policy import change, held
from functions.policy.outcomes import Outcome, fold_record, fold_resource, note_loss
from functions.policy.plan import (
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
from functions.timed.archive import archive_earlier
from functions.timed.environment import resource_run
from functions.timed.farm import Farm
from functions.timed.hooks import HookRun
from functions.timed.pool_changes import change_pools
from functions.timed.records import keep_records
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
        changed = {_resource_of(run) for run, _ in ended}
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


def _resource_of(run: HookRun) -> int | None:
    """The number of the resource of a run; 0 when it is for one that nobody knows, None when it is an agent's."""
    return None if run.kind is None else int(run.id.split("_")[0])


def fold_outcomes(farm: Farm, outcomes: Iterable[tuple[HookRun, Outcome]]) -> None:
    """Write down how runs ended. Runs that belong to no resource are left to cleanup, those of agents to agents."""
    resources: dict[int, Resource] = {}
    decisive: dict[str, Put] = {}
    done: list[str] = []
    for run, outcome in outcomes:
        number = _resource_of(run)
        if number is None:
            continue
        if number == 0 or number in farm.snapshot.lost:
            # The outcome of a resource that nobody can read now is kept, or its hook would be started again.
            continue
        done.append(run.id)
        resource = resources.get(number) or farm.snapshot.resources.get(number)
        if resource is None:
            continue
        folded = fold_resource(resource, outcome, farm.snapshot.options_of(resource.pool))
        if folded is resource:
            farm.touch(resource)
            continue
        resources[number] = folded
        _tell(farm, resource, folded, outcome)
        record = farm.snapshot.records.get(resource.pool)
        if outcome.kind is HookKind.TERMINATE and folded.state is ResourceState.ENDED and not outcome.good:
            farm.measures.gave_up(resource.pool)
            record = record and note_loss(record, outcome)
        elif outcome.kind is HookKind.ALLOC:
            options = farm.snapshot.options_of(resource.pool)
            record = record and fold_record(record, outcome, options.start_delay if options else 0)
        else:
            continue
        if record is not None:
            for put in keep_records(farm, [record]):
                decisive[record.name] = put
    if resources:
        writes = [Put(resource) for resource in resources.values()]
        farm.store.commit(Batch([*writes, *decisive.values()]))
        for resource in resources.values():
            farm.keep(resource)
    for run_id in done:
        farm.hooks.forget(run_id)


def missing_runs(farm: Farm) -> list[tuple[HookRun, Outcome]]:
    """Outcomes for documents that wait for a run that nobody knows: the machine or the scheduler stopped before it."""
    missing = []
    for resource, hook_run in _unknown_runs(farm):
        started_at = resource.run.started_at if resource.run else 0.0
        outcome = Outcome(
            run=hook_run.id,
            kind=hook_run.kind,
            started_at=started_at,
            ended_at=max(farm.clock(), started_at),
            exit=None,
            cut_off="it left no result: the machine or the server stopped",
            lost=True,
            output=None,
        )
        missing.append((hook_run, outcome))
    return missing


def start_missing_runs(farm: Farm) -> None:
    """Start what documents wait for and nobody knows.

    Only where it is sure that these runs never started: each leaves a file from before its start until its outcome is
    written down, and only a restart of the machine can lose that. So it is when their turn had not come when the
    scheduler was stopped.
    """
    unknown = _unknown_runs(farm)
    if not unknown:
        return
    # Written once more, for who wrote it may have been stopped before it was on the disk.
    farm.store.commit(Batch([Put(resource) for resource, _ in unknown]))
    for _, hook_run in unknown:
        farm.hooks.start(hook_run)


def _unknown_runs(farm: Farm) -> list[tuple[Resource, HookRun]]:
    known = set(farm.hooks.under_way())
    unknown = []
    for resource in farm.snapshot.resources_in_run():
        run = resource.run
        pool = farm.snapshot.options_of(resource.pool)
        if run is not None and run.id not in known and pool is not None:
            unknown.append((resource, resource_run(resource, pool, run.kind, run.id, farm.settings.output_limit)))
    return unknown


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


def _tell(farm: Farm, before: Resource, after: Resource, outcome: Outcome) -> None:
    if outcome.kind is HookKind.WATCH:
        if after.check_failed_count:
            log.warning(
                "resource %d (%s): livecheck failed, %d in a row: %s",
                after.id,
                after.name,
                after.check_failed_count,
                outcome.cut_off or outcome.last_line or f"exit status {outcome.exit}",
                extra=_about(farm, after),
            )
        return
    log.info(
        "resource %d (%s): %s → %s after %.1f s%s",
        after.id,
        after.name,
        before.state,
        after.state,
        outcome.took,
        f": {after.reason}" if after.reason else "",
        extra=_about(farm, after),
    )


def _tell_assignment(ticket: Ticket) -> None:
    log.info(
        "ticket %d: got resource %s (%s)", ticket.id, ticket.resource, ticket.resource_name, extra=of_ticket(ticket)
    )


def _about(farm: Farm, resource: Resource) -> Fields:
    """The fields of a line of the log about a resource: it, and who has it."""
    return of_resource(resource, farm.snapshot.holder(resource.id))
