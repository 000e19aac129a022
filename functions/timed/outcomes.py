"""Records the outcomes of hooks of resources, in the resources and in the statistics of their pools.

Reconcile does so before it plans. After a restart, documents may name runs that do not exist: these were lost, which is
an outcome too; or, if they certainly never started, they are started.
"""

import logging
from collections.abc import Iterable

from functions.logfields import of_resource
from functions.policy.transitions.hook_results import fold_resource
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.pool import fold_record, note_abandoned
from functions.policy.transitions.run_id import RunId
from functions.timed.hook_runs import HookRun, resource_run
from functions.timed.leader import Leader
from functions.timed.pool_records import keep_records
from state.documents import HookKind, Resource, ResourceState
from state.store import Batch, Put

log = logging.getLogger(__name__)


def fold_outcomes(leader: Leader, outcomes: Iterable[tuple[HookRun, Outcome]]) -> None:
    """Record how runs of resources ended, in the resources and in the statistics of their pools."""
    resources: dict[int, Resource] = {}
    record_writes: dict[str, Put] = {}
    done: list[str] = []
    for run, outcome in outcomes:
        number = RunId.parse(run.id).subject
        if number in leader.mirror.snapshot.lost:
            # Keep the outcome until the resource's document can be read: otherwise its hook would start again.
            continue
        done.append(run.id)
        resource = resources.get(number) or leader.mirror.snapshot.resources.get(number)
        if resource is None:
            continue
        folded = fold_resource(resource, outcome, leader.mirror.snapshot.options_of(resource.pool))
        if folded is resource:
            leader.mirror.touch(resource)
            continue
        resources[number] = folded
        _log_outcome(leader, resource, folded, outcome)
        record = leader.mirror.snapshot.records.get(resource.pool)
        if outcome.kind is HookKind.TERMINATE and folded.state is ResourceState.ENDED and not outcome.good:
            leader.measures.gave_up(resource.pool)
            record = record and note_abandoned(record, outcome)
        elif outcome.kind is HookKind.ALLOC:
            options = leader.mirror.snapshot.options_of(resource.pool)
            record = record and fold_record(record, outcome, options.start_delay if options else 0)
        else:
            continue
        if record is not None:
            for put in keep_records(leader, [record]):
                record_writes[record.name] = put
    if resources:
        writes = [Put(resource) for resource in resources.values()]
        leader.store.commit(Batch([*writes, *record_writes.values()]))
        for resource in resources.values():
            leader.keep(resource)
    for run_id in done:
        leader.hooks.forget(run_id)


def _log_outcome(leader: Leader, before: Resource, after: Resource, outcome: Outcome) -> None:
    if outcome.kind is HookKind.WATCH:
        if after.check_failed_count:
            log.warning(
                "resource %d (%s): livecheck failed, %d in a row: %s",
                after.id,
                after.name,
                after.check_failed_count,
                outcome.cut_off or outcome.last_line or f"exit status {outcome.exit}",
                extra=of_resource(after, leader.mirror.snapshot.holder(after.id)),
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
        extra=of_resource(after, leader.mirror.snapshot.holder(after.id)),
    )


def missing_runs(leader: Leader) -> list[tuple[HookRun, Outcome]]:
    """Outcomes (lost) for the runs that documents name and that do not exist: the machine or the scheduler stopped."""
    missing = []
    for resource, hook_run in _runs_without_file(leader):
        started_at = resource.run.started_at if resource.run else 0.0
        outcome = Outcome(
            run=hook_run.id,
            kind=hook_run.kind,
            started_at=started_at,
            ended_at=max(leader.clock(), started_at),
            exit=None,
            cut_off="it left no result: the machine or the server stopped",
            lost=True,
            output=None,
        )
        missing.append((hook_run, outcome))
    return missing


def start_missing_runs(leader: Leader) -> None:
    """Start the runs that documents name and that do not exist.

    Only call it when these runs certainly never started, because the scheduler stopped before. A run has a file from
    before its start until its outcome is recorded; only a restart of the machine can lose that file.
    """
    missing = _runs_without_file(leader)
    if not missing:
        return
    # Written again, since the scheduler that wrote them may have been killed before they were durable.
    leader.store.commit(Batch([Put(resource) for resource, _ in missing]))
    for _, hook_run in missing:
        leader.hooks.start(hook_run)


def _runs_without_file(leader: Leader) -> list[tuple[Resource, HookRun]]:
    """The resources whose run does not exist, each with that run."""
    known = set(leader.hooks.under_way())
    missing = []
    for resource in leader.mirror.snapshot.resources_in_run():
        run = resource.run
        pool = leader.mirror.snapshot.options_of(resource.pool)
        if run is not None and run.id not in known and pool is not None:
            missing.append((resource, resource_run(resource, pool, run.kind, run.id, leader.settings.output_limit)))
    return missing
