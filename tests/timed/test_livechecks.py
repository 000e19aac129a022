"""The times of livechecks and the effects of their results. Real hooks; the clock is simulated."""

from pathlib import Path

import pytest

from state.documents import Resource, ResourceState, TicketState
from tests.timed.world import World

CHECKED = """
p:
  max: 2
  max_prealloc: 1
  max_starting: 2
  cmd_new: echo $RESALLOC_ID
  cmd_delete: 'echo $RESALLOC_ID >> ../deleted'
  cmd_livecheck: 'echo $RESALLOC_ID >> ../checked; test ! -e ../dead-$RESALLOC_ID'
  tags: [A]
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One resource, UP and checked once."""
    world = World(tmp_path, CHECKED)
    world.until(lambda: checks(world) == ["1"] and not world.hooks.under_way(), "the first check")
    return world


def checks(world: World) -> list[str]:
    """The ids of the resources that were checked, in order."""
    path = world.folder / "checked"
    return path.read_text().split() if path.exists() else []


def resource(world: World, number: int = 1) -> Resource:
    return world.leader.mirror.snapshot.resources[number]


def check_again(world: World, times: int = 1) -> None:
    """Let the time of the next checks come, and the checks end."""
    for _ in range(times):
        before = resource(world).check_last_time
        world.ahead += 601
        world.until(
            lambda before=before: (
                1 not in world.leader.mirror.snapshot.resources or resource(world).check_last_time != before
            ),
            "the check",
        )
        world.until(lambda: not world.hooks.under_way(), "the end of the checks")


def test_the_first_check_comes_as_soon_as_the_resource_is_up(world: World) -> None:
    up_at, checked_at = resource(world).up_at, resource(world).check_last_time
    assert up_at is not None
    assert checked_at is not None
    assert checked_at - up_at < 10


def test_the_next_check_starts_a_period_after_the_end_of_the_last(tmp_path: Path) -> None:
    world = World(tmp_path, CHECKED.replace("cmd_livecheck: '", "cmd_livecheck: 'sleep 1; "))
    world.until(lambda: checks(world) == ["1"] and not world.hooks.under_way(), "the first check")
    ended = resource(world).check_last_time or 0
    assert ended - (resource(world).up_at or 0) >= 1
    world.ahead += ended + 599 - world.clock()
    world.turn()
    assert not world.hooks.under_way()
    world.ahead += 2
    world.turn()
    assert list(world.hooks.under_way())


def test_taken_resources_are_checked_too(world: World) -> None:
    ticket = world.take("A").id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    world.until(lambda: checks(world) == ["1", "2"] and not world.hooks.under_way(), "the check of the new spare")
    check_again(world)
    assert sorted(checks(world)) == ["1", "1", "2", "2"]


def test_only_consecutive_failures_count(world: World) -> None:
    dead = world.folder / "dead-1"
    dead.touch()
    check_again(world, 2)
    assert resource(world).check_failed_count == 2
    dead.unlink()
    check_again(world)
    assert resource(world).check_failed_count == 0
    dead.touch()
    check_again(world, 2)
    assert resource(world).state is ResourceState.UP
    check_again(world)
    world.until(lambda: 1 not in world.leader.mirror.snapshot.resources, "the end of the resource")
    assert (world.folder / "deleted").read_text() == "1\n"


def test_a_resource_whose_last_check_failed_is_not_assigned_until_a_check_succeeds(world: World) -> None:
    world.set_pools(CHECKED.replace("max: 2", "max: 1"))
    dead = world.folder / "dead-1"
    dead.touch()
    check_again(world)
    ticket = world.take("A").id
    world.turn()
    assert world.store.tickets.read(ticket).waiting
    dead.unlink()
    check_again(world)
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    assert world.store.tickets.read(ticket).resource == 1


def test_a_taken_resource_that_dies_fails_its_ticket(world: World) -> None:
    ticket = world.take("A").id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    (world.folder / "dead-1").touch()
    check_again(world, 3)
    world.until(lambda: 1 not in world.leader.mirror.snapshot.resources, "the end of the resource")
    failed = world.store.tickets.read(ticket)
    assert (failed.state, failed.output) == (TicketState.FAILED, b"1\n")
    assert failed.reason == "livecheck failed 3 times in a row"


def test_a_check_that_hangs_delays_no_other(tmp_path: Path) -> None:
    hang = "test $RESALLOC_ID != 1 || while [ ! -e ../go ]; do sleep 0.05; done; "
    hanging = CHECKED.replace("cmd_livecheck: '", f"cmd_livecheck: '{hang}")
    world = World(tmp_path, hanging.replace("max_prealloc: 1", "max_prealloc: 2"))
    world.until(lambda: len(world.resources()) == 2 and resource(world, 2).check_last_time, "the check of the other")
    assert resource(world).check_last_time is None
    world.ahead += 601
    world.until(lambda: checks(world) == ["2", "2"], "another check of the other")
    (tmp_path / "go").touch()
    world.until(lambda: resource(world).check_last_time, "the end of the first check")


def test_a_check_that_hangs_has_failed_at_its_limit(tmp_path: Path) -> None:
    hanging = CHECKED.replace("cmd_livecheck: '", "cmd_livecheck: 'exec sleep 60; ")
    world = World(tmp_path, hanging + "  cmd_livecheck_timeout: 1\n")
    world.until(lambda: world.resources() and resource(world).check_failed_count == 1, "the time limit")


def test_a_period_under_a_second_is_a_second(tmp_path: Path) -> None:
    world = World(tmp_path, CHECKED + "  livecheck_period: 0\n")
    world.until(lambda: checks(world) == ["1"] and not world.hooks.under_way(), "the first check")
    world.ahead += (resource(world).check_last_time or 0) + 0.5 - world.clock()
    world.turn()
    assert not world.hooks.under_way()
    world.ahead += 1
    world.turn()
    assert world.hooks.under_way()


def test_a_pool_without_cmd_livecheck_checks_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, CHECKED.replace("  cmd_livecheck: ", "  description: "))
    ticket = world.take("A").id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    world.ahead += 100_000
    world.turn()
    assert [path.name for path in (tmp_path / "log/hooks").iterdir() if "watch" in path.name] == []


def test_a_check_that_cannot_be_started_is_retried_after_a_period(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    log = world.folder / "log/hooks/000001_watch"
    log.unlink()
    log.mkdir()
    for attempt in (1, 2):
        world.ahead += 601
        for _ in range(5):
            world.turn()
        assert caplog.text.count("cannot be started") == attempt
    assert (resource(world).check_failed_count, checks(world)) == (0, ["1"])
    log.rmdir()
    check_again(world)
    assert checks(world) == ["1", "1"]
