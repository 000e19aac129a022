"""Which names cmd_list may get deleted, and how: what is known, when it is asked, where it is logged."""

import json
from pathlib import Path

import pytest

from functions.timed.cleanup import LIST_PERIOD, start_lists
from state.documents import HookKind, ResourceState
from tests.timed.world import World

UNKNOWN = "p_00000077_20200101_000000"
POOLS = """
p:
  max: 2
  max_prealloc: 1
  cmd_new: 'true'
  cmd_delete: 'echo $RESALLOC_NAME >> ../deleted; echo deleting $RESALLOC_NAME; test ! -e ../broken'
  cmd_list: 'touch ../listing; while [ -e ../hold ]; do sleep 0.05; done; cat ../exists'
  name_pattern: 'p_{id}_{datetime}'
  tags: [A]
other:
  max: 1
  cmd_new: 'true'
  cmd_delete: 'true'
  name_pattern: 'p_{id}_{datetime}'
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, POOLS)
    world.until(
        lambda: [resource.state for resource in world.resources()] == [ResourceState.UP] * 2, "a spare in each pool"
    )
    (tmp_path / "exists").write_text(f"{UNKNOWN}\n")
    return world


def list_begins(world: World) -> None:
    """Let the time of the next list come."""
    world.ahead += LIST_PERIOD + 1
    start_lists(world.leader, world.unknown)
    world.until((world.folder / "listing").exists, "the list")


def all_ends(world: World) -> None:
    world.until(lambda: not world.hooks.under_way(), "the end of the list and of what follows")


def deleted(world: World) -> list[str]:
    path = world.folder / "deleted"
    return path.read_text().split() if path.exists() else []


def test_list_and_delete_have_logs_of_their_own(world: World) -> None:
    list_begins(world)
    all_ends(world)
    assert world.log("000000_list") == f"{UNKNOWN}\n"
    assert world.log("000000_terminate") == f"deleting {UNKNOWN}\n"


def test_names_of_resources_of_other_pools_are_known(world: World) -> None:
    names = [resource.name for resource in world.resources()]
    (world.folder / "exists").write_text("\n".join([*names, UNKNOWN]))
    list_begins(world)
    all_ends(world)
    assert deleted(world) == [UNKNOWN]


def test_what_is_known_is_read_after_the_list_has_ended(world: World) -> None:
    (world.folder / "hold").touch()
    list_begins(world)
    world.take("A")
    world.until(lambda: len(world.resources()) == 3, "a start while the list runs")
    (world.folder / "exists").write_text(world.resources()[2].name)
    (world.folder / "hold").unlink()
    all_ends(world)
    assert deleted(world) == []


def test_the_name_of_an_ended_resource_is_unknown_again(world: World) -> None:
    name = world.resources()[0].name
    ticket = world.take("A").id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    world.close(ticket)
    world.until(lambda: deleted(world) == [name], "the delete")
    world.until(lambda: 1 not in world.leader.mirror.snapshot.resources, "its end")
    (world.folder / "exists").write_text(name)
    list_begins(world)
    all_ends(world)
    assert deleted(world) == [name, name]


def test_list_and_delete_of_unknown_names_have_a_limit_of_two_minutes(world: World) -> None:
    (world.folder / "hold").touch()
    limits = {}

    def note() -> bool:
        for path in (world.store.root / "runs").glob("000000_*.run"):
            run = json.loads(path.read_bytes())["run"]
            limits[run["kind"]] = run["limit"]
        return len(limits) == 2

    list_begins(world)
    note()
    (world.folder / "hold").unlink()
    world.until(note, "the delete")
    assert limits == {HookKind.LIST: 120, HookKind.TERMINATE: 120}
    all_ends(world)


def test_a_failed_delete_of_an_unknown_name_is_logged_and_repeated_after_the_next_list(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (world.folder / "broken").touch()
    list_begins(world)
    all_ends(world)
    assert f"cmd_delete of the unknown {UNKNOWN} failed" in caplog.text
    assert (
        start_lists(world.leader, world.unknown) == world.leader.mirror.snapshot.records["p"].last_list_at + LIST_PERIOD
    )
    (world.folder / "listing").unlink()
    list_begins(world)
    all_ends(world)
    assert deleted(world) == [UNKNOWN, UNKNOWN]
