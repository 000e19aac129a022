"""What a transition is that is broken at every instant, and what several of them have in common."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.world import Tell, World

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

    `act` tells what it acknowledges, at once. With `real`, hooks are processes. Unless `opened`, opening the store is a
    part of `act`. With `damaged`, files are damaged before, and may be until `act` was done again.
    """

    name: str
    act: Callable[[World, Tell], None]
    prepare: Callable[[World], None] = lambda world: None
    pools: str = POOLS
    client: bool = False
    real: bool = False
    opened: bool = True
    damaged: bool = False


def turns(count: int) -> Callable[[World, Tell], None]:
    """A scheduler starts and takes this many turns; after each one somebody looks at what was granted."""

    def act(world: World, tell: Tell) -> None:
        for _ in range(count):
            world.turn(seconds=0.02 if world.real else 0)
            tell_granted(world, tell)

    return act


def tell_granted(world: World, tell: Tell) -> None:
    """Acknowledge every grant that can be seen."""
    for ticket in world.granted():
        tell(("granted", ticket.id, (ticket.resource, ticket.output)))


def spare(world: World) -> None:
    world.quiet()


def waiting(world: World) -> None:
    world.quiet()
    world.take("A")


def taken(world: World) -> None:
    waiting(world)
    world.quiet()
