"""Finished tickets stay among the living ones for a moment; this changes no decision."""

from pathlib import Path

import pytest

from functions.timed.archive import archive
from functions.timed.reconcile import reconcile
from state.documents import Resource, Ticket
from tests.timed.world import World

POOLS = """
pool:
  max: 1
  max_prealloc: 1
  cmd_new: "true"
  cmd_delete: "true"
  reuse_opportunity_time: 1000
  tags: [a]
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, POOLS)
    world.until(lambda: [resource.state for resource in world.resources()] == ["UP"], what="the resource")
    return world


def hear(world: World, *tickets: int) -> None:
    """The scheduler is notified of these tickets, and does everything except archiving the finished ones."""
    world.leader.refresh({"tickets": {*tickets}})
    reconcile(world.leader)


def one_after_the_other(world: World, count: int) -> list[int]:
    """Tickets of one sandbox that have the resource one after the other; the last is closed, without a notification."""
    tickets = [world.take("a", sandbox="s").id for _ in range(count)]
    hear(world, *tickets)
    for ticket in tickets[:-1]:
        world.close(ticket)
        hear(world, ticket)
    world.close(tickets[-1])
    return tickets


def the_resource(world: World) -> Resource:
    (resource,) = world.resources()
    return resource


def test_a_late_notification_about_a_settled_ticket_releases_nothing(world: World) -> None:
    """Given two tickets that had one resource, when both ends are notified after the first was processed, then
    each has let it go once.
    """
    first, second = one_after_the_other(world, 2)
    hear(world, first, second)
    hear(world, first, second)
    assert (the_resource(world).releases_counter, the_resource(world).released_ticket) == (2, second)


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("count", [2, 3])
def test_a_scheduler_killed_before_it_archives_releases_once(world: World, count: int, heard: bool) -> None:
    """Given tickets that had one resource, when the scheduler is killed before they are archived, then each has let it
    go once.
    """
    tickets = one_after_the_other(world, count)
    if heard:
        hear(world, *tickets)
    world.restart()
    world.leader.reload_pools()
    reconcile(world.leader)
    assert (the_resource(world).releases_counter, the_resource(world).released_ticket) == (count, tickets[-1])
    archive(world.leader)
    assert list(world.store.tickets.living()) == []


def test_a_resource_called_bad_is_deleted_although_another_ticket_just_had_it(world: World) -> None:
    """Given three tickets that had one resource, and a scheduler that was killed, when the last one calls it bad, then
    it is deleted.
    """
    tickets = one_after_the_other(world, 2)
    third: Ticket = world.take("a", sandbox="s")
    hear(world, *tickets, third.id)
    bad = the_resource(world)
    world.store.tickets.update(
        third.id, lambda found: found.replace(state="CLOSED", closed_at=world.clock(), bad="broken")
    )
    world.restart()
    world.until(lambda: bad.id not in world.leader.mirror.snapshot.resources, what="the end of the bad one")
    ended = world.store.resources.read(bad.id)
    assert (ended.releases_counter, ended.released_ticket) == (3, third.id)


def test_a_ticket_of_an_older_version_is_released_once(world: World) -> None:
    """Given a released ticket without a turn, when another one has the resource and the scheduler is killed, then each
    of them has released it once.
    """
    (first,) = one_after_the_other(world, 1)
    world.store.tickets.update(first, lambda found: found.replace(turn=None))
    second = world.take("a", sandbox="s").id
    hear(world, first, second)
    world.close(second)
    hear(world, second)
    assert {first, second} <= {*world.store.tickets.living()}
    world.restart()
    world.leader.reload_pools()
    reconcile(world.leader)
    assert (the_resource(world).releases_counter, the_resource(world).released_ticket) == (2, second)
