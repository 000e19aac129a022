"""What would become of a farm: plans are made and followed in a snapshot, as the scheduler does in documents."""

from itertools import count

from functions.policy.plan import holds as held
from functions.policy.plan.plan import (
    ROUNDS,
    AskDelete,
    Assign,
    ChangePool,
    DropIntent,
    EndHold,
    FailTicket,
    HoldResource,
    LetGo,
    NoteDrained,
    Plan,
    RequestDelete,
    Settle,
    StartDelete,
    StartResource,
    Step,
    plan,
)
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions import pool as modes
from functions.policy.transitions import resource as change
from functions.policy.transitions.hook_results import Outcome, fold_record, fold_resource
from functions.policy.transitions.records import configured
from state.documents import HookKind, Resource

MOST_PLANS = 4000
"""Plans after which what follows is not followed any further; fewer where there are many pools."""
MOST_LOOKED_AT = 200_000
"""Pools that all these plans may look at together."""
MOST_RESOURCES = 20_000
"""Resources with which a farm is followed no further."""


def rehearse_pass(snapshot: Snapshot, now: float) -> list[Step]:
    """The steps of the next pass, in their order; the snapshot is as it leaves it, with hooks that have begun."""
    steps: list[Step] = []
    for _ in range(ROUNDS):
        decided = plan(snapshot, now)
        if not decided.steps:
            break
        steps += decided.steps
        apply(snapshot, decided, now)
    return steps


def rehearse_all(snapshot: Snapshot, now: float) -> tuple[bool, float]:
    """All that follows until nothing is left to do; the snapshot is as it is then, at the time that is returned.

    It is as if every hook ended well, at once, and no client or operator did anything. False when that is too long a
    story, and the snapshot stands in the middle of it.
    """
    for _ in range(min(MOST_PLANS, 10 + MOST_LOOKED_AT // (1 + len(snapshot.pools)))):
        if len(snapshot.resources) > MOST_RESOURCES:
            break
        decided = plan(snapshot, now)
        if decided.steps:
            apply(snapshot, decided, now)
        elif busy := snapshot.resources_in_run():
            for resource in busy:
                _end_run(snapshot, resource, now)
        elif decided.next_due is not None:
            now = decided.next_due
        else:
            return True, now
    return False, now


def apply(snapshot: Snapshot, decided: Plan, now: float) -> None:
    """Do what the plan says, with hooks that start and stand still."""
    new_ids = count(max(snapshot.resources, default=0) + 1)
    for step in decided.steps:
        match step:
            case LetGo():
                resource, ticket = snapshot.resources[step.resource], snapshot.tickets[step.ticket]
                snapshot.put_resource(change.let_go(resource, ticket, step.hook, now))
            case Settle():
                snapshot.drop_ticket(step.ticket)
            case FailTicket():
                snapshot.put_ticket(change.fail(snapshot.tickets[step.ticket], step.reason, now))
            case RequestDelete():
                resource, holder = snapshot.resources[step.resource], snapshot.holder(step.resource)
                snapshot.put_resource(change.request_delete(resource, step.reason, now, step.actor, holder))
            case AskDelete():
                resource = snapshot.resources[step.resource]
                snapshot.put_resource(change.ask_delete(resource, step.reason, now, step.actor))
            case HoldResource():
                resource, intent = snapshot.resources[step.resource], snapshot.intents[step.intent]
                snapshot.put_resource(held.hold(resource, intent, now))
            case EndHold():
                resource = snapshot.resources[step.resource]
                snapshot.put_resource(held.end_hold(resource, step.reason, now, step.actor))
            case ChangePool():
                record, intent = snapshot.records[step.pool], snapshot.intents[step.intent]
                snapshot.put_record(modes.change_pool(record, intent, now))
            case NoteDrained():
                snapshot.put_record(modes.note_drained(snapshot.records[step.pool], now))
            case DropIntent():
                snapshot.drop_intent(step.intent)
            case StartDelete():
                snapshot.put_resource(change.begin_delete(snapshot.resources[step.resource], now))
            case StartResource():
                _start(snapshot, next(new_ids), step.pool, now)
            case Assign():
                ticket, resource = snapshot.tickets[step.ticket], snapshot.resources[step.resource]
                snapshot.put_ticket(change.assign(ticket, resource, f"random {ticket.id}", now))


def _start(snapshot: Snapshot, id: int, pool_name: str, now: float) -> None:
    pool = snapshot.pools[pool_name]
    counters = {name: snapshot.free_counter(name) for name in pool.named_counters}
    snapshot.put_resource(change.new_resource(id, pool, snapshot.free_number(pool_name), counters, now))
    record = snapshot.records.get(pool_name) or configured(None, pool, 0, now)
    snapshot.put_record(record.replace(last_start=now))


def _end_run(snapshot: Snapshot, resource: Resource, now: float) -> None:
    run, pool = resource.run, snapshot.options_of(resource.pool)
    if run is None:
        return
    outcome = Outcome(run=run.id, kind=run.kind, started_at=now, ended_at=now, exit=0, output=b"")
    snapshot.put_resource(fold_resource(resource, outcome, pool))
    record = snapshot.records.get(resource.pool)
    if run.kind is HookKind.ALLOC and record is not None:
        snapshot.put_record(fold_record(record, outcome, pool.start_delay if pool else 0))
