"""Growth of a quantity, and the time that pieces were down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.pauses import Pauses
from tests.chaos.trend import growth

values = st.floats(-1e6, 1e6)


@given(values, st.floats(-1e3, 1e3))
def test_a_straight_line_grows_by_its_slope(start: float, slope: float) -> None:
    assert growth([(float(at), start + slope * at) for at in range(11)]) == pytest.approx(slope * 10, abs=1e-6)


def test_a_leak_shows_through_noise() -> None:
    assert growth([(at, 50 + 0.5 * at + (at * 7 % 5)) for at in range(40)]) == pytest.approx(19.5, abs=2)


def test_single_outliers_do_not_count() -> None:
    assert growth([(at, 1000.0 if at in (5, 38) else 50.0) for at in range(40)]) == 0


def test_too_few_samples_show_no_growth() -> None:
    assert growth([(1.0, 5.0)]) == 0
    assert growth([(1.0, 5.0), (1.0, 9.0)]) == 0


def test_what_was_down_is_counted_once() -> None:
    pauses = Pauses()
    for begin, end in [(1, 3), (2, 4), (2, 3), (6, 7)]:
        pauses.add(begin, end)
    assert pauses.within(0, 10) == 4
    assert pauses.within(2.5, 6.5) == 2
    assert pauses.within(4, 6) == 0
    assert pauses.longest == 2


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted)), st.integers(0, 50), st.integers(0, 50))
def test_what_was_down_is_what_a_count_of_seconds_says(intervals: list[list[int]], one: int, other: int) -> None:
    pauses = Pauses()
    for begin, end in intervals:
        pauses.add(begin, end)
    begin, end = sorted((one, other))
    down = sum(any(start <= second < stop for start, stop in intervals) for second in range(begin, end))
    assert pauses.within(begin, end) == down
