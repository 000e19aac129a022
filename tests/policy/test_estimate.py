"""Estimates of when waiting tickets can expect a resource."""

from hypothesis import given
from hypothesis import strategies as st

from config.pools import Pool
from functions.policy.transitions.pool import fold_taken_times
from functions.policy.waits.estimate import Arrival, Confidence, Estimate, Forecast, estimate
from functions.policy.waits.explain import explain
from functions.policy.waits.forecast import Coming, forecast
from state.documents import PoolMode, PoolRecord, ResourceState
from tests.policy.farms import pools
from tests.policy.test_explain import at_some_time, crowded
from tests.policy.world import (
    NOW,
    Document,
    a_pool,
    a_record,
    a_released_resource,
    a_resource,
    a_snapshot,
    a_ticket,
    an_assigned_ticket,
)

KNOWN = {"startup_time_avg": 100.0, "startup_time_deviation": 10.0, "startup_success_rate": 1.0, "startup_samples": 50}


def waits(farm: list[Pool], *documents: Document, count: int = 4) -> list[float | None]:
    """The estimates, in whole seconds, for the first places among tickets with the tag `a`."""
    explained = explain(a_snapshot(farm, *documents, a_ticket(99, "a")), NOW).cases[frozenset("a")]
    found = [estimate(explained.forecast, before, NOW) for before in range(count)]
    return [None if one.seconds is None else round(one.seconds) for one in found]


def test_what_starts_comes_when_starts_have_taken_their_usual_time() -> None:
    farm = [a_pool(tags={"a": 0}, max=2, max_starting=2, max_prealloc=2)]
    starting = [a_resource(id, farm[0], ResourceState.STARTING, created_at=NOW - 10 * id) for id in (1, 2)]
    assert waits(farm, *starting, a_record(farm[0], **KNOWN)) == [80, 90, None, None]


def test_a_start_that_is_late_is_still_to_come() -> None:
    farm = [a_pool(tags={"a": 0}, max=1, max_prealloc=1)]
    late = a_resource(1, farm[0], ResourceState.STARTING, created_at=NOW - 500)
    assert waits(farm, late, a_record(farm[0], **KNOWN), count=1) == [20]


def test_starts_follow_one_another_as_max_starting_allows() -> None:
    farm = [a_pool(tags={"a": 0}, max=9, max_starting=1, max_prealloc=1)]
    starting = a_resource(1, farm[0], ResourceState.STARTING, created_at=NOW - 40)
    assert waits(farm, starting, a_record(farm[0], **KNOWN)) == [60, 160, 260, 360]


def test_a_start_delay_and_a_pause_put_starts_off() -> None:
    farm = [a_pool(tags={"a": 0}, max=9, max_starting=5, max_prealloc=5, start_delay=30)]
    assert waits(farm, a_record(farm[0], last_start=NOW - 10, **KNOWN)) == [120, 150, 180, 210]
    assert waits(farm, a_record(farm[0], paused_until=NOW + 40, **KNOWN)) == [140, 170, 200, 230]


def test_a_pool_at_its_max_waits_for_tickets_to_be_closed() -> None:
    """Given two taken resources that are usually kept for ten minutes, then one is released each five, and so on."""
    farm = [a_pool(tags={"a": 0}, max=2, max_starting=2, max_prealloc=2)]
    taken = [a_resource(1, farm[0]), a_resource(2, farm[0]), an_assigned_ticket(1, 1), an_assigned_ticket(2, 2)]
    record = a_record(farm[0], taken_time_avg=600.0, taken_samples=50, **KNOWN)
    assert waits(farm, *taken, record) == [400, 700, 1100, 1400]


def test_what_waits_for_its_sandbox_makes_place_when_its_time_is_over() -> None:
    farm = [a_pool(tags={"a": 0}, max=1, max_prealloc=1, reuse_opportunity_time=60)]
    assert waits(farm, a_released_resource(1, farm[0]), a_record(farm[0], **KNOWN), count=2) == [150, None]


def test_what_operators_stopped_starts_no_more_and_what_drains_gives_nothing() -> None:
    farm = [a_pool(tags={"a": 0}, max=9, max_prealloc=1)]
    starting = a_resource(1, farm[0], ResourceState.STARTING, created_at=NOW - 40)
    assert waits(farm, starting, a_record(farm[0], mode=PoolMode.PAUSED, **KNOWN), count=2) == [60, None]
    assert waits(farm, starting, a_record(farm[0], mode=PoolMode.DRAINING, **KNOWN), count=2) == [None, None]


def test_of_starts_that_often_fail_more_are_needed() -> None:
    farm = [a_pool(tags={"a": 0}, max=99, max_starting=1, max_prealloc=1)]
    starting = a_resource(1, farm[0], ResourceState.STARTING, created_at=NOW)
    half = a_record(farm[0], **{**KNOWN, "startup_success_rate": 0.5})
    assert waits(farm, starting, half) == [100, 300, 500, 700]


def test_pools_work_side_by_side() -> None:
    farm = [a_pool(name, tags={"a": 0}, max=9, max_prealloc=1) for name in ("p", "q")]
    starting = [
        a_resource(id, farm[id], ResourceState.STARTING, created_at=NOW - 10 * id, tags={"a": 0}) for id in (0, 1)
    ]
    assert waits(farm, *starting, *(a_record(pool, **KNOWN) for pool in farm)) == [90, 100, 190, 200]


def test_without_any_history_nothing_is_known() -> None:
    farm = [a_pool(tags={"a": 0}, max=1, max_prealloc=1)]
    assert waits(farm, a_resource(1, farm[0], ResourceState.STARTING), a_record(farm[0]), count=1) == [None]
    assert estimate(Forecast(), 0, NOW) == Estimate()


def confidence(**record: object) -> Confidence:
    farm = [a_pool(tags={"a": 0}, max=1, max_prealloc=1)]
    documents = [a_resource(1, farm[0], ResourceState.STARTING), a_record(farm[0], **{**KNOWN, **record})]
    explained = explain(a_snapshot(farm, *documents, a_ticket(99, "a")), NOW).cases[frozenset("a")]
    return estimate(explained.forecast, 0, NOW).confidence


def test_how_sure_it_is_follows_from_the_history() -> None:
    assert confidence() is Confidence.HIGH
    assert confidence(startup_samples=19) is Confidence.MEDIUM
    assert confidence(startup_success_rate=0.8) is Confidence.MEDIUM
    assert confidence(startup_time_deviation=60.0) is Confidence.HIGH
    assert confidence(startup_time_deviation=61.0) is Confidence.MEDIUM
    assert confidence(startup_time_deviation=None) is Confidence.MEDIUM
    assert confidence(startup_samples=4) is Confidence.LOW
    assert confidence(startup_success_rate=0.6) is Confidence.LOW


def test_the_range_reaches_as_far_as_starts_miss_their_time() -> None:
    """Given a start that is almost over, when starts miss their time by 50 s, then the range reaches 50 s further."""
    for deviation, low, high in ((1.0, 12.0, 48.0), (50.0, 0.0, 80.0)):
        arrival = Arrival(at=NOW + 30, confidence=Confidence.HIGH, spread=deviation)
        guess = estimate(Forecast(arrivals=(arrival,)), 0, NOW)
        assert (guess.seconds, guess.low, guess.high) == (30.0, low, high)


def test_what_waits_for_uses_to_end_is_less_sure() -> None:
    farm = [a_pool(tags={"a": 0}, max=1, max_prealloc=1)]
    taken = [a_resource(1, farm[0]), an_assigned_ticket(1, 1), a_ticket(99, "a")]
    for samples, expected in ((50, Confidence.MEDIUM), (5, Confidence.LOW)):
        record = a_record(farm[0], taken_time_avg=600.0, taken_samples=samples, **KNOWN)
        explained = explain(a_snapshot(farm, *taken, record), NOW).cases[frozenset("a")]
        assert estimate(explained.forecast, 0, NOW).confidence is expected


def test_the_average_of_uses_is_a_plain_one_at_first() -> None:
    record = fold_taken_times(PoolRecord(name="p"), [10.0, 20.0, 60.0])
    assert (record.taken_time_avg, record.taken_samples) == (30.0, 3)
    assert fold_taken_times(record, []) == record
    many = record.replace(taken_samples=1000)
    assert fold_taken_times(many, [130.0]).taken_time_avg == 35.0


# For all

comings = st.builds(
    Coming,
    at=st.floats(NOW - 50, NOW + 5000),
    worth=st.floats(0, 1),
    level=st.integers(1, 3),
)


@given(st.lists(st.lists(comings, max_size=90).map(sorted), max_size=4), st.floats(NOW, NOW + 9000))
def test_a_later_place_never_waits_less_and_never_a_negative_time(by_pool: list[list[Coming]], now: float) -> None:
    """Given any resources to come, when asked at any time, then estimates rise with the place, from zero on."""
    foreseen = forecast(by_pool)
    guesses = [estimate(foreseen, before, now) for before in range(100)]
    known = [one.seconds for one in guesses if one.seconds is not None]
    assert known == sorted(known)
    assert all(seconds >= 0 for seconds in known)
    # What is not known of one place is not known of those behind it.
    assert [one.seconds is None for one in guesses] == sorted(one.seconds is None for one in guesses)
    for one in guesses:
        assert (one.seconds is None) == (one.confidence is Confidence.NONE)
        if one.seconds is not None and one.low is not None and one.high is not None:
            assert 0 <= one.low <= one.seconds <= one.high


@given(pools(), crowded(), st.booleans())
def test_any_farm_can_be_foreseen(farm, happenings, known: bool) -> None:
    """Given any farm, when explained, then what is foreseen is in order, and nothing is foreseen without history."""
    snapshot, now = at_some_time(farm, happenings, rest=True)
    for record in list(snapshot.records.values()):
        history = {**KNOWN, "taken_time_avg": 300.0} if known else {"startup_time_avg": None}
        snapshot.put_record(record.replace(**history))
    for case in explain(snapshot, now).cases.values():
        times = [arrival.at for arrival in case.forecast.arrivals]
        assert times == sorted(times)
        assert known or not times
        assert all(isinstance(arrival, Arrival) and arrival.at >= now for arrival in case.forecast.arrivals)
