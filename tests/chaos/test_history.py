"""The quick form of `history`."""

from tests.chaos import history


def test_clients_are_told_the_truth_while_every_piece_is_killed(seed: int) -> None:
    report = history.run(10, seed)
    assert report.faults == []
    assert report.tried["grants"] > 30
    assert report.tried["requests without an answer"] > 0
