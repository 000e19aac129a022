"""What follows from how a hook run ended, for its resource and for the statistics and the pause of its pool."""

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from config.pools import Pool
from functions.policy.clock import SLACK, due, later
from functions.policy.transitions.history import moved, note
from functions.policy.transitions.resource import request_delete
from state.documents import Actor, HookKind, PoolRecord, Resource, ResourceState
from state.lifecycle import PoolEvent, ResourceEvent

_AVERAGE_WEIGHT = 0.2
_WEIGHT_OF_TAKEN = 0.05
_WEIGHT_OF_DEVIATION = 0.02
LONGEST_PAUSE = 300
"""Seconds, after a failed start or delete; a longer `start_delay` wins."""
_CHECKED_STATES = (ResourceState.UP, ResourceState.RELEASING)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one hook run ended. Times are Unix seconds.

    `cut_off` says in words why the run did not end by itself (time limit, signal, too much output, ...); None when it
    did. `lost`: its supervisor vanished without a result. `output` is what the hook printed, `last_line` the last line
    of its log. `kind` is None for the hooks of agents. `seconds` tells how long it ran where a clock that never jumps
    was looked at; the two times are those of the wall clock.
    """

    run: str
    kind: HookKind | None
    started_at: float
    ended_at: float
    exit: int | None = None
    cut_off: str | None = None
    lost: bool = False
    output: bytes | None = None
    last_line: str = ""
    seconds: float | None = None

    @property
    def took(self) -> float:
        """How many seconds it ran, as far as anybody knows."""
        return max(0.0, self.ended_at - self.started_at) if self.seconds is None else self.seconds

    @property
    def good(self) -> bool:
        """Whether the hook ended by itself, with exit status 0."""
        return self.by_itself and self.exit == 0

    @property
    def by_itself(self) -> bool:
        """Whether nobody cut the hook off, so that its exit status is its own word."""
        return self.exit is not None and self.cut_off is None and not self.lost

    @property
    def how(self) -> str:
        """How it ended, as what stands after the name of the hook: "exited 3: no quota left"."""
        if self.by_itself:
            ending = f"exited {self.exit}"
        elif self.cut_off is not None:
            ending = f"was cut off ({self.cut_off})"
        else:
            ending = "left no result"
        return f"{ending}: {self.last_line}" if self.last_line else ending


def fold_resource(resource: Resource, outcome: Outcome, pool: Pool | None) -> Resource:
    """The resource after this outcome; the same object when the outcome does not belong to it (any more).

    `pool` holds the options of its pool; None, when they are lost, means that deletes are never given up.
    """
    if outcome.kind is HookKind.WATCH:
        return _after_livecheck(resource, outcome)
    if resource.run is None or resource.run.id != outcome.run:
        return resource
    if outcome.kind is HookKind.ALLOC:
        return _after_start(resource, outcome)
    if outcome.kind is HookKind.RELEASE:
        return _after_release(resource, outcome)
    if outcome.kind is HookKind.TERMINATE:
        return _after_delete(resource, outcome, pool)
    return resource


def fold_record(record: PoolRecord, outcome: Outcome, start_delay: float) -> PoolRecord:
    """The pool's record after the outcome of an alloc run, which must not be folded in twice.

    Averages are exponential, seeded by the first sample. A failure pauses the pool, longer each time; failures of
    starts that ran side by side count as one for that.
    """
    good = outcome.good
    # While starts fail, the last attempt is the previous failure.
    previous_failure = record.last_attempt_to_start if record.start_failures else None
    same_volley = previous_failure is not None and _precedes(outcome, previous_failure)
    record = record.replace(
        startup_success_rate=_average(record.startup_success_rate, 1.0 if good else 0.0),
        startup_samples=record.startup_samples + 1,
        last_attempt_to_start=later(record.last_attempt_to_start, outcome.ended_at),
    )
    if good:
        if record.start_failures:
            record = note(record, PoolEvent.STARTS_SUCCEED, outcome.ended_at, Actor.HOOK, "paused", "starting")
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
        record = note(record, PoolEvent.STARTS_FAIL, outcome.ended_at, Actor.HOOK, "starting", "paused", reason)
    failures = record.start_failures if same_volley else record.start_failures + 1
    pause = max(start_delay, _growing(1, failures - 1))
    paused_until = due(record.paused_until or 0.0, max(start_delay, LONGEST_PAUSE), outcome.ended_at)
    return record.replace(
        start_failures=failures,
        paused_until=max(outcome.ended_at + pause, paused_until),
        pause_reason=reason,
    )


def note_loss(record: PoolRecord, outcome: Outcome) -> PoolRecord:
    """The pool's record after a delete that was given up: what it was to delete may still exist."""
    lost = record.lost_resources + 1
    return record.replace(lost_resources=lost, last_lost_at=later(record.last_lost_at, outcome.ended_at))


def fold_taken_times(record: PoolRecord, seconds: Iterable[float]) -> PoolRecord:
    """The pool's record after tickets kept its resources for so long.

    These times differ much, so that each counts less than one of a start, but for the first ones.
    """
    average, samples = record.taken_time_avg or 0.0, record.taken_samples
    for taken in seconds:
        samples += 1
        average += max(_WEIGHT_OF_TAKEN, 1 / samples) * (max(0.0, taken) - average)
    return record.replace(taken_time_avg=average, taken_samples=samples) if samples else record


def _after_start(resource: Resource, outcome: Outcome) -> Resource:
    if outcome.good:
        up = _ended(resource, outcome, ResourceEvent.START_SUCCEEDED, data=outcome.output, up_at=outcome.ended_at)
        return _deleted_if_asked(up, outcome.ended_at)
    reason = f"cmd_new {outcome.how}"
    if outcome.by_itself:
        event, ended_at = ResourceEvent.START_FAILED, outcome.ended_at
        return _ended(resource, outcome, event, why=reason, ended_at=ended_at, reason=reason)
    return _ended(resource, outcome, ResourceEvent.START_CUT_OFF, why=reason, reason=reason)


def _after_release(resource: Resource, outcome: Outcome) -> Resource:
    if outcome.good:
        return _deleted_if_asked(_ended(resource, outcome, ResourceEvent.RELEASE_SUCCEEDED), outcome.ended_at)
    reason = f"cmd_release {outcome.how}"
    if resource.delete_asked is not None:
        reason = f"{resource.delete_asked}; then {reason}"
    if resource.held:
        return _ended(resource, outcome, ResourceEvent.RELEASE_FAILED_HELD, why=reason, delete_asked=reason)
    return _ended(resource, outcome, ResourceEvent.RELEASE_FAILED, why=reason, reason=reason)


def _after_delete(resource: Resource, outcome: Outcome, pool: Pool | None) -> Resource:
    if outcome.good:
        return _ended(resource, outcome, ResourceEvent.DELETE_SUCCEEDED, ended_at=outcome.ended_at)
    failures = resource.delete_failures + 1
    if pool is not None and failures >= pool.delete_attempts:
        given_up = f"cmd_delete failed {failures} times and is not tried again; at last it {outcome.how}"
        return _ended(
            resource,
            outcome,
            ResourceEvent.DELETE_GIVEN_UP,
            why=given_up,
            delete_failures=failures,
            ended_at=outcome.ended_at,
            reason=f"{resource.reason}; {given_up}" if resource.reason else given_up,
        )
    retry_at = outcome.ended_at + _growing(2, failures - 1)
    why = f"cmd_delete {outcome.how}"
    event = ResourceEvent.DELETE_FAILED
    return _ended(resource, outcome, event, why=why, delete_failures=failures, delete_retry_at=retry_at)


def _after_livecheck(resource: Resource, outcome: Outcome) -> Resource:
    last = resource.check_last_time
    outdated = last is not None and _precedes(outcome, last)
    if outcome.lost or outdated or resource.state not in _CHECKED_STATES:
        return resource
    failed = 0 if outcome.good else resource.check_failed_count + 1
    if failed == 1:
        why = f"cmd_livecheck {outcome.how}"
        resource = moved(resource, ResourceEvent.CHECK_FAILED, outcome.ended_at, Actor.HOOK, why=why)
    elif outcome.good and resource.check_failed_count:
        resource = moved(resource, ResourceEvent.CHECK_GOOD, outcome.ended_at, Actor.HOOK)
    return resource.replace(check_last_time=outcome.ended_at, check_failed_count=failed)


def _precedes(outcome: Outcome, at: float) -> bool:
    """Whether the run began before this; one that is over before it, too, tells that the clock was set back."""
    return outcome.started_at < at <= outcome.ended_at + SLACK


def _ended(resource: Resource, outcome: Outcome, event: ResourceEvent, **changes: Any) -> Resource:
    return moved(resource, event, outcome.ended_at, Actor.HOOK, run=None, **changes)


def _deleted_if_asked(resource: Resource, now: float) -> Resource:
    if resource.delete_asked is None or resource.held:
        return resource
    return request_delete(resource, resource.delete_asked, now)


def _average(average: float | None, sample: float) -> float:
    return sample if average is None else average + _AVERAGE_WEIGHT * (sample - average)


def _deviation(record: PoolRecord, took: float) -> float | None:
    """By how much starts miss their average, after one more: the root of the mean of the squares.

    So one that takes many times as long counts, also if that happens rarely.
    """
    usual, deviation = record.startup_time_avg, record.startup_time_deviation
    if usual is None:
        return deviation
    missed = (took - usual) ** 2
    if deviation is None:
        return math.sqrt(missed)
    weight = max(_WEIGHT_OF_DEVIATION, 1 / record.startup_samples)
    return math.sqrt((1 - weight) * deviation**2 + weight * missed)


def _growing(first: float, doublings: int) -> float:
    """`first` seconds doubled so many times, at most five minutes."""
    return min(LONGEST_PAUSE, first * 2.0 ** min(doublings, 20))
