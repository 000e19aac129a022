"""A short run of `redeploy`."""

import pytest

from tests.chaos import redeploy


@pytest.mark.thorough
def test_clients_notice_nothing_but_pauses_while_the_server_is_redeployed(seed: int) -> None:
    # Tests beside this one take the processors away for seconds; the long form allows one.
    report = redeploy.run(9, seed, clients=20, allowed=4.0)
    assert report.faults == []
    assert report.tried["grants"] > 10
    assert report.tried["requests that clients repeated"] > 0
    assert report.tried["resources accounted for"] > 0
