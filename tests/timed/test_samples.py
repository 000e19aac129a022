"""The samples of the pools, after real passes and hooks."""

from pathlib import Path

import pytest

from functions.timed.samples import take_samples
from state.documents import Ticket
from state.sample import Sample
from tests.timed.world import World

POOLS = """
p: {max: 3, max_prealloc: 1, max_starting: 1, cmd_new: echo 1, cmd_delete: 'true', tags: [x]}
q: {max: 1, max_prealloc: 1, cmd_new: exit 3, cmd_delete: 'true', tags: [y, z]}
"""


def samples(world: World, pool: str) -> list[Sample]:
    take_samples(world.leader)
    return list(world.store.samples.read(pool))


def test_a_sample_shows_the_pool_and_what_happened_since(tmp_path: Path) -> None:
    world = World(tmp_path, POOLS)
    ticket = world.store.tickets.create(lambda number: Ticket(id=number, tags=("x",), created_at=world.clock() - 30)).id
    world.until(lambda: world.store.tickets.read(ticket).resource and len(world.resources()) == 2, "grant and spare")
    world.until(
        lambda: not world.snapshot.by_pool.starting and world.snapshot.records["q"].start_failures,
        "starts",
    )
    (sample,) = samples(world, "p")
    assert (sample.max, sample.taken, sample.ready, sample.starting, sample.going) == (3, 1, 1, 0, 0)
    assert (sample.waiting, sample.grants, sample.started, sample.failed) == (0, 1, 2, 0)
    assert sample.waited == sample.waited_longest == pytest.approx(30, abs=15)
    assert sample.start_took is not None
    _, second = samples(world, "p")
    assert (second.grants, second.waited, second.started, second.start_took) == (0, None, 0, None)
    assert samples(world, "q")[0].failed == 1


def test_tickets_that_a_pool_could_serve_wait_for_it(tmp_path: Path) -> None:
    world = World(tmp_path, POOLS)
    for tags in (("y",), ("y", "z"), ("y", "x"), ("nobody",)):
        world.store.tickets.create(lambda number, tags=tags: Ticket(id=number, tags=tags, created_at=world.clock() - 9))
    world.turn()
    (sample,) = samples(world, "q")
    assert sample.waiting == 2
    assert sample.oldest == pytest.approx(9, abs=5)


def test_tickets_for_which_a_pool_starts_nothing_do_not_wait_for_it(tmp_path: Path) -> None:
    """Given a pool that starts on demand only, when tickets wait, then those wait for it that have such a tag."""
    pool = (
        "d: {max: 1, cmd_new: echo 1, cmd_delete: 'true', tags: [plain], tags_on_demand: [demand], start_delay: 9000}"
    )
    world = World(tmp_path, pool)
    for tags in (("plain",), ("demand",), ("plain", "demand")):
        world.store.tickets.create(lambda number, tags=tags: Ticket(id=number, tags=tags, created_at=world.clock()))
    world.leader.reload_pools()
    world.leader.load()
    assert samples(world, "d")[0].waiting == 2


def test_a_removed_pool_without_resources_has_no_more_samples(tmp_path: Path) -> None:
    world = World(tmp_path, POOLS)
    world.leader.reload_pools()
    samples(world, "q")
    world.set_pools(POOLS.splitlines()[1])
    world.leader.reload_pools()
    assert len(samples(world, "q")) == 1
    assert len(samples(world, "p")) == 3


def test_unwritable_samples_do_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path, POOLS)
    world.leader.reload_pools()
    (world.store.root / "samples" / "p.jsonl").mkdir()
    assert samples(world, "p") == []
    assert "the samples of this minute are lost" in caplog.text
