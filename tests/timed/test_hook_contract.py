"""The contract of hooks: variables, data, logs of the output, numbers. Real hooks, one turn at a time."""

import base64
from pathlib import Path

import pytest

from state.documents import ResourceState
from tests.timed.world import World

SPY = "env | grep ^RESALLOC_ | sort > ../{kind}-$RESALLOC_ID"
"""A hook that writes down its variables; hooks run in the folder of pools.yaml."""
SPIED = f"""
spied:
  max: 1
  max_prealloc: 1
  cmd_new: '{SPY.format(kind="alloc")}; {{new}}'
  cmd_delete: '{SPY.format(kind="terminate")}'
  cmd_livecheck: '{SPY.format(kind="watch")}'
  cmd_release: '{SPY.format(kind="release")}'
  reuse_opportunity_time: 60
  named_counters: [port, disk_1]
  tags: [A]
"""


def pools(new: str) -> str:
    return SPIED.replace("{new}", new)


def states(world: World) -> list[ResourceState]:
    return [resource.state for resource in world.resources()]


def seen(world: World, kind: str, number: int = 1) -> dict[str, str]:
    """The RESALLOC_ variables that this hook of a resource has seen."""
    path = world.folder / f"{kind}-{number}"
    world.until(lambda: path.exists() and path.read_text().endswith("\n"), f"the {kind} hook")
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def live_through_all_hooks(world: World) -> None:
    """Let resource 1 start, be checked, taken, released and deleted."""
    world.until(lambda: states(world) == [ResourceState.UP], "the resource")
    seen(world, "watch")
    ticket = world.take("A", sandbox="mine").id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    world.close(ticket)
    seen(world, "release")
    world.until(lambda: not world.hooks.under_way(), "the end of the hooks")
    world.ahead += 61
    seen(world, "terminate")


def test_each_hook_sees_these_variables_and_no_others(tmp_path: Path) -> None:
    world = World(tmp_path, pools("echo 10.0.0.1"))
    live_through_all_hooks(world)
    name = next(line for line in (tmp_path / "alloc-1").read_text().splitlines() if "_NAME=" in line).split("=")[1]
    always = {
        "RESALLOC_ID": "1",
        "RESALLOC_NAME": name,
        "RESALLOC_POOL_ID": "spied",
        "RESALLOC_ID_IN_POOL": "0",
        "RESALLOC_NAMED_COUNTER_port": "0",
        "RESALLOC_NAMED_COUNTER_disk_1": "0",
    }
    with_data = always | {"RESALLOC_RESOURCE_DATA": base64.b64encode(b"10.0.0.1\n").decode()}
    assert seen(world, "alloc") == always
    assert seen(world, "watch") == with_data
    assert seen(world, "release") == with_data
    assert seen(world, "terminate") == with_data
    assert name.startswith("spied_00000001_")


def test_without_output_of_cmd_new_no_hook_sees_data(tmp_path: Path) -> None:
    world = World(tmp_path, pools(":"))
    live_through_all_hooks(world)
    for kind in ("alloc", "watch", "release", "terminate"):
        assert "RESALLOC_RESOURCE_DATA" not in seen(world, kind)


def test_data_is_base64_in_one_line_of_every_byte_that_was_printed(tmp_path: Path) -> None:
    world = World(tmp_path, pools("cat ../printed"))
    printed = bytes(range(256)) * 40 + b"\n\n"
    (tmp_path / "printed").write_bytes(printed)
    data = seen(world, "watch")["RESALLOC_RESOURCE_DATA"]
    assert base64.b64decode(data, validate=True) == printed


TALKING = """
talking:
  max: 1
  max_prealloc: 1
  cmd_new: 'echo out of new; echo error of new >&2'
  cmd_delete: 'echo out of delete; echo error of delete >&2'
  cmd_livecheck: 'echo out of check; echo error of check >&2'
  cmd_release: 'printf "no newline at the end"'
  reuse_opportunity_time: 60
  tags: [A]
"""


def test_each_kind_of_hook_has_its_log_with_raw_output_only(tmp_path: Path) -> None:
    world = World(tmp_path, TALKING)
    world.until(lambda: states(world) == [ResourceState.UP], "the resource")
    ticket = world.take("A", sandbox="mine").id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    world.close(ticket)
    world.until(lambda: world.log("000001_release"), "the release")
    world.until(lambda: not world.hooks.under_way(), "the end of the hooks")
    world.set_pools(TALKING.replace("max_prealloc: 1", "max_prealloc: 0"))
    world.ahead += 61
    world.until(lambda: not world.resources(), "the end of the resource")
    logs = {path.name: path.read_text() for path in (tmp_path / "log/hooks").iterdir()}
    assert set(logs) == {"000001_alloc", "000001_watch", "000001_release", "000001_terminate"}
    assert sorted(logs["000001_alloc"].splitlines()) == ["error of new", "out of new"]
    assert logs["000001_release"] == "no newline at the end"
    assert sorted(logs["000001_terminate"].splitlines()) == ["error of delete", "out of delete"]
    assert set(logs["000001_watch"].splitlines()) == {"error of check", "out of check"}


def test_a_silent_hook_has_a_log_while_it_runs(tmp_path: Path) -> None:
    world = World(tmp_path, "silent: {max_prealloc: 1, cmd_new: 'sleep 60', cmd_delete: 'true', cmd_new_timeout: 1}")
    world.turn()
    assert (tmp_path / "log/hooks/000001_alloc").read_bytes() == b""
    world.until(lambda: states(world) != [ResourceState.STARTING], "the time limit")


def test_a_time_out_adds_one_line_to_the_log(tmp_path: Path) -> None:
    world = World(tmp_path, "slow: {max: 1, cmd_new: 'sleep 60', cmd_delete: 'true', cmd_new_timeout: 1}")
    world.until(lambda: states(world) == [ResourceState.DELETING], "the time limit")
    assert world.log("000001_alloc") == "ended after its time limit of 1 s\n"


def test_a_deleted_log_is_created_again(tmp_path: Path) -> None:
    checked = "cmd_new: 'true', cmd_delete: 'true', cmd_livecheck: echo checked, livecheck_period: 1"
    world = World(tmp_path, f"p: {{max: 1, {checked}}}")
    log = tmp_path / "log/hooks/000001_watch"
    world.until(lambda: log.exists() and log.read_text(), "the first check")
    world.until(lambda: not world.hooks.under_way(), "its end")
    log.unlink()
    world.ahead += 2
    world.until(lambda: world.log("000001_watch") == "checked\n", "the second check")


def test_a_missing_log_folder_is_created_again_and_no_hook_fails(tmp_path: Path) -> None:
    # Else every hook would fail before it ran, livechecks too, and the farm would delete all that it has.
    checked = "cmd_new: 'true', cmd_delete: 'true', cmd_livecheck: echo checked, livecheck_period: 1"
    world = World(tmp_path, f"p: {{max: 1, {checked}}}")
    world.until(lambda: world.log("000001_watch"), "the first check")
    world.until(lambda: not world.hooks.under_way(), "its end")
    for path in (tmp_path / "log/hooks").iterdir():
        path.unlink()
    (tmp_path / "log/hooks").rmdir()
    world.ahead += 2
    world.until(lambda: world.log("000001_watch") == "checked\n", "the second check")
    assert world.resources()[0].check_failed_count == 0


NUMBERED = """
one: &numbers
  max: 3
  max_starting: 3
  max_prealloc: 2
  cmd_new: 'echo $RESALLOC_ID_IN_POOL $RESALLOC_NAMED_COUNTER_port'
  cmd_delete: 'test ! -e ../stuck'
  named_counters: [port]
  tags: [A]
two: {<<: *numbers, max: 1, tags: [B]}
"""


def numbers(world: World) -> dict[int, tuple[str, int, int]]:
    """Pool, id in pool and value of the counter of each living resource."""
    return {found.id: (found.pool, found.id_in_pool, found.counters["port"]) for found in world.resources()}


def test_ids_in_pool_and_counters_are_the_smallest_free_ones_and_free_again_at_the_end(tmp_path: Path) -> None:
    world = World(tmp_path, NUMBERED)
    world.until(lambda: len(states(world)) == 3 and set(states(world)) == {ResourceState.UP}, "all spares")
    assert numbers(world) == {1: ("one", 0, 0), 2: ("one", 1, 1), 3: ("two", 0, 2)}
    assert [resource.data for resource in world.resources()] == [b"0 0\n", b"1 1\n", b"0 2\n"]
    first = world.take("A").id
    world.until(lambda: len(world.resources()) == 4 and set(states(world)) == {ResourceState.UP}, "another spare")
    assert numbers(world)[4] == ("one", 2, 3)

    (tmp_path / "stuck").touch()
    world.close(first)
    world.until(lambda: world.resources()[0].delete_failures == 1, "a delete that fails")
    # Not gone yet, so its place and its numbers are still taken.
    assert numbers(world)[1] == ("one", 0, 0)
    assert len(world.resources()) == 4
    second = world.take("A").id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[second].waiting, "the second assignment")
    world.turn()
    assert len(world.resources()) == 4

    (tmp_path / "stuck").unlink()
    world.ahead += 10
    world.until(lambda: 5 in numbers(world), "the start in its place")
    assert 1 not in numbers(world)
    assert numbers(world)[5] == ("one", 0, 0)


def test_numbers_in_use_survive_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path, NUMBERED)
    world.until(lambda: len(states(world)) == 3 and set(states(world)) == {ResourceState.UP}, "all spares")
    world.restart()
    world.take("A")
    world.until(lambda: len(world.resources()) == 4, "another spare")
    assert numbers(world)[4] == ("one", 2, 3)


@pytest.mark.parametrize(("number", "log"), [(7, "000007_alloc"), (1_234_567, "1234567_alloc")])
def test_logs_carry_the_id_with_six_digits_at_least(tmp_path: Path, number: int, log: str) -> None:
    world = World(tmp_path, "p: {max: 1, cmd_new: 'true', cmd_delete: 'true'}")
    world.store.resources.reserve(number - 1)
    world.until(lambda: states(world) == [ResourceState.UP], "the resource")
    assert [path.name for path in (tmp_path / "log/hooks").iterdir()] == [log]
