"""Times that lie further ahead than they can have been meant: the clock was set back."""

from functions.policy.clock import SLACK, due_at, due_ids, later
from tests.policy.world import NOW


def test_a_time_that_is_still_to_come_is_waited_for() -> None:
    assert due_at(NOW + 30, longest=30, now=NOW) == NOW + 30
    assert due_at(NOW - 30, longest=30, now=NOW) == NOW - 30


def test_when_the_clock_was_set_back_a_little_it_only_lasts_longer() -> None:
    assert due_at(NOW + 30 + SLACK, longest=30, now=NOW) == NOW + 30 + SLACK


def test_when_the_clock_was_set_back_for_long_it_is_over() -> None:
    assert due_at(NOW + 31 + SLACK, longest=30, now=NOW) == NOW


def test_of_many_those_are_due_whose_time_came_or_was_never_meant() -> None:
    entries = [(NOW - 50, 1), (NOW - 30, 2), (NOW - 10, 3), (NOW, 4), (NOW + SLACK + 1, 5), (NOW + 9000, 6)]
    ids, following = due_ids(entries, after=30, longest=30, now=NOW)
    assert sorted(ids) == [1, 2, 5, 6]
    assert following == NOW + 20


def test_when_all_are_due_none_follows() -> None:
    assert due_ids([], after=30, longest=30, now=NOW) == ([], None)
    assert due_ids([(NOW - 30, 1)], after=30, longest=30, now=NOW) == ([1], None)
    assert due_ids([(NOW + 9000, 1)], after=30, longest=30, now=NOW) == ([1], None)


def test_the_later_of_two_times_is_never_in_the_far_future() -> None:
    assert later(None, NOW) == NOW
    assert later(NOW - 1, NOW) == NOW
    assert later(NOW + 9, NOW) == NOW + 9
    assert later(NOW + 9000, NOW) == NOW
