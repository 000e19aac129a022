"""A short run of `takeover`."""

import pytest

from tests.chaos import takeover


@pytest.mark.thorough
def test_the_second_scheduler_takes_over_from_a_dead_one_and_never_from_a_stopped_one(seed: int) -> None:
    # Tests beside this one take the processors away for seconds; the long form allows one.
    report = takeover.run(1, seed, allowed=4.0)
    assert report.faults == []
    assert (report.tried["killed leaders"], report.tried["leaders that stood still"]) == (2, 1)
