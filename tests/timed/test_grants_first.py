"""Tickets that come while a plan is carried out are granted before what is less urgent."""

from pathlib import Path

import pytest

from functions.timed.reconcile import reconcile
from state.documents import Resource, ResourceState, Ticket
from state.store import Batch
from tests.timed.world import World

POOLS = """
p: {cmd_new: echo, cmd_delete: 'sleep 60', max: 3, max_prealloc: 3, max_starting: 3, tags: [A]}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three resources that are UP; ticket 1 had one of them and is closed, which no pass has seen so far."""
    world = World(tmp_path, POOLS)
    world.until(lambda: [resource.state for resource in world.resources()] == [ResourceState.UP] * 3)
    world.take("A")
    world.turn()
    assert world.store.tickets.read(1).resource == 1
    world.close(1)
    world.leader.refresh({"tickets": {1}})
    return world


def take(world: World, tag: str) -> bool:
    ticket = world.take(tag)
    return world.leader.refresh({"tickets": {ticket.id}})


def test_a_ticket_created_during_a_pass_is_granted_before_the_rest_of_the_plan(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a ticket that comes when a plan begins, when the pass goes on, then it is granted before all else."""
    written: list[tuple[type, int]] = []
    commit = world.store.commit

    def noting(batch: Batch) -> list[Ticket]:
        written.extend((type(write.document), write.document.key) for write in batch.writes)
        return commit(batch)

    monkeypatch.setattr(world.store, "commit", noting)
    reconcile(world.leader, lambda: list(world.store.tickets.living()) == [1] and take(world, "A"))
    assert written[0] == (Ticket, 2)
    assert (Resource, 1) in written
    assert world.store.tickets.read(2).resource == 2


def test_an_endless_stream_of_tickets_does_not_block_other_work(world: World) -> None:
    """Given tickets that come again and again, when a pass has ended, then what was released is being deleted."""
    reconcile(world.leader, lambda: take(world, "NOSUCH"))
    assert world.leader.mirror.snapshot.resources[1].state is ResourceState.DELETING


def test_several_changes_of_a_resource_in_one_plan_are_written_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a closed ticket, when its resource is released, then release and begin of its delete are one write."""
    written: list[Resource] = []
    commit = world.store.commit

    def noting(batch: Batch) -> list[Ticket]:
        written.extend(write.document for write in batch.writes if isinstance(write.document, Resource))
        return commit(batch)

    monkeypatch.setattr(world.store, "commit", noting)
    reconcile(world.leader)
    (deleting,) = [resource for resource in written if resource.id == 1]
    assert (deleting.state, deleting.released_ticket) == (ResourceState.DELETING, 1)


def test_a_running_start_is_not_started_again_by_other_writes(world: World) -> None:
    """Given a resource whose start runs, when its delete is asked for, then its hook is not started a second time."""
    world.set_pools("q: {cmd_new: sleep 60, cmd_delete: 'true', max: 1, max_prealloc: 1, tags: [B]}")
    world.turn()
    (starting,) = [resource for resource in world.resources() if resource.pool == "q"]
    started: list[str] = []
    world.hooks.start = lambda run: started.append(run.id)  # type: ignore[method-assign]
    world.ask_delete(starting.id)
    world.turn()
    asked = world.leader.mirror.snapshot.resources[starting.id]
    assert (asked.state, asked.delete_after_run) == (ResourceState.STARTING, "deleted by an operator")
    assert [run for run in started if run.startswith(f"{starting.id:06d}_alloc")] == []
