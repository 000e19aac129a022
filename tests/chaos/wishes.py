"""What operators wish of resources and pools, and clients who call a resource bad, broken at every instant."""

import time
from collections.abc import Callable

from state.documents import IntentKind, PoolMode
from tests.chaos.transition import POOLS, Transition, spare, taken, turns
from tests.chaos.world import Tell, World

REUSING = f"""{POOLS}
  reuse_opportunity_time: 100000
  reuse_max_time: 0
"""
RELEASING = f"""{REUSING}
  cmd_release: exit 0
"""
HELD_UNTIL = time.time() + 80_000
"""Later than the clock says in any of this, and the same in every process."""
BAD = "it is bad"


def _hold(world: World, tell: Tell) -> None:
    tell(("held", world.ask_of_resource(IntentKind.HOLD_RESOURCE, 1, HELD_UNTIL).resource, None))


def _end_hold(world: World, tell: Tell) -> None:
    tell(("held no more", world.ask_of_resource(IntentKind.RELEASE_RESOURCE, 1).resource, None))


def _drain(world: World, tell: Tell) -> None:
    world.ask_of_pool(IntentKind.DRAIN_POOL, "vms")
    tell(("mode", 0, ("vms", PoolMode.DRAINING)))


def _close_bad(world: World, tell: Tell) -> None:
    tell(("called bad", world.close(1, bad=BAD).id, BAD))


def _then(*deeds: Callable[[World, Tell], None]) -> Callable[[World], None]:
    """A ticket has a resource, and then this was done."""

    def prepare(world: World) -> None:
        taken(world)
        for deed in deeds:
            deed(world, lambda fact: None)

    return prepare


def _held(world: World) -> None:
    _then(_hold)(world)
    world.quiet()
    assert world.snapshot.resources[1].held


def _held_and_closed(world: World) -> None:
    _held(world)
    world.close(1)
    world.quiet()


def _asked_of_pool(*kinds: IntentKind) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        taken(world)
        for kind in kinds:
            world.ask_of_pool(kind, "vms")

    return prepare


def _draining(world: World) -> None:
    _asked_of_pool(IntentKind.DRAIN_POOL)(world)
    world.quiet()
    assert world.snapshot.records["vms"].mode is PoolMode.DRAINING


def _resume(count: int) -> Callable[[World, Tell], None]:
    """Ask for the end of a drain, then turns of the scheduler."""

    def act(world: World, tell: Tell) -> None:
        world.ask_of_pool(IntentKind.RESUME_POOL, "vms")
        tell(("mode", 0, ("vms", PoolMode.ACTIVE)))
        turns(count)(world, tell)

    return act


def _told(count: int, *told: tuple[str, int, object]) -> Callable[[World, Tell], None]:
    """Turns of the scheduler, after somebody was told this."""

    def act(world: World, tell: Tell) -> None:
        for fact in told:
            tell(fact)
        turns(count)(world, tell)

    return act


def _end_hold_and_turn(world: World, tell: Tell) -> None:
    _end_hold(world, tell)
    turns(4)(world, tell)


_HELD = ("held", 1, None)
_FREE = ("held no more", 1, None)
_CALLED_BAD = ("called bad", 1, BAD)


def _mode(mode: PoolMode) -> tuple[str, int, object]:
    return "mode", 0, ("vms", mode)


OF_WISHES = (
    Transition("ask for a hold", _hold, taken, client=True),
    Transition("ask for the end of a hold", _end_hold, _held, client=True),
    Transition("ask for a drain", _drain, spare, client=True),
    Transition("close as bad", _close_bad, taken, client=True),
    Transition("hold of what is taken", _told(2, _HELD), _then(_hold)),
    Transition("hold of what is let go", _told(3, _HELD), _then(_hold, lambda world, tell: tell(world.close(1)))),
    Transition("end of a hold", _told(2, _FREE), _then(_hold, _end_hold)),
    Transition("end of the hold of what was let go", _end_hold_and_turn, _held_and_closed),
    Transition("bad one goes", _told(4, _CALLED_BAD), _then(_close_bad), REUSING),
    Transition("bad one is released and goes", _told(5, _CALLED_BAD), _then(_close_bad), RELEASING),
    Transition("pause a pool", _told(3, _mode(PoolMode.PAUSED)), _asked_of_pool(IntentKind.PAUSE_POOL)),
    Transition("drain a pool", _told(6, _mode(PoolMode.DRAINING)), _asked_of_pool(IntentKind.DRAIN_POOL)),
    Transition(
        "resume a pool",
        _told(4, _mode(PoolMode.ACTIVE)),
        _asked_of_pool(IntentKind.DRAIN_POOL, IntentKind.RESUME_POOL),
    ),
    Transition("resume a pool that drains", _resume(4), _draining),
)
