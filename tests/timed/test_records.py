"""Records of pools: statistics are written some times a second, what decides is written at once."""

from pathlib import Path

import pytest

from functions.timed.pool_records import keep_records, write_records
from state.documents import PoolRecord
from state.store import Batch
from tests.timed.world import World

POOL = "p: {{cmd_new: echo, cmd_delete: 'true', max: 1, start_delay: {delay}}}\n"


def farm_with(tmp_path: Path, delay: int = 0) -> World:
    world = World(tmp_path, POOL.format(delay=delay))
    world.turn()
    return world


def written(world: World) -> PoolRecord | None:
    return world.store.pools.get("p")


def started(world: World) -> PoolRecord:
    record = world.leader.mirror.snapshot.records["p"]
    return record.replace(last_start=5.0, startup_samples=record.startup_samples + 1)


def test_statistics_are_known_at_once_and_written_later(tmp_path: Path) -> None:
    world = farm_with(tmp_path)
    before, after = written(world), started(world)
    assert keep_records(world.leader, [after]) == []
    assert (world.leader.mirror.snapshot.records["p"], written(world)) == (after, before)
    write_records(world.leader)
    assert written(world) == after
    assert world.leader.mirror.written_records == {}


@pytest.mark.parametrize("change", [{"start_failures": 1}, {"paused_until": 9.0}, {"abandoned_resources": 1}])
def test_a_change_that_decisions_depend_on_is_written_at_once_with_all_statistics(
    tmp_path: Path, change: dict[str, int]
) -> None:
    world = farm_with(tmp_path)
    keep_records(world.leader, [started(world)])
    record = started(world).replace(**change)
    (put,) = keep_records(world.leader, [record])
    assert put.document == record
    assert world.leader.mirror.written_records == {}


def test_with_a_start_delay_the_last_start_is_written_at_once(tmp_path: Path) -> None:
    world = farm_with(tmp_path, delay=60)
    assert len(keep_records(world.leader, [started(world)])) == 1


def test_a_record_with_unwritten_statistics_does_not_count_as_changed_by_others(tmp_path: Path) -> None:
    """Given statistics that are not written, when the patrol reads the record, then it is as it was written last."""
    world = farm_with(tmp_path)
    keep_records(world.leader, [started(world)])
    world.unknown.patrol.walk(world.leader)
    assert world.store.quarantine.list() == []
    assert world.leader.mirror.snapshot.records["p"].last_start == 5.0


def test_a_change_by_another_program_is_reported_despite_unwritten_statistics(tmp_path: Path) -> None:
    world = farm_with(tmp_path)
    after = started(world)
    keep_records(world.leader, [after])
    world.store.pools.path("p").write_bytes(after.replace(start_failures=7).to_json())
    world.unknown.patrol.walk(world.leader)
    assert len(world.store.quarantine.list()) == 1
    assert written(world) == after


def test_writing_a_record_for_another_reason_writes_its_statistics_too(tmp_path: Path) -> None:
    world = farm_with(tmp_path)
    keep_records(world.leader, [started(world)])
    record = world.leader.mirror.snapshot.records["p"].replace(bad_resources=1)
    world.leader.store.commit(Batch(keep_records(world.leader, [record])))
    world.unknown.patrol.walk(world.leader)
    assert (world.store.quarantine.list(), written(world)) == ([], record)
