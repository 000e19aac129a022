"""A production-shaped load through the pure policy: hours of a build farm in a minute."""

from collections import Counter
from pathlib import Path

import pytest

from config.pools import load_pools
from functions.policy.snapshot.snapshot import Snapshot
from state.documents import ResourceState, TicketState
from tests.load.simulation import Simulation

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1800)]

FARM = load_pools(Path(__file__).with_name("farm.yaml")).pools


def no_limit_is_passed(snapshot: Snapshot) -> None:
    """No pool is above its limits, no resource has two tickets, no sandbox another one's resource."""
    living = Counter(resource.pool for resource in snapshot.resources.values())
    starting = Counter(
        resource.pool for resource in snapshot.resources.values() if resource.state is ResourceState.STARTING
    )
    for pool in FARM:
        assert living[pool.name] <= pool.max
        assert starting[pool.name] <= pool.max_starting
    numbers = Counter((resource.pool, resource.id_in_pool) for resource in snapshot.resources.values())
    assert not numbers or max(numbers.values()) == 1
    held = [
        ticket
        for ticket in snapshot.tickets.values()
        if ticket.state is TicketState.OPEN and ticket.resource is not None
    ]
    assert len({ticket.resource for ticket in held}) == len(held)
    for ticket in held:
        resource = snapshot.resources.get(ticket.resource or 0)
        assert resource is None or resource.sandbox in (None, ticket.sandbox)


def test_the_farm_has_the_shape_that_was_asked_for() -> None:
    assert len(FARM) == 26
    assert sum(pool.max for pool in FARM) == 419
    assert sum(pool.max_prealloc for pool in FARM if not pool.on_demand) == 240


def test_a_day_of_builds_starves_no_ticket_and_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    simulation = Simulation(FARM, seed=20261123, hours=1.5, tickets_per_hour=3600, check=no_limit_is_passed)
    summary = simulation.run()
    with capsys.disabled():
        print(f"\n{summary}")
    assert summary.tickets > 5000
    assert summary.served == summary.tickets
    assert summary.longest_wait < 3600
    assert summary.reused > 100
    assert summary.median_ratio() < 2
    assert summary.within_range() > 0.75
    assert simulation.snapshot.tickets == {}
    assert simulation.snapshot.resources == {}
