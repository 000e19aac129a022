"""Applies one step of a plan: which documents there are after it. The scheduler writes them, a preview keeps them."""

from collections.abc import Callable, Iterator

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
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.pool import change_mode, note_drained, record_in_file
from functions.policy.transitions.resource import (
    begin_delete,
    delete_after_run,
    end_hold,
    hold_resource,
    new_resource,
    release_resource,
    request_delete,
)
from functions.policy.transitions.ticket import assign_ticket, fail_ticket
from state.documents import PoolRecord, Resource, Ticket

Changed = Ticket | Resource | PoolRecord
"""What a step can change."""


class AppliedSteps:
    """The documents after the steps of a plan that were applied so far: a snapshot, and over it the changed documents.

    `now` is in Unix seconds. `new_ids` are the ids of resources that start, `new_sandbox` names the sandbox of a ticket
    (by its id) that has none. A resource that starts must be put into the snapshot at once, so that the next one gets
    other numbers; everything else may be put there, or here, with `put`.
    """

    def __init__(
        self, snapshot: Snapshot, now: float, new_ids: Iterator[int], new_sandbox: Callable[[int], str]
    ) -> None:
        self.snapshot = snapshot
        self.now = now
        self.new_ids = new_ids
        self.new_sandbox = new_sandbox
        self.resources: dict[int, Resource] = {}
        """Resources that earlier steps changed, and that are not in the snapshot yet."""
        self.records: dict[str, PoolRecord] = {}
        """Records of pools that earlier steps changed, and that are not in the snapshot yet."""

    def put(self, document: Resource | PoolRecord) -> None:
        """Let later steps see this document instead of the one in the snapshot."""
        if isinstance(document, Resource):
            self.resources[document.id] = document
        else:
            self.records[document.name] = document

    def resource(self, id: int) -> Resource:
        """The resource as the steps so far leave it."""
        return self.resources.get(id) or self.snapshot.resources[id]

    def record(self, pool: str) -> PoolRecord | None:
        """The record of a pool as the steps so far leave it."""
        return self.records.get(pool) or self.snapshot.records.get(pool)

    def holder(self, resource: Resource) -> Ticket | None:
        """The ticket that has this resource, unless an earlier step released it."""
        holder = self.snapshot.holder(resource.id)
        return holder if holder is not None and holder.holds(resource) else None


def apply_step(step: Step, applied: AppliedSteps) -> tuple[Changed, ...]:
    """The documents that the step changes, as they are after it; `applied` stays as it is.

    Settle and DropIntent change no document: the caller removes the ticket or the intent that they name.
    """
    now = applied.now
    match step:
        case Assign():
            ticket, resource = applied.snapshot.tickets[step.ticket], applied.resource(step.resource)
            sandbox = applied.new_sandbox(ticket.id) if ticket.sandbox is None else ticket.sandbox
            return (assign_ticket(ticket, resource, sandbox, now),)
        case FailTicket():
            return (fail_ticket(applied.snapshot.tickets[step.ticket], step.reason, now),)
        case Release():
            return _release(step, applied)
        case RequestDelete():
            resource = applied.resource(step.resource)
            return (request_delete(resource, step.reason, now, step.actor, applied.holder(resource)),)
        case DeleteAfterRun():
            return (delete_after_run(applied.resource(step.resource), step.reason, now, step.actor),)
        case HoldResource():
            return (hold_resource(applied.resource(step.resource), applied.snapshot.intents[step.intent], now),)
        case EndHold():
            return (end_hold(applied.resource(step.resource), step.reason, now, step.actor),)
        case StartDelete():
            return (begin_delete(applied.resource(step.resource), now),)
        case StartResource():
            return _start(step.pool, applied)
        case ChangePool():
            record = applied.record(step.pool)
            return () if record is None else (change_mode(record, applied.snapshot.intents[step.intent], now),)
        case NoteDrained():
            record = applied.record(step.pool)
            return () if record is None else (note_drained(record, now),)
        case Settle() | DropIntent():
            return ()


def _release(step: Release, applied: AppliedSteps) -> tuple[Changed, ...]:
    ticket = applied.snapshot.tickets[step.ticket]
    resource = release_resource(applied.resource(step.resource), ticket, step.hook, applied.now)
    record = applied.record(resource.pool)
    if ticket.bad is None or record is None:
        return (resource,)
    return resource, record.replace(bad_resources=record.bad_resources + 1)


def _start(pool_name: str, applied: AppliedSteps) -> tuple[Resource, PoolRecord]:
    snapshot, now = applied.snapshot, applied.now
    pool = snapshot.pools[pool_name]
    counters = {name: snapshot.free_counter(name) for name in pool.named_counters}
    resource = new_resource(next(applied.new_ids), pool, snapshot.free_number(pool_name), counters, now)
    record = applied.record(pool_name) or record_in_file(None, pool, 0, now)
    return resource, record.replace(last_start=now)
