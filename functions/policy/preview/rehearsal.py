"""Follows plans in a snapshot, as the scheduler follows them in documents."""

from itertools import count

from functions.policy.plan.apply import AppliedSteps, apply_step
from functions.policy.plan.plan import ROUNDS, Plan, plan
from functions.policy.plan.steps import DropIntent, Settle, Step
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.hook_results import fold_resource
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.pool import fold_record
from state.documents import HookKind, PoolRecord, Resource, Ticket

MOST_PLANS = 4000
"""Plans that are followed at most; fewer where there are many pools."""
MOST_EXAMINED = 200_000
"""Pools that all these plans together may examine."""
MOST_RESOURCES = 20_000
"""With more resources than this, plans are not followed any further."""


def rehearse_pass(snapshot: Snapshot, now: float) -> list[Step]:
    """The steps of the next pass, in their order. Afterwards the snapshot is as that pass leaves it, hooks running."""
    steps: list[Step] = []
    for _ in range(ROUNDS):
        decided = plan(snapshot, now)
        if not decided.steps:
            break
        steps += decided.steps
        apply(snapshot, decided, now)
    return steps


def rehearse_all(snapshot: Snapshot, now: float) -> tuple[bool, float]:
    """Follow plans until nothing is left to do. Returns whether that was reached, and the time of the end.

    Every hook succeeds at once, and no client or operator does anything. If the limits above are reached first, the
    snapshot is as it was then.
    """
    for _ in range(min(MOST_PLANS, 10 + MOST_EXAMINED // (1 + len(snapshot.pools)))):
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
    """Do the steps of a plan in the snapshot; hooks start and do not end."""
    new_ids = count(max(snapshot.resources, default=0) + 1)
    applied = AppliedSteps(snapshot, now, new_ids, new_sandbox=lambda ticket: f"random {ticket}")
    for step in decided.steps:
        for document in apply_step(step, applied):
            match document:
                case Resource():
                    snapshot.put_resource(document)
                case Ticket():
                    snapshot.put_ticket(document)
                case PoolRecord():
                    snapshot.put_record(document)
        match step:
            case Settle():
                snapshot.drop_ticket(step.ticket)
            case DropIntent():
                snapshot.drop_intent(step.intent)


def _end_run(snapshot: Snapshot, resource: Resource, now: float) -> None:
    run, pool = resource.run, snapshot.options_of(resource.pool)
    if run is None:
        return
    outcome = Outcome(run=run.id, kind=run.kind, started_at=now, ended_at=now, exit=0, output=b"")
    snapshot.put_resource(fold_resource(resource, outcome, pool))
    record = snapshot.records.get(resource.pool)
    if run.kind is HookKind.ALLOC and record is not None:
        snapshot.put_record(fold_record(record, outcome, pool.start_delay if pool else 0))
