"""Documents that a newer version wrote, with words that this one does not know: the leader leaves them alone."""

import json
from pathlib import Path

import pytest

from functions.timed.patrol import Patrol
from state.documents import AgentState, PoolMode, PoolRecord, ResourceState, Ticket
from state.files import checksum
from tests.timed.agent_world import AgentWorld
from tests.timed.corruption import reported
from tests.timed.world import World

BOTH = pytest.mark.parametrize("restarted", [False, True])


def set_word(path: Path, field: str, word: str = "LATER") -> bytes:
    """Write this word into the document as a newer version would; returns the new content."""
    fields = json.loads(path.read_bytes())
    del fields["sum"]
    fields[field] = word
    content = checksum.with_sum(json.dumps(fields, separators=(",", ":")).encode())
    path.write_bytes(content)
    return content


def notice(world: World, restarted: bool) -> None:
    """Let the leader find the changed document: at its start, or by its patrol."""
    if restarted:
        world.restart()
    world.turn()
    Patrol().walk(world.leader)
    world.turn()


def assert_granted(world: World, ticket: Ticket) -> int:
    """The scheduler goes on: the ticket is assigned a resource, which is returned."""
    world.until(lambda: world.store.tickets.read(ticket.id).resource, "an assignment")
    resource = world.store.tickets.read(ticket.id).resource
    assert resource is not None
    return resource


@BOTH
def test_resource_of_a_newer_version_keeps_its_numbers_and_others_are_assigned(world: World, restarted: bool) -> None:
    number = next(one.id for one in world.resources() if world.snapshot.is_free(one.id))
    resource = world.snapshot.resources[number]
    content = set_word(world.store.resources.path(number), "state")
    notice(world, restarted)
    assert world.snapshot.lost == {number}
    assert world.snapshot.free_number("vm") != resource.id_in_pool
    assert world.snapshot.free_counter("address") != resource.counters["address"]
    assert assert_granted(world, world.take("A")) != number
    assert world.store.resources.path(number).read_bytes() == content
    assert world.store.quarantine.list() == []
    assert reported(world).count(f"resources/live/{number}: it was written by a newer version") == 1


@BOTH
def test_ticket_of_a_newer_version_keeps_its_resource_and_is_left_alone(
    world: World, caplog: pytest.LogCaptureFixture, restarted: bool
) -> None:
    taken = world.snapshot.tickets[2].resource
    assert taken is not None
    path = world.store.tickets.path(2)
    before, content = path.read_bytes(), set_word(path, "state")
    notice(world, restarted)
    assert world.snapshot.doubtful == {taken}
    assert assert_granted(world, world.take("A")) != taken
    notice(world, False)
    assert path.read_bytes() == content
    assert caplog.text.count("tickets/open/2: it was written by a newer version") == 1
    assert world.store.resources.read(taken).state is ResourceState.UP
    path.write_bytes(before)
    notice(world, False)
    assert reported(world) == ""
    assert world.snapshot.holder(taken) == world.store.tickets.read(2)


@BOTH
def test_intent_of_an_unknown_kind_stays_and_later_ones_are_decided(world: World, restarted: bool) -> None:
    first, second = (found.id for found in world.resources()[:2])
    unknown, later = world.ask_delete(first), world.ask_hold(second)
    content = set_word(world.store.intents.path(unknown.id), "kind")
    notice(world, restarted)
    world.until(lambda: not world.store.intents.exists(later.id), "the decision of the later intent")
    assert world.store.intents.path(unknown.id).read_bytes() == content
    assert world.snapshot.resources[first].state is ResourceState.UP
    assert world.store.quarantine.list() == []


@BOTH
def test_pool_of_a_newer_version_starts_nothing_and_its_record_is_not_written(world: World, restarted: bool) -> None:
    path = world.store.pools.path("vm")
    content = set_word(path, "mode")
    notice(world, restarted)
    assert "vm" not in world.snapshot.pools
    assert world.snapshot.options_of("vm") is not None
    ids = {one.id for one in world.resources()}
    granted = assert_granted(world, world.take("A"))
    world.set_pools(
        (world.config / "pools.yaml").read_text()
        + "other:\n  max: 1\n  tags: [B]\n  cmd_new: 'true'\n  cmd_delete: 'true'\n"
    )
    notice(world, False)
    assert granted in ids
    assert {one.id for one in world.resources() if one.pool == "vm"} == ids
    assert "other" in world.snapshot.pools
    assert path.read_bytes() == content
    set_word(path, "mode", PoolMode.ACTIVE)
    notice(world, False)
    assert "vm" in world.snapshot.pools
    assert isinstance(world.store.pools.read("vm"), PoolRecord)
    assert reported(world) == ""


@BOTH
def test_agent_of_a_newer_version_is_left_alone(world: World, restarted: bool) -> None:
    path = world.store.agents.path(3)
    content = set_word(path, "state")
    notice(world, restarted)
    assert 3 not in world.leader.mirror.agents
    assert path.read_bytes() == content
    assert reported(world).count("agents/3: it was written by a newer version") == 1
    set_word(path, "state", AgentState.NEW)
    notice(world, False)
    assert world.leader.mirror.agents[3].state is AgentState.NEW
    assert reported(world) == ""


def test_working_agent_with_a_ticket_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    (agent,) = world.work()
    path = world.store.tickets.path(agent.id)
    before, content = path.read_bytes(), set_word(path, "state")
    world.leader.refresh({"tickets": {agent.id}})
    world.until(lambda: not world.groups.asking and not world.hooks.under_way(), "the end of the last check")
    world.touch("finished")
    world.periods(2)
    assert world.agents() == [agent]
    assert world.left("terminated") == []
    assert path.read_bytes() == content
    path.write_bytes(before)
    world.until(lambda: world.left("terminated"), "the end of the agent")


def test_agent_of_a_newer_version_counts_in_its_group(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    (agent,) = world.work()
    path = world.store.agents.path(agent.id)
    content = set_word(path, "state")
    notice(world, True)
    world.periods(2)
    assert [*world.store.agents.living()] == [agent.id]
    assert path.read_bytes() == content
    assert world.left("terminated") == []
