"""Transitions that are broken at every instant, and helpers for several of them."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.world import Send, World

POOLS = """
vms:
  max: 2
  max_prealloc: 1
  cmd_new: exit 0
  cmd_delete: exit 0
  tags: [A]
"""


@dataclass(frozen=True)
class Transition:
    """`prepare` brings a new folder to the moment before, `act` is what is broken. `client`: a web function's part.

    `act` sends each fact that it acknowledges, at once. With `real`, hooks are processes. Unless `opened`, opening the
    store is a part of `act`. With `corrupted`, files are corrupt before, and may be until `act` was done again.
    """

    name: str
    act: Callable[[World, Send], None]
    prepare: Callable[[World], None] = lambda world: None
    pools: str = POOLS
    client: bool = False
    real: bool = False
    opened: bool = True
    corrupted: bool = False


def turns(count: int) -> Callable[[World, Send], None]:
    """A scheduler starts and takes this many turns; after each one the granted tickets are read."""

    def act(world: World, send: Send) -> None:
        for _ in range(count):
            world.turn(seconds=0.02 if world.real else 0)
            send_granted(world, send)

    return act


def send_granted(world: World, send: Send) -> None:
    """Acknowledge every grant that can be seen."""
    for ticket in world.granted():
        send(("granted", ticket.id, (ticket.resource, ticket.output)))


def spare(world: World) -> None:
    world.quiet()


def waiting(world: World) -> None:
    world.quiet()
    world.take("A")


def taken(world: World) -> None:
    waiting(world)
    world.quiet()
