"""A short run of `soak`."""

import pytest

from tests.chaos import soak


@pytest.mark.thorough
def test_nothing_piles_up_at_full_load(seed: int) -> None:
    report = soak.run(7, seed)
    assert report.faults == []
    assert report.tried["starts"] > 20
