"""Ways in which a file becomes corrupt, and a living folder with a file of every kind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from functions.integrity.fsck import examine
from functions.integrity.invariants import Kind
from functions.leader_view import Leader
from functions.timed.waiting_view import show
from state.documents import Agent, ResourceState, Ticket
from state.store import Batch, Put
from tests.timed.world import World


def truncate(path: Path) -> None:
    """Its second half is gone."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero(path: Path) -> None:
    """As after a power cut on some file systems: the size is right, the content is not."""
    path.write_bytes(bytes(max(1, path.stat().st_size)))


def flip(path: Path) -> None:
    """One bit in its first third is the other one, so that a quote, a brace or a digit is none."""
    content = bytearray(path.read_bytes() or b"\0")
    content[len(content) // 3] ^= 0x80
    path.write_bytes(content)


def flip_value(path: Path) -> None:
    """One bit far from its beginning is the other one, so that it is JSON with the same fields and another value."""
    good = path.read_bytes()
    middle = len(good) // 2
    for place in (*range(middle, len(good)), *range(middle, 0, -1)):
        content = bytearray(good)
        content[place] ^= 1
        try:
            if json.loads(content).keys() == json.loads(good).keys():
                path.write_bytes(content)
                return
        except ValueError:
            continue
    raise AssertionError(f"{path} has no such bit")


def delete(path: Path) -> None:
    path.unlink()


def make_unreadable(path: Path) -> None:
    """A folder in its place, which cannot be read as a file by root either."""
    path.unlink()
    path.mkdir()


Corrupt = Callable[[Path], None]
FLAWS: dict[str, Corrupt] = {
    "truncated": truncate,
    "emptied": empty,
    "zeroed": zero,
    "bit flipped": flip,
    "deleted": delete,
    "unreadable": make_unreadable,
}
DOCUMENT_FLAWS: dict[str, Corrupt] = {**FLAWS, "bit of a value flipped": flip_value}
"""Ways in which documents and keys go bad, which have a check sum."""

POOLS = """
vm:
  max: 3
  max_prealloc: 2
  max_starting: 1
  tags: [A]
  named_counters: [address]
  cmd_new: 'echo $RESALLOC_ID'
  cmd_delete: 'echo $RESALLOC_NAME $RESALLOC_ID_IN_POOL $RESALLOC_NAMED_COUNTER_address >> ../deleted'
"""
LIVING = {
    "open ticket": "tickets/open/2.json",
    "waiting ticket": "tickets/open/3.json",
    "live resource": "resources/live/2.json",
    "pool record": "pools/vm.json",
    "agent": "agents/3.json",
}
FINISHED = {
    "settled ticket": "tickets/done/0/1.json",
    "ended resource": "resources/ended/0/1.json",
    "key": "tickets/keys",
}
OTHERS = {
    "next ticket": "ids/tickets.next",
    "ceiling of tickets": "ids/tickets.ceiling",
    "next resource": "ids/resources.next",
    "ceiling of resources": "ids/resources.ceiling",
    "next intent": "ids/intents.next",
    "ceiling of intents": "ids/intents.ceiling",
    "view": "view/waiting.json",
    "view of pools": "view/pools.json",
    "FORMAT": "FORMAT",
    "lock": "locks/ids-tickets",
    "lock of a ticket": "locks/tickets/02",
}


def a_world(folder: Path) -> World:
    """Ticket 1 is settled and its resource 1 ended, 2 has resource 2, 3 of an agent waits for a tag of no pool."""
    world = World(folder, POOLS)
    keys = world.store.keys
    keys.create_once("k", "body", lambda number: Ticket(id=number, tags=("A",)))
    world.until(lambda: world.leader.mirror.snapshot.tickets[1].resource, "the first assignment")
    world.close(1)
    world.until(lambda: 1 not in world.leader.mirror.snapshot.resources, "the end of the first resource")
    world.take("A")
    world.until(lambda: world.leader.mirror.snapshot.tickets[2].resource, "the second assignment")
    world.store.commit(Batch([Put(Agent(id=world.take("Z").id, group="workers"))]))
    world.ask_delete(9999)
    at_rest(world)
    return world


def copied(template: World, folder: Path) -> World:
    """A world of its own with a copy of the template's folder, and a scheduler that has just read it."""
    world = World(folder, POOLS)
    for name in ("state", "log"):
        shutil.copytree(template.folder / name, folder / name, dirs_exist_ok=True)
    world.restart()
    world.turn()
    return world


def at_rest(world: World) -> None:
    world.until(lambda: up(world) == 3 and not world.hooks.under_way(), "three resources")
    world.turn()
    show(world.leader, Leader(pid=1, since=0.0))


def up(world: World) -> int:
    return [resource.state for resource in world.resources()].count(ResourceState.UP)


def path_of(world: World, place: str) -> Path:
    path = world.store.root / place
    return next(path.iterdir()) if place == "tickets/keys" else path


def reported(world: World) -> str:
    return "\n".join(world.leader.corruption.words)


def documents(world: World) -> dict[str, list[Any]]:
    snapshot = world.leader.mirror.snapshot
    return {
        "tickets": [snapshot.tickets[id] for id in sorted(snapshot.tickets)],
        "resources": [snapshot.resources[id] for id in sorted(snapshot.resources)],
        "records": list(snapshot.records.values()),
        "agents": list(world.leader.mirror.agents.values()),
    }


def faults(world: World) -> list[tuple[Kind, str]]:
    found = examine(world.store.survey(world.clock()), world.settings.log_dir)
    return [(fault.kind, fault.file) for fault in found if not fault.is_note]
