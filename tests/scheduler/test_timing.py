"""Paces: what is done at most every so often."""

from scheduler.timing import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_is_done_at_once_then_after_a_pause_by_the_clock() -> None:
    clock = Clock()
    pace = Pace(2.0, clock)
    assert pace.wait() == 0.0
    pace.done()
    assert pace.done_at == 100.0
    assert pace.wait() == 2.0
    clock.now = 101.5
    assert pace.wait() == 0.5
    clock.now = 102.0
    assert pace.wait() == 0.0
    clock.now = 200.0
    assert pace.wait() == 0.0


def test_the_pause_counts_from_when_it_was_done_not_from_when_it_might_have_been() -> None:
    clock = Clock()
    pace = Pace(2.0, clock)
    pace.done()
    clock.now = 105.0
    pace.done()
    clock.now = 106.0
    assert pace.wait() == 1.0


def test_what_is_asked_for_is_done_at_once() -> None:
    """Given something that was just done, when it is to hurry, then it need not wait, once."""
    pace = Pace(2.0, Clock())
    pace.done()
    pace.hurry()
    assert pace.wait() == 0.0
    pace.done()
    assert pace.wait() == 2.0
