"""Transitions that follow from results of hooks."""

from typing import Any

import pytest

from functions.policy.transitions.hook_results import fold_resource
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.pool import fold_record
from state.documents import HookKind, Resource, ResourceState
from tests.policy.world import NOW, RUN_OF, a_pool, a_record, a_released_resource, a_resource

VM = a_pool(delete_attempts=3)
STARTING = a_resource(1, state=ResourceState.STARTING)
RELEASING = a_released_resource(1, state=ResourceState.RELEASING)
DELETING = a_resource(1, state=ResourceState.DELETING, reason="livecheck failed 3 times in a row")


def an_outcome(resource: Resource, kind: HookKind | None = None, **fields: Any) -> Outcome:
    """The result of this resource's run, 5 s after it began; a success by default."""
    defaults: dict[str, Any] = {"started_at": NOW - 5, "ended_at": NOW, "exit": 0, "output": b""}
    run = resource.run.id if resource.run else "some run"
    return Outcome(run=run, kind=kind or RUN_OF[resource.state], **{**defaults, **fields})


def after(resource: Resource, pool: Any = VM, **fields: Any) -> Resource:
    return fold_resource(resource, an_outcome(resource, **fields), pool)


CUT_OFF = {"exit": None, "cut_off": "time limit of 60 s"}
LOST = {"exit": None, "lost": True}


# cmd_new


def test_a_start_that_succeeds_is_up_with_its_data() -> None:
    """Given exit 0, when folded in, then the resource is UP with what was printed, and its run is over."""
    resource = after(STARTING, output=b"10.0.0.1\n")
    expected = STARTING.replace(state=ResourceState.UP, data=b"10.0.0.1\n", up_at=NOW, run=None)
    assert resource == expected.replace(history=resource.history)


def test_a_start_that_was_to_be_deleted_is_deleted_after_success() -> None:
    """Given delete_asked, when the start succeeds, then its delete is requested at once, data and reason kept."""
    resource = after(STARTING.replace(delete_after_run="deleted by an operator"), output=b"ip")
    assert (resource.state, resource.reason) == (ResourceState.DELETE_REQUEST, "deleted by an operator")
    assert (resource.data, resource.run) == (b"ip", None)


@pytest.mark.parametrize("delete_asked", [None, "deleted by an operator"])
def test_a_start_that_fails_by_itself_has_ended(delete_asked: str | None) -> None:
    """Given exit 3, when folded in, then the resource is ENDED, nothing is deleted, and the last line shows why."""
    resource = after(STARTING.replace(delete_after_run=delete_asked), exit=3, last_line="no quota left")
    assert (resource.state, resource.ended_at, resource.run) == (ResourceState.ENDED, NOW, None)
    assert resource.reason == "cmd_new exited 3: no quota left"


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (CUT_OFF, "cmd_new was cut off (time limit of 60 s): half"),
        (LOST, "cmd_new left no result: half"),
        ({"exit": 0, "cut_off": "too much output"}, "cmd_new was cut off (too much output): half"),
        ({"exit": 0, "lost": True}, "cmd_new left no result: half"),
    ],
)
def test_a_start_that_was_cut_off_may_have_left_something(ending: dict[str, Any], reason: str) -> None:
    """Given a start that did not end by itself, when folded in, then its delete is requested."""
    resource = after(STARTING, last_line="half", **ending)
    assert (resource.state, resource.reason, resource.run) == (ResourceState.DELETE_REQUEST, reason, None)
    assert resource.data is None


# cmd_release


def test_a_release_that_succeeds_is_up_again() -> None:
    """Given exit 0, when folded in, then the resource is UP and otherwise as before."""
    resource = after(RELEASING)
    assert resource == RELEASING.replace(state=ResourceState.UP, run=None, history=resource.history)


def test_a_release_that_was_to_be_deleted_is_deleted_after_success() -> None:
    """Given delete_asked, when the release succeeds, then the delete is requested."""
    resource = after(RELEASING.replace(delete_after_run="why"))
    assert (resource.state, resource.reason) == (ResourceState.DELETE_REQUEST, "why")


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ({"exit": 1}, "cmd_release exited 1"),
        (CUT_OFF, "cmd_release was cut off (time limit of 60 s)"),
        (LOST, "cmd_release left no result"),
    ],
)
def test_a_release_that_fails_means_delete(ending: dict[str, Any], reason: str) -> None:
    """Given any failure, when folded in, then the resource is never reused."""
    resource = after(RELEASING, **ending)
    assert (resource.state, resource.reason) == (ResourceState.DELETE_REQUEST, reason)


# cmd_delete


def test_a_delete_that_succeeds_has_ended() -> None:
    """Given exit 0, when folded in, then the resource is ENDED and keeps why it was deleted."""
    resource = after(DELETING)
    ended = DELETING.replace(state=ResourceState.ENDED, ended_at=NOW, run=None)
    assert resource == ended.replace(history=resource.history)


@pytest.mark.parametrize("ending", [{"exit": 1}, CUT_OFF, LOST])
def test_a_delete_that_fails_is_tried_again(ending: dict[str, Any]) -> None:
    """Given any failure, when folded in, then the delete is due again 2 s later and the reason stays."""
    resource = after(DELETING, **ending)
    assert (resource.state, resource.delete_failures) == (ResourceState.DELETE_REQUEST, 1)
    assert (resource.delete_retry_at, resource.reason) == (NOW + 2, DELETING.reason)


def test_the_pauses_between_deletes_double_up_to_five_minutes() -> None:
    """Given ever more failures, when folded in, then the pauses are 2, 4, 8 ... and never above 300 s."""
    pool = a_pool(delete_attempts=10_000)
    failures = [0, 1, 2, 6, 7, 8, 9000]
    pauses = [after(DELETING.replace(delete_failures=n), pool, exit=1).delete_retry_at - NOW for n in failures]
    assert pauses == [2, 4, 8, 128, 256, 300, 300]


def test_a_delete_that_fails_too_often_is_abandoned() -> None:
    """Given the last attempt fails, when folded in, then the resource is ENDED and the reason contains all of it."""
    resource = after(DELETING.replace(delete_failures=2), exit=1, last_line="no route")
    assert (resource.state, resource.ended_at, resource.delete_failures) == (ResourceState.ENDED, NOW, 3)
    assert resource.reason == (
        "livecheck failed 3 times in a row; "
        "cmd_delete failed 3 times and is not tried again; at last it exited 1: no route"
    )


def test_without_options_a_delete_is_never_abandoned() -> None:
    """Given the pool's options are lost, when a delete fails often, then it stays to be deleted."""
    assert after(DELETING.replace(delete_failures=99), None, exit=1).state is ResourceState.DELETE_REQUEST


# cmd_livecheck


def checked(resource: Resource, **fields: Any) -> Resource:
    return fold_resource(resource, an_outcome(resource, HookKind.WATCH, **fields), VM)


@pytest.mark.parametrize("resource", [a_resource(1, check_failed_count=2), RELEASING.replace(check_failed_count=2)])
def test_a_good_livecheck_forgets_failures(resource: Resource) -> None:
    """Given failures before, when a check is good, then the count is 0, and the end of the check is remembered."""
    after = checked(resource)
    assert after == resource.replace(check_failed_count=0, check_last_time=NOW, history=after.history)


@pytest.mark.parametrize("ending", [{"exit": 1}, CUT_OFF])
def test_a_failed_livecheck_counts(ending: dict[str, Any]) -> None:
    """Given a failure or a time limit, when folded in, then the count goes up by one."""
    before = a_resource(1, check_failed_count=2)
    assert checked(before, **ending) == before.replace(check_failed_count=3, check_last_time=NOW)


def test_a_lost_livecheck_says_nothing() -> None:
    """Given the supervisor vanished, when folded in, then the resource is unchanged."""
    before = a_resource(1)
    assert checked(before, **LOST) is before
    assert checked(before, exit=None, cut_off="the machine stopped", lost=True) is before


def test_a_livecheck_older_than_the_last_one_says_nothing() -> None:
    """Given a check that began before the last one ended, when folded in, then the resource is unchanged."""
    before = a_resource(1, check_last_time=NOW - 4)
    assert checked(before, exit=1) is before
    assert checked(before, exit=1, started_at=NOW - 4).check_failed_count == 1


@pytest.mark.parametrize(
    "state", [ResourceState.STARTING, ResourceState.DELETE_REQUEST, ResourceState.DELETING, ResourceState.ENDED]
)
def test_a_livecheck_of_what_is_not_up_says_nothing(state: ResourceState) -> None:
    """Given a resource that left UP, when a check of it ends, then the resource is unchanged."""
    before = a_resource(1, state=state)
    assert checked(before, exit=1) is before


# Outcomes that do not belong


@pytest.mark.parametrize("kind", [HookKind.ALLOC, HookKind.RELEASE, HookKind.TERMINATE])
@pytest.mark.parametrize("resource", [STARTING, RELEASING, DELETING, a_resource(1)], ids=lambda r: r.state)
def test_an_outcome_of_another_run_changes_nothing(resource: Resource, kind: HookKind) -> None:
    """Given a run that the resource does not wait for, when folded in, then the same object comes back."""
    outcome = Outcome(run="another run", kind=kind, started_at=NOW - 5, ended_at=NOW, exit=0)
    assert fold_resource(resource, outcome, VM) is resource


@pytest.mark.parametrize("resource", [STARTING, RELEASING, DELETING], ids=lambda r: r.state)
def test_an_outcome_is_folded_in_once(resource: Resource) -> None:
    """Given an outcome that was folded in, when it comes again, then nothing changes."""
    once = after(resource)
    assert fold_resource(once, an_outcome(resource), VM) is once


# Statistics and pauses of the pool


def recorded(record=None, start_delay: float = 0, **fields: Any):
    return fold_record(record or a_record(VM), an_outcome(STARTING, **fields), start_delay)


def test_the_first_start_seeds_the_averages() -> None:
    """Given no start before, when one succeeds after 5 s, then rate and time are its own."""
    record = recorded()
    assert (record.startup_success_rate, record.startup_time_avg) == (1.0, 5.0)
    assert (record.last_successful_start, record.last_attempt_to_start) == (NOW, NOW)


def test_the_time_of_a_start_is_that_of_a_clock_that_never_jumps() -> None:
    """Given a start in which the wall clock was set forward, when folded in, then its time is what it really took."""
    assert recorded(ended_at=NOW + 3600, seconds=4.0).startup_time_avg == 4.0


def test_averages_move_by_a_fifth() -> None:
    """Given averages, when starts succeed and fail, then each moves by 0.2 of the difference, time by success only."""
    before = a_record(VM, startup_success_rate=0.5, startup_time_avg=10.0, last_successful_start=NOW - 50)
    good, bad = recorded(before), recorded(before, exit=1)
    assert (good.startup_success_rate, good.startup_time_avg) == pytest.approx((0.6, 9.0))
    assert good.startup_time_deviation == pytest.approx(5.0)
    assert (bad.startup_success_rate, bad.startup_time_avg) == pytest.approx((0.4, 10.0))
    assert (bad.last_successful_start, bad.last_attempt_to_start) == (NOW - 50, NOW)


def test_a_first_start_that_fails_has_no_time() -> None:
    """Given no start before, when one fails, then the rate is 0 and there is no average time."""
    record = recorded(exit=1)
    assert (record.startup_success_rate, record.startup_time_avg, record.last_successful_start) == (0.0, None, None)


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ({"exit": 2, "last_line": "no quota"}, "cmd_new exited 2: no quota"),
        (CUT_OFF, "cmd_new was cut off (time limit of 60 s)"),
        (LOST, "cmd_new left no result"),
    ],
)
def test_a_failed_start_pauses_the_pool(ending: dict[str, Any], reason: str) -> None:
    """Given any failure, when folded in, then the pool pauses for a second and says why."""
    record = recorded(**ending)
    assert (record.start_failures, record.paused_until, record.pause_reason) == (1, NOW + 1, reason)


def test_pauses_double_up_to_five_minutes() -> None:
    """Given failures one after another, when folded in, then the pauses are 1, 2, 4 ... and never above 300 s."""
    pauses = []
    for failures in (0, 1, 2, 8, 9, 5000):
        before = a_record(VM, start_failures=failures, last_attempt_to_start=NOW - 10, paused_until=NOW - 6)
        pauses.append(recorded(before, exit=1).paused_until - NOW)
    assert pauses == [1, 2, 4, 256, 300, 300]


def test_a_pause_is_never_shorter_than_start_delay() -> None:
    """Given start_delay 30 and 600, when a start fails, then the pause is at least that long."""
    assert recorded(start_delay=30, exit=1).paused_until == NOW + 30
    assert recorded(start_delay=600, exit=1).paused_until == NOW + 600


def test_failures_of_one_volley_count_once() -> None:
    """Given starts side by side, when they fail one after another, then the pause begins anew but grows no longer."""
    first = recorded(exit=1, started_at=NOW - 5, ended_at=NOW)
    second = recorded(first, exit=1, started_at=NOW - 4, ended_at=NOW + 3)
    assert (second.start_failures, second.paused_until) == (1, NOW + 4)
    after_the_pause = recorded(second, exit=1, started_at=NOW + 4, ended_at=NOW + 6)
    assert (after_the_pause.start_failures, after_the_pause.paused_until) == (2, NOW + 8)


def test_a_pause_is_never_shortened_by_another_failure() -> None:
    """Given a long pause, when another start of the volley fails, then the pause stays as long."""
    before = a_record(VM, start_failures=1, last_attempt_to_start=NOW - 1, paused_until=NOW + 100)
    assert recorded(before, exit=1).paused_until == NOW + 100


def test_one_success_forgets_failures_and_pause() -> None:
    """Given a paused pool, when a start succeeds, then nothing is left of it."""
    before = a_record(VM, start_failures=5, paused_until=NOW + 100, pause_reason="why", last_attempt_to_start=NOW)
    record = recorded(before)
    assert (record.start_failures, record.paused_until, record.pause_reason) == (0, None, None)


def test_outcomes_that_come_out_of_order_keep_the_latest_times() -> None:
    """Given a later attempt is known, when an earlier one is folded in, then the last times stay."""
    before = a_record(VM, last_attempt_to_start=NOW + 9, last_successful_start=NOW + 9)
    record = recorded(before)
    assert (record.last_attempt_to_start, record.last_successful_start) == (NOW + 9, NOW + 9)
