"""Intents of operators about resources and pools, and clients that call a resource bad, broken at every instant."""

import time
from collections.abc import Callable

from state.documents import IntentKind, PoolMode
from tests.chaos.transition import POOLS, Transition, spare, taken, turns
from tests.chaos.world import Send, World

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


def _hold(world: World, send: Send) -> None:
    send(("held", world.ask_of_resource(IntentKind.HOLD_RESOURCE, 1, HELD_UNTIL).resource, None))


def _end_hold(world: World, send: Send) -> None:
    send(("held no more", world.ask_of_resource(IntentKind.RELEASE_RESOURCE, 1).resource, None))


def _drain(world: World, send: Send) -> None:
    world.ask_of_pool(IntentKind.DRAIN_POOL, "vms")
    send(("mode", 0, ("vms", PoolMode.DRAINING)))


def _close_bad(world: World, send: Send) -> None:
    send(("called bad", world.close(1, bad=BAD).id, BAD))


def _then(*deeds: Callable[[World, Send], None]) -> Callable[[World], None]:
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


def _resume(count: int) -> Callable[[World, Send], None]:
    """Ask for the end of a drain, then turns of the scheduler."""

    def act(world: World, send: Send) -> None:
        world.ask_of_pool(IntentKind.RESUME_POOL, "vms")
        send(("mode", 0, ("vms", PoolMode.ACTIVE)))
        turns(count)(world, send)

    return act


def _acknowledged(count: int, *facts: tuple[str, int, object]) -> Callable[[World, Send], None]:
    """Turns of the scheduler, after these facts were acknowledged."""

    def act(world: World, send: Send) -> None:
        for fact in facts:
            send(fact)
        turns(count)(world, send)

    return act


def _end_hold_and_turn(world: World, send: Send) -> None:
    _end_hold(world, send)
    turns(4)(world, send)


_HELD = ("held", 1, None)
_FREE = ("held no more", 1, None)
_CALLED_BAD = ("called bad", 1, BAD)


def _mode(mode: PoolMode) -> tuple[str, int, object]:
    return "mode", 0, ("vms", mode)


OF_INTENTS = (
    Transition("ask for a hold", _hold, taken, client=True),
    Transition("ask for the end of a hold", _end_hold, _held, client=True),
    Transition("ask for a drain", _drain, spare, client=True),
    Transition("close as bad", _close_bad, taken, client=True),
    Transition("hold of what is taken", _acknowledged(2, _HELD), _then(_hold)),
    Transition(
        "hold of what is released", _acknowledged(3, _HELD), _then(_hold, lambda world, send: send(world.close(1)))
    ),
    Transition("end of a hold", _acknowledged(2, _FREE), _then(_hold, _end_hold)),
    Transition("end of the hold of what was released", _end_hold_and_turn, _held_and_closed),
    Transition("bad one goes", _acknowledged(4, _CALLED_BAD), _then(_close_bad), REUSING),
    Transition("bad one is released and goes", _acknowledged(5, _CALLED_BAD), _then(_close_bad), RELEASING),
    Transition("pause a pool", _acknowledged(3, _mode(PoolMode.PAUSED)), _asked_of_pool(IntentKind.PAUSE_POOL)),
    Transition("drain a pool", _acknowledged(6, _mode(PoolMode.DRAINING)), _asked_of_pool(IntentKind.DRAIN_POOL)),
    Transition(
        "resume a pool",
        _acknowledged(4, _mode(PoolMode.ACTIVE)),
        _asked_of_pool(IntentKind.DRAIN_POOL, IntentKind.RESUME_POOL),
    ),
    Transition("resume a pool that drains", _resume(4), _draining),
)
