"""The quick and the thorough form of `history`."""

import pytest

from tests.chaos import history


def test_clients_see_a_correct_history_while_processes_are_killed(seed: int) -> None:
    report = history.run(5, seed)
    assert report.faults == []
    assert report.tried["grants"] > 10


@pytest.mark.thorough
def test_clients_see_a_correct_history_while_every_process_is_killed(seed: int) -> None:
    report = history.run(20, seed)
    assert report.faults == []
    assert report.tried["grants"] > 10
    assert report.tried["requests without an answer"] > 0
