"""Paces: what is done at most every so often."""

from scheduler.timing import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_time_is_at_once_and_the_next_after_the_pause() -> None:
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


def test_the_pause_starts_when_it_was_done() -> None:
    clock = Clock()
    pace = Pace(2.0, clock)
    pace.done()
    clock.now = 105.0
    pace.done()
    clock.now = 106.0
    assert pace.wait() == 1.0


def test_hurry_allows_it_at_once() -> None:
    """Given something that was just done, when it is to hurry, then it need not wait, once."""
    pace = Pace(2.0, Clock())
    pace.done()
    pace.hurry()
    assert pace.wait() == 0.0
    pace.done()
    assert pace.wait() == 2.0
