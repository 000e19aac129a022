"""The transitions of the record of a pool: pools.yaml changes it, operators do, and so do the outcomes of hooks."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from config.pools import Pool
from functions.policy.clock import due_at, later
from functions.policy.transitions.history import reason_of, record_after
from functions.policy.transitions.outcome import LONGEST_PAUSE, Outcome, backoff, began_before
from state.documents import Actor, Intent, IntentKind, PoolMode, PoolRecord
from state.lifecycle import PoolEvent

_WANTED = {
    IntentKind.PAUSE_POOL: PoolMode.PAUSED,
    IntentKind.DRAIN_POOL: PoolMode.DRAINING,
    IntentKind.RESUME_POOL: PoolMode.ACTIVE,
}
_IN, _OUT = "in the file", "not in the file"
_AVERAGE_WEIGHT = 0.2
_WEIGHT_OF_TAKEN = 0.05
_WEIGHT_OF_DEVIATION = 0.02


def updated_records(known: Mapping[str, PoolRecord], pools: Iterable[Pool], now: float) -> list[PoolRecord]:
    """The records that change, and new ones, when these pools are in pools.yaml; `now` is in Unix seconds."""
    records = {
        pool.name: record_in_file(known.get(pool.name), pool, position, now) for position, pool in enumerate(pools)
    }
    records |= {name: record_not_in_file(record, now) for name, record in known.items() if name not in records}
    return [record for name, record in records.items() if record != known.get(name)]


def record_in_file(record: PoolRecord | None, pool: Pool, position: int, now: float) -> PoolRecord:
    """The record of a pool that is in the file, at this position."""
    known = record or PoolRecord(name=pool.name, configured=False, first_seen_at=now)
    # Options that only a newer version knows stay.
    newer = {name: value for name, value in known.options.items() if name not in Pool.__struct_fields__}
    # As read back from JSON, so that the record equals the one on disk.
    options = newer | msgspec.json.decode(msgspec.json.encode(pool))
    if not known.configured:
        known = record_after(known, PoolEvent.CONFIGURED, now, Actor.OPERATOR, _OUT, _IN)
    elif options != known.options:
        changes = _changes(known.options, options)
        known = record_after(known, PoolEvent.CHANGED, now, Actor.OPERATOR, _IN, _IN, changes)
    return known.replace(position=position, configured=True, options=options)


def record_not_in_file(record: PoolRecord, now: float) -> PoolRecord:
    """The record of a pool that is no longer in the file."""
    if not record.configured:
        return record
    return record_after(record, PoolEvent.LEFT, now, Actor.OPERATOR, _IN, _OUT).replace(configured=False)


def changed_options(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of the options that are different."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def change_mode(record: PoolRecord, intent: Intent, now: float) -> PoolRecord:
    """The record after an operator's intent; the same object when it changes nothing (any more)."""
    if intent.kind is IntentKind.RETRY_POOL:
        return _retry(record, intent, now)
    mode = _WANTED.get(intent.kind)
    # A draining pool starts nothing anyhow: pausing it must not end the drain.
    if mode is None or (mode is PoolMode.PAUSED and record.mode is PoolMode.DRAINING):
        return record
    if mode is PoolMode.ACTIVE and record.mode is PoolMode.ACTIVE:
        return record
    until = intent.until if mode is PoolMode.DRAINING else None
    wanted = (mode, intent.by, intent.reason, until)
    if wanted == (record.mode, record.mode_by, record.mode_reason, record.drain_until):
        return record
    changed = record_after(
        record, PoolEvent.MODE_CHANGED, now, Actor.OPERATOR, record.mode, mode, reason_of(intent), until
    )
    return changed.replace(
        mode=mode,
        mode_since=record.mode_since if mode is record.mode else now,
        mode_by=intent.by,
        mode_reason=intent.reason,
        drain_until=until,
        drained_at=record.drained_at if mode is record.mode else None,
    )


def note_drained(record: PoolRecord, now: float) -> PoolRecord:
    """The record of a DRAINING pool whose last resource has ended."""
    changed = record_after(record, PoolEvent.DRAINED, now, Actor.LEADER, record.mode, record.mode)
    return changed.replace(drained_at=now)


def fold_record(record: PoolRecord, outcome: Outcome, start_delay: float) -> PoolRecord:
    """The pool's record after the outcome of an alloc run, which must not be folded in twice.

    Averages are exponential, seeded by the first sample. A failure pauses the pool, longer each time; failures of
    starts that ran side by side count as one failure.
    """
    good = outcome.good
    # While starts fail, the last attempt is the previous failure.
    previous_failure = record.last_attempt_to_start if record.start_failures else None
    ran_side_by_side = previous_failure is not None and began_before(outcome, previous_failure)
    record = record.replace(
        startup_success_rate=_average(record.startup_success_rate, 1.0 if good else 0.0),
        startup_samples=record.startup_samples + 1,
        last_attempt_to_start=later(record.last_attempt_to_start, outcome.ended_at),
    )
    if good:
        if record.start_failures:
            record = record_after(record, PoolEvent.STARTS_SUCCEED, outcome.ended_at, Actor.HOOK, "paused", "starting")
        return record.replace(
            startup_time_avg=_average(record.startup_time_avg, outcome.took),
            startup_time_deviation=_deviation(record, outcome.took),
            last_successful_start=later(record.last_successful_start, outcome.ended_at),
            start_failures=0,
            paused_until=None,
            pause_reason=None,
        )
    reason = f"cmd_new {outcome.how}"
    if not record.start_failures:
        record = record_after(record, PoolEvent.STARTS_FAIL, outcome.ended_at, Actor.HOOK, "starting", "paused", reason)
    failures = record.start_failures if ran_side_by_side else record.start_failures + 1
    pause = max(start_delay, backoff(1, failures - 1))
    paused_until = due_at(record.paused_until or 0.0, max(start_delay, LONGEST_PAUSE), outcome.ended_at)
    return record.replace(
        start_failures=failures,
        paused_until=max(outcome.ended_at + pause, paused_until),
        pause_reason=reason,
    )


def note_abandoned(record: PoolRecord, outcome: Outcome) -> PoolRecord:
    """The pool's record after a delete was abandoned: the resource may still exist."""
    lost = record.abandoned_resources + 1
    return record.replace(abandoned_resources=lost, last_abandoned_at=later(record.last_abandoned_at, outcome.ended_at))


def fold_taken_times(record: PoolRecord, seconds: Iterable[float]) -> PoolRecord:
    """The pool's record after tickets kept its resources for so long.

    These times differ much, so that each counts less than the time of a start, except for the first ones.
    """
    average, samples = record.taken_time_avg or 0.0, record.taken_samples
    for taken in seconds:
        samples += 1
        average += max(_WEIGHT_OF_TAKEN, 1 / samples) * (max(0.0, taken) - average)
    return record.replace(taken_time_avg=average, taken_samples=samples) if samples else record


def _changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The options that differ, numbers with both values: "cmd_new, max 4 → 5"."""
    return ", ".join(_change(name, before.get(name), after.get(name)) for name in changed_options(before, after))


def _change(name: str, before: Any, after: Any) -> str:
    numbers = all(isinstance(value, int | float) for value in (before, after))
    return f"{name} {before:g} → {after:g}" if numbers else name


def _retry(record: PoolRecord, intent: Intent, now: float) -> PoolRecord:
    if not record.start_failures and record.paused_until is None:
        return record
    changed = record_after(record, PoolEvent.RETRIED, now, Actor.OPERATOR, "paused", "starting", reason_of(intent))
    return changed.replace(start_failures=0, paused_until=None, pause_reason=None)


def _average(average: float | None, sample: float) -> float:
    return sample if average is None else average + _AVERAGE_WEIGHT * (sample - average)


def _deviation(record: PoolRecord, took: float) -> float | None:
    """By how much starts miss their average, after one more: the root mean square, so that rare long starts count."""
    usual, deviation = record.startup_time_avg, record.startup_time_deviation
    if usual is None:
        return deviation
    missed = (took - usual) ** 2
    if deviation is None:
        return math.sqrt(missed)
    weight = max(_WEIGHT_OF_DEVIATION, 1 / record.startup_samples)
    return math.sqrt((1 - weight) * deviation**2 + weight * missed)
