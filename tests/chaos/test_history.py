"""The quick and the thorough form of `history`."""

import pytest

from tests.chaos import history


@pytest.mark.parametrize("seconds", [5, pytest.param(20, marks=pytest.mark.thorough)])
def test_clients_see_a_correct_history_while_every_process_is_killed(seconds: float, seed: int) -> None:
    report = history.run(seconds, seed)
    assert report.faults == []
    assert report.tried["grants"] > 10
    assert report.tried["requests without an answer"] > 0
