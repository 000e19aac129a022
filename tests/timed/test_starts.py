"""Starts: the output and leftovers of cmd_new, its possible ends, and the reactions of its pool."""

import json
import os
import signal
from pathlib import Path

import pytest

from functions.app import create_app
from state.documents import PoolRecord, Resource, ResourceState
from state.host.machine import boot_id
from tests.system.farm import children_of
from tests.timed.world import World
from tests.waiting import until

ENDED, UP = ResourceState.ENDED, ResourceState.UP


def one(cmd_new: str, more: str = "") -> str:
    """A pool that keeps one spare and records which deletes ran."""
    return f"p: {{max: 1, cmd_new: {json.dumps(cmd_new)}, cmd_delete: 'echo $RESALLOC_ID >> ../deleted', {more}}}"


def record(world: World, pool: str = "p") -> PoolRecord:
    return world.leader.mirror.snapshot.records[pool]


def is_up(world: World) -> bool:
    return bool(world.resources()) and all(resource.state is UP for resource in world.resources())


def ended(world: World, number: int = 1) -> Resource:
    """The resource once it has ended."""
    world.until(lambda: world.store.resources.get(number) is None or is_ended(world, number), f"the end of {number}")
    return world.store.resources.read(number)


def is_ended(world: World, number: int) -> bool:
    resource = world.store.resources.get(number)
    return resource is not None and resource.state is ENDED


def deleted(world: World) -> list[str]:
    """The ids of the resources whose cmd_delete ran, in order."""
    path = world.folder / "deleted"
    return path.read_text().split() if path.exists() else []


# What it prints


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("true", b""),
        (r"printf '\0\377\n\n'", b"\0\xff\n\n"),
        ("echo noise >&2; echo 10.0.0.1", b"10.0.0.1\n"),
        ("head -c 65536 /dev/zero", bytes(65536)),
    ],
)
def test_its_output_is_the_tickets_byte_for_byte_up_to_the_limit(tmp_path: Path, command: str, output: bytes) -> None:
    world = World(tmp_path, one(command))
    ticket = world.take().id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    assert world.store.tickets.read(ticket).output == output


@pytest.mark.parametrize("size", [65537, 10_000_000])
@pytest.mark.parametrize("then", ["", "sleep 60"])
def test_more_output_than_the_limit_cuts_the_start_off_and_disposes_of_what_it_left(
    tmp_path: Path, size: int, then: str
) -> None:
    world = World(tmp_path, one(f"head -c {size} /dev/zero; {then}"))
    assert "printed more than 65536 bytes" in (ended(world).reason or "")
    assert deleted(world) == ["1"]


def test_the_limit_on_output_is_an_option(tmp_path: Path) -> None:
    world = World(tmp_path, one("echo 12345"), "output_limit: 5")
    assert "printed more than 5 bytes" in (ended(world).reason or "")


def test_children_that_it_leaves_behind_hold_nothing_up(tmp_path: Path) -> None:
    world = World(tmp_path, one("sleep 60 & echo $! > ../child; echo started"))
    world.until(lambda: is_up(world), "the resource")
    child = Path("/proc", (tmp_path / "child").read_text().strip())
    assert child.exists()
    assert world.resources()[0].data == b"started\n"
    os.kill(int(child.name), signal.SIGKILL)


# How it ends


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("exit 3", "exited 3"),
        ("echo no quota left >&2; false", "exited 1: no quota left"),
        ("no-such-command", "exited 127"),
        ("./not-executable", "exited 126"),
    ],
)
def test_a_start_that_fails_by_itself_has_ended_without_cmd_delete(tmp_path: Path, command: str, reason: str) -> None:
    world = World(tmp_path, one(command))
    (world.config / "not-executable").write_text("#!/bin/sh\n")
    assert reason in (ended(world).reason or "")
    assert deleted(world) == []
    assert world.resources() == []


@pytest.mark.parametrize(
    ("command", "more", "reason"),
    [
        ("sleep 60", "cmd_new_timeout: 1", "its time limit of 1 s"),
        ("kill -9 $$", "", "killed by signal 9"),
        ("kill $$", "", "killed by signal 15"),
    ],
)
def test_a_start_that_was_cut_off_may_have_left_something_and_is_deleted(
    tmp_path: Path, command: str, more: str, reason: str
) -> None:
    world = World(tmp_path, one(command, more))
    assert reason in (ended(world).reason or "")
    assert deleted(world) == ["1"]


def written(world: World, pattern: str) -> str:
    """The content of the only such file of a run, once it is there whole."""
    return until(lambda: "".join(path.read_text() for path in (world.store.root / "runs").glob(pattern)), what=pattern)


def pretend_reboot(world: World) -> None:
    """Let the runs that are under way be those of an earlier boot, and start a new scheduler."""
    for path in (world.store.root / "runs").glob("*.run"):
        path.write_bytes(path.read_bytes().replace(boot_id().encode(), b"00000000-0000-4000-8000-000000000000"))
    world.restart()


def test_a_start_that_a_reboot_cut_off_is_deleted(tmp_path: Path) -> None:
    world = World(tmp_path, one("echo here"))
    world.turn()
    written(world, "*.result")
    pretend_reboot(world)
    assert "the machine was restarted" in (ended(world).reason or "")
    assert deleted(world) == ["1"]


def test_a_reboot_between_the_document_and_its_hook_is_a_cut_off_too(tmp_path: Path) -> None:
    world = World(tmp_path, one("echo here"))
    world.hooks.start = lambda run: None  # type: ignore[method-assign]
    world.turn()
    world.restart()
    assert [resource.state for resource in world.resources()] == [ResourceState.STARTING]
    assert "left no result" in (ended(world).reason or "")
    assert deleted(world) == ["1"]


def test_what_was_up_and_taken_stays_so_over_a_reboot(tmp_path: Path) -> None:
    world = World(tmp_path, one("echo here", "cmd_livecheck: test -e ../quick || sleep 60, livecheck_attempts: 1"))
    ticket = world.take().id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    supervisor = int(written(world, "*_watch_*.group"))
    for hook in until(lambda: children_of(supervisor), what="the livecheck"):
        os.kill(hook, signal.SIGKILL)
    written(world, "*_watch_*.result")
    (tmp_path / "quick").touch()
    pretend_reboot(world)
    world.until(lambda: world.resources()[0].check_last_time, "a livecheck of its own")
    assert [(found.state, found.check_failed_count) for found in world.resources()] == [(UP, 0)]
    assert world.store.tickets.read(ticket).resource == 1


# What it is given


def test_tags_are_those_of_the_pool_when_the_start_began(tmp_path: Path) -> None:
    slow = one("while [ ! -e ../go ]; do sleep 0.05; done", "tags: [OLD, {name: BOTH, priority: 7}]")
    world = World(tmp_path, slow)
    world.turn()
    world.set_pools(slow.replace("OLD", "NEW").replace("7", "9"))
    world.turn()
    new, old = world.take("NEW").id, world.take("OLD", "BOTH").id
    (tmp_path / "go").touch()
    world.until(lambda: not world.leader.mirror.snapshot.tickets[old].waiting, "the assignment")
    assert world.resources()[0].tags == {"OLD": 0, "BOTH": 7}
    assert world.store.tickets.read(new).waiting


def test_what_comes_up_is_assigned_in_the_same_pass(tmp_path: Path) -> None:
    world = World(tmp_path, one("echo here", "tags: [A]"))
    ticket = world.take("A").id
    world.turn()
    written(world, "*.result")
    world.turn()
    assert world.store.tickets.read(ticket).output == b"here\n"


# What its pool does then


def test_start_delay_counts_from_one_start_to_the_next_failed_ones_included(tmp_path: Path) -> None:
    world = World(tmp_path, one("test ! -e ../broken", "start_delay: 400").replace("max: 1", "max: 3"))
    (tmp_path / "broken").touch()
    world.turn()
    began = world.resources()[0].created_at
    ended(world)
    (tmp_path / "broken").unlink()
    world.ahead += 390
    world.turn()
    assert world.resources() == []
    assert world.turn() == record(world).paused_until
    world.ahead += 20
    world.until(lambda: is_up(world), "the second start")
    assert [resource.created_at - began >= 400 for resource in world.resources()] == [True]
    second = world.resources()[0].created_at
    assert world.turn() == second + 400
    world.ahead += 401
    world.turn()
    assert len(world.resources()) == 2


def test_failing_starts_pause_their_pool_longer_each_time_and_one_success_forgets_it(tmp_path: Path) -> None:
    world = World(tmp_path, one("echo no quota >&2; test -e ../mended"))
    pauses = []
    for number in range(1, 12):
        failed = ended(world, number)
        world.turn()
        assert failed.ended_at is not None
        pauses.append(round((record(world).paused_until or 0) - failed.ended_at))
        assert world.resources() == []
        assert record(world).pause_reason == "cmd_new exited 1: no quota"
        world.ahead += pauses[-1] + 0.5
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    (tmp_path / "mended").touch()
    world.until(lambda: is_up(world), "a start that succeeds")
    assert (record(world).start_failures, record(world).paused_until) == (0, None)


ON_DEMAND = """
best:
  cmd_new: 'test -e ../mended; exit $?'
  cmd_delete: 'true'
  tags_on_demand: [{name: BIG, priority: 9}]
second:
  cmd_new: 'echo second'
  cmd_delete: 'true'
  tags_on_demand: [BIG]
"""


def test_on_demand_tickets_go_to_the_next_capable_pool_while_the_best_one_pauses(tmp_path: Path) -> None:
    world = World(tmp_path, ON_DEMAND)
    first = world.take("BIG").id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[first].waiting, "the assignment")
    assert world.store.tickets.read(first).pool == "second"
    assert world.store.resources.read(1).pool == "best"
    (tmp_path / "mended").touch()
    world.ahead += 2
    third = world.take("BIG").id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[third].waiting, "the assignment")
    assert world.store.tickets.read(third).pool == "best"


def test_statistics_follow_the_starts_and_are_shown_to_monitoring(tmp_path: Path) -> None:
    world = World(tmp_path, one("test -e ../mended"))
    monitoring = create_app(world.settings, world.store).test_client()
    names = ("startup_success_rate", "startup_time_avg", "last_successful_start", "last_attempt_to_start")
    world.turn()
    assert monitoring.get("/api/stats").json == {"p": dict.fromkeys(names)}
    failed = ended(world)
    world.turn()
    assert monitoring.get("/api/stats").json == {
        "p": {**dict.fromkeys(names), names[0]: 0.0, names[3]: failed.ended_at}
    }
    (tmp_path / "mended").touch()
    world.ahead += 2
    world.until(lambda: is_up(world), "a start that succeeds")
    resource = world.resources()[0]
    assert resource.up_at is not None
    stats = monitoring.get("/api/stats").get_json()["p"]
    assert stats[names[0]] == pytest.approx(0.2)
    assert stats[names[1]] == pytest.approx(resource.up_at - resource.created_at, abs=0.5)
    assert (stats[names[2]], stats[names[3]]) == (resource.up_at, resource.up_at)


def test_a_pool_that_left_the_file_is_not_in_the_statistics(tmp_path: Path) -> None:
    world = World(tmp_path, one("true"))
    world.until(lambda: is_up(world), "the resource")
    world.set_pools(one("true").replace("p:", "q:"))
    world.turn()
    assert set(create_app(world.settings, world.store).test_client().get("/api/stats").get_json()) == {"q"}
