"""Deletes: retries, abandoned ones, operators' deletes, and resources of closed or failed tickets."""

from pathlib import Path

import pytest

from functions.app import create_app
from state.documents import Intent, IntentKind, Resource, ResourceState, Ticket, TicketState
from tests.timed.world import World

STUCK = """
p:
  max: 1
  cmd_new: echo here
  cmd_delete: 'echo $RESALLOC_ID >> ../deleted; echo no route to host >&2; test -e ../mended'
  tags: [A]
"""


def taken(world: World, *tags: str, sandbox: str | None = None) -> Ticket:
    """A ticket that has its resource."""
    number = world.take(*tags, sandbox=sandbox).id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[number].waiting, "the assignment")
    return world.store.tickets.read(number)


def ask_to_delete(world: World, resource: int) -> None:
    world.store.intents.create(lambda number: Intent(id=number, kind=IntentKind.DELETE_RESOURCE, resource=resource))


def attempts(world: World, resource: int = 1) -> int:
    """The number of times that cmd_delete ran for a resource."""
    path = world.folder / "deleted"
    return path.read_text().split().count(str(resource)) if path.exists() else 0


def after_failures(world: World, number: int) -> Resource:
    """Resource 1 after its delete failed so many times."""
    world.until(lambda: world.resources()[0].delete_failures == number, f"failure {number}")
    return world.resources()[0]


def test_a_failed_delete_is_retried_with_growing_pauses_and_then_abandoned(tmp_path: Path) -> None:
    world = World(tmp_path, STUCK)
    world.close(taken(world).id)
    pauses = []
    for failures in range(1, 10):
        resource = after_failures(world, failures)
        assert (resource.id, resource.state) == (1, ResourceState.DELETE_REQUEST)
        due = world.turn()
        assert due == resource.delete_retry_at
        assert due is not None
        pauses.append(round(due - world.clock()))
        # Still there: it counts towards max.
        assert len(world.resources()) == 1
        assert attempts(world) == failures
        world.ahead += due - world.clock() + 0.1
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    world.until(lambda: [resource.id for resource in world.resources()] == [2], "the start in its place")
    assert attempts(world) == 10

    shown = create_app(world.settings, world.store).test_client().get("/resources/1").get_json()
    assert (shown["state"], shown["delete_failures"]) == ("ENDED", 10)
    assert "cmd_delete failed 10 times and is not tried again" in shown["reason"]
    assert "no route to host" in shown["reason"]
    (pool,) = create_app(world.settings, world.store).test_client().get("/pools", json={}).get_json()["pools"]
    assert (pool["lost_resources"], pool["last_lost_at"]) == (1, shown["ended_at"])


def test_a_delete_that_succeeds_after_retries_ends_the_resource(tmp_path: Path) -> None:
    world = World(tmp_path, STUCK)
    world.close(taken(world).id)
    after_failures(world, 1)
    (tmp_path / "mended").touch()
    world.ahead += 3
    world.until(lambda: [resource.id for resource in world.resources()] == [2], "the start in its place")
    assert world.store.resources.read(1).delete_failures == 1


@pytest.mark.parametrize("command", ["no-such-command", "kill -9 $$", "sleep 60"])
def test_a_delete_that_cannot_run_or_is_killed_is_retried(tmp_path: Path, command: str) -> None:
    world = World(tmp_path, f"p: {{max: 1, cmd_new: 'true', cmd_delete: {command}, cmd_delete_timeout: 1}}")
    world.close(taken(world).id)
    after_failures(world, 1)
    world.ahead += 3
    after_failures(world, 2)


def test_deleting_a_taken_resource_fails_its_ticket_which_keeps_its_output(tmp_path: Path) -> None:
    world = World(tmp_path, STUCK)
    (tmp_path / "mended").touch()
    ticket = taken(world)
    ask_to_delete(world, 1)
    world.until(lambda: attempts(world) == 1, "the delete")
    failed = world.store.tickets.read(ticket.id)
    assert (failed.state, failed.output, failed.resource) == (TicketState.FAILED, b"here\n", 1)
    assert failed.reason == "deleted by an operator"
    world.close(ticket.id)
    world.turn()
    assert world.store.tickets.read(ticket.id).state is TicketState.CLOSED


def test_cmd_delete_never_runs_while_the_ticket_is_open(tmp_path: Path) -> None:
    copy_ticket = "cp ../state/tickets/open/1.json ../seen; true"
    world = World(tmp_path, f"p: {{max: 1, cmd_new: 'true', cmd_delete: {copy_ticket}}}")
    taken(world)
    ask_to_delete(world, 1)
    world.until((tmp_path / "seen").exists, "the delete")
    world.until(lambda: not world.hooks.under_way(), "its end")
    assert Ticket.from_json((tmp_path / "seen").read_bytes()).state is TicketState.FAILED


def test_a_starting_resource_is_deleted_when_its_start_ends(tmp_path: Path) -> None:
    slow = "cmd_new: 'while [ ! -e ../go ]; do sleep 0.05; done', cmd_delete: 'echo $RESALLOC_ID >> ../deleted'"
    world = World(tmp_path, f"p: {{max: 1, {slow}}}")
    world.turn()
    ticket = world.take().id
    ask_to_delete(world, 1)
    world.turn()
    assert [(found.id, found.state) for found in world.resources()] == [(1, ResourceState.STARTING)]
    (tmp_path / "go").touch()
    world.until(lambda: attempts(world) == 1, "the delete")
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    assert world.store.tickets.read(ticket).resource == 2


# Release


RELEASED = """
p:
  max: 1
  cmd_new: echo here
  cmd_delete: 'echo $RESALLOC_ID >> ../deleted'
  cmd_release: 'echo $RESALLOC_ID >> ../released; while [ -e ../hold ]; do sleep 0.05; done; test ! -e ../broken'
  tags: [A]
"""
REUSED = f"{RELEASED}  reuse_opportunity_time: 60\n"


def test_cmd_release_runs_without_reuse_and_then_the_resource_is_deleted(tmp_path: Path) -> None:
    world = World(tmp_path, RELEASED)
    world.close(taken(world).id)
    world.until(lambda: attempts(world) == 1, "the delete")
    assert (tmp_path / "released").read_text() == "1\n"
    released = world.store.resources.read(1)
    assert released.releases_counter == 1


def test_a_resource_is_releasing_until_the_hook_ends_and_then_its_sandbox_can_reuse_it(tmp_path: Path) -> None:
    world = World(tmp_path, REUSED)
    (tmp_path / "hold").touch()
    world.close(taken(world, sandbox="mine").id)
    waiting = world.take(sandbox="mine").id
    world.until((tmp_path / "released").exists, "the release")
    world.turn()
    resource = world.resources()[0]
    assert (resource.state, resource.releases_counter, resource.sandbox) == (ResourceState.RELEASING, 1, "mine")
    assert world.store.tickets.read(waiting).waiting
    (tmp_path / "hold").unlink()
    world.until(lambda: not world.leader.mirror.snapshot.tickets[waiting].waiting, "the assignment")
    assert world.store.tickets.read(waiting).resource == 1


@pytest.mark.parametrize("how", ["fails", "is cut off"])
def test_a_resource_whose_release_failed_is_deleted_and_not_reused(tmp_path: Path, how: str) -> None:
    world = World(tmp_path, f"{REUSED}  cmd_release_timeout: 1\n")
    (tmp_path / ("broken" if how == "fails" else "hold")).touch()
    world.close(taken(world, sandbox="mine").id)
    waiting = world.take(sandbox="mine").id
    world.until(lambda: attempts(world) == 1, "the delete")
    (tmp_path / "broken").unlink(missing_ok=True)
    (tmp_path / "hold").unlink(missing_ok=True)
    world.until(lambda: not world.leader.mirror.snapshot.tickets[waiting].waiting, "the assignment")
    assert world.store.tickets.read(waiting).resource == 2
    assert "cmd_release" in (world.store.resources.read(1).reason or "")


def test_reuse_ends_some_time_after_the_resource_was_first_taken(tmp_path: Path) -> None:
    world = World(tmp_path, f"{REUSED}  reuse_max_time: 100\n".replace("opportunity_time: 60", "opportunity_time: 90"))
    world.close(taken(world, sandbox="mine").id)
    world.until(lambda: world.resources()[0].releases_counter == 1 and not world.hooks.under_way(), "the release")
    world.ahead += 80
    again = taken(world, sandbox="mine")
    assert again.resource == 1
    world.ahead += 30
    world.close(again.id)
    world.until(lambda: attempts(world) == 1, "the delete")
    assert "reuse_max_time" in (world.store.resources.read(1).reason or "")


def test_a_ticket_without_sandbox_has_a_random_one_so_its_resource_is_not_reused(tmp_path: Path) -> None:
    world = World(tmp_path, REUSED)
    first = taken(world)
    world.close(first.id)
    world.until(lambda: world.resources()[0].releases_counter == 1 and not world.hooks.under_way(), "the release")
    second = world.take().id
    world.turn()
    assert world.store.tickets.read(second).waiting
    assert world.resources()[0].sandbox == first.sandbox == "random-0"


# Pools that leave the file


LIVELY = """
p:
  max: 1
  cmd_new: echo here
  cmd_delete: 'echo $RESALLOC_ID >> ../deleted'
  cmd_livecheck: 'echo $RESALLOC_ID >> ../checked'
  cmd_release: 'echo $RESALLOC_ID >> ../released'
  livecheck_period: 100
  reuse_opportunity_time: 60
  tags: [A]
"""
OTHER = "other: {max: 0, cmd_new: 'true', cmd_delete: 'true'}"


def lines(world: World, name: str) -> int:
    path = world.folder / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_removed_pool_checks_releases_and_deletes_with_its_last_hooks(tmp_path: Path) -> None:
    world = World(tmp_path, LIVELY)
    ticket = taken(world, "A", sandbox="mine")
    world.until(lambda: lines(world, "checked") == 1 and not world.hooks.under_way(), "the first check")
    world.set_pools(OTHER)
    world.turn()
    world.restart()
    world.ahead += 101
    world.until(lambda: lines(world, "checked") == 2, "another check")
    world.close(ticket.id)
    world.until(lambda: lines(world, "released") == 1, "the release")
    world.until(lambda: not world.hooks.under_way(), "its end")
    assert world.resources()[0].state is ResourceState.UP
    world.ahead += 61
    world.until(lambda: attempts(world) == 1, "the delete")
    world.until(lambda: not world.resources(), "the end")
    assert world.store.resources.read(1).state is ResourceState.ENDED


def test_a_pool_that_is_configured_again_keeps_its_resources_and_uses_its_new_options(tmp_path: Path) -> None:
    world = World(tmp_path, LIVELY)
    ticket = taken(world, "A")
    world.until(lambda: lines(world, "checked") == 1 and not world.hooks.under_way(), "the first check")
    world.set_pools(OTHER)
    world.turn()
    changed = LIVELY.replace("[A]", "[B]").replace("../deleted", "../deleted-anew").replace("_time: 60", "_time: 0")
    world.set_pools(changed.replace("max: 1", "max: 2\n  max_prealloc: 1"))
    world.until(lambda: [found.id for found in world.resources()] == [1, 2], "a start by the new options")
    assert [found.tags for found in world.resources()] == [{"A": 0}, {"B": 0}]
    assert [found.id_in_pool for found in world.resources()] == [0, 1]
    world.close(ticket.id)
    world.until((tmp_path / "deleted-anew").exists, "the delete by the new hook")
    assert (tmp_path / "deleted-anew").read_text() == "1\n"
    assert attempts(world) == 0


def test_a_start_goes_on_when_its_pool_is_removed_from_the_file(tmp_path: Path) -> None:
    world = World(tmp_path, LIVELY.replace("echo here", "while [ ! -e ../go ]; do sleep 0.05; done"))
    world.turn()
    world.set_pools(OTHER)
    world.turn()
    (tmp_path / "go").touch()
    ticket = world.take("A").id
    world.until(lambda: not world.leader.mirror.snapshot.tickets[ticket].waiting, "the assignment")
    world.turn()
    assert len(world.resources()) == 1
