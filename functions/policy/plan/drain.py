"""What a DRAINING pool loses: what is free at once, at its deadline also what is taken."""

from datetime import UTC, datetime

from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import NoteDrained, Step
from state.documents import PoolMode, PoolRecord, ResourceState


def remove(draft: Draft) -> list[Step]:
    """Deletes in the pools that drain, and which of them have nothing left since this instant.

    What is STARTING or RELEASING goes when it comes UP.
    """
    steps: list[Step] = []
    names = draft.snapshot.draining | draft.records.keys()
    for name in sorted(names):
        record = draft.record(name)
        if record is None or record.mode is not PoolMode.DRAINING:
            continue
        if draft.snapshot.living[name]:
            steps += _remove_from(draft, record)
        elif record.drained_at is None:
            steps.append(NoteDrained(name))
    return steps


def _remove_from(draft: Draft, record: PoolRecord) -> list[Step]:
    snapshot, pool = draft.snapshot, record.name
    reason = f"its pool is drained: {record.mode_reason}" if record.mode_reason else "its pool is drained"
    ids = {*snapshot.spares[pool], *(id for _, id in snapshot.idle[pool]), *draft.freed_in_pool[pool]}
    if record.drain_until is not None and snapshot.states[pool, ResourceState.UP]:
        if record.drain_until > draft.now:
            draft.wake(record.drain_until)
        else:
            deadline = datetime.fromtimestamp(record.drain_until, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            reason = f"{reason} (the deadline was {deadline})"
            # Seldom enough that no group of taken resources is kept for it.
            up = (resource for resource in snapshot.resources.values() if resource.state is ResourceState.UP)
            ids.update(resource.id for resource in up if resource.pool == pool)
    steps: list[Step] = []
    for id in sorted(ids - draft.leaving - snapshot.doubtful):
        resource = draft.resource(id)
        if resource is not None and resource.state is ResourceState.UP and not resource.held:
            steps += draft.request(resource, reason)
    return steps
