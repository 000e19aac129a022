"""The transitions that are broken at every instant: what is there before, and what is done."""

import os
import shutil
import time

from functions.integrity.repair import repair
from functions.policy.transitions.ticket import close_ticket
from functions.timed.waiting_view import SHORTEST_PAUSE
from state.documents import Ticket
from state.errors import StateError
from state.store import Batch, Change, Create, Put
from tests.chaos.intents import OF_INTENTS
from tests.chaos.transition import POOLS, Transition, send_granted, spare, taken, turns, waiting
from tests.chaos.world import Send, World
from tests.waiting import until

REUSING = f"""{POOLS}
  cmd_release: exit 0
  cmd_livecheck: exit 0
  reuse_opportunity_time: 100
  named_counters: [port]
"""
ONE_FOR_ALL = f"""{POOLS.replace("max: 2", "max: 1")}
  reuse_opportunity_time: 100
"""
FAILING = f"""{POOLS}
  cmd_livecheck: fails 1
  livecheck_attempts: 1
"""
ON_DEMAND = POOLS.replace("max_prealloc: 1", "max_prealloc: 0").replace("tags:", "tags_on_demand:")
AGENTS = """
agent_groups:
  workers:
    tags: [A]
    cmd_converge_to: print 1
    cmd_check_finished: exit 1
    cmd_try_release: exit 0
"""
REAL = """
vms:
  max: 2
  max_prealloc: 1
  cmd_new: echo "$RESALLOC_NAME" >>made; echo data
  cmd_delete: echo "$RESALLOC_NAME" >>deleted
  cmd_release: "true"
  reuse_opportunity_time: 100
  tags: [A]
"""


def _create(world: World, send: Send) -> None:
    send(("created", world.take("A").id, None))
    send(("created", world.take("A", sandbox="own").id, None))


def _create_several(world: World, send: Send) -> None:
    """Concurrent creates in one batch, as a web function does them."""
    make = lambda number: Ticket(id=number, tags=("A",), created_at=world.clock())  # noqa: E731
    _send_each("created", world.store.tickets.do_all([Create(make)] * 3), send)


def _close_several(world: World, send: Send) -> None:
    close = lambda ticket: close_ticket(ticket, world.clock())  # noqa: E731
    _send_each("closed", world.store.tickets.do_all([Change(number, close) for number in (1, 2, 3)]), send)


def _send_each(what: str, outcomes: list[Ticket | StateError], send: Send) -> None:
    """Acknowledge what was done; raises the first of the errors."""
    for outcome in outcomes:
        if isinstance(outcome, Ticket):
            send((what, outcome.id, None))
    for outcome in outcomes:
        if isinstance(outcome, StateError):
            raise outcome


def _create_with_key(world: World, send: Send) -> None:
    send(("created", world.take_once("key", "A").id, "key"))
    send(("created", world.take_once("key", "A").id, "key"))


def _close(world: World, send: Send) -> None:
    send(("closed", world.close(1).id, None))


def _ask(world: World, send: Send) -> None:
    send(("asked", world.ask_delete(1).resource, None))


def _reload(world: World, send: Send) -> None:
    world.turn()
    world.set_pools(POOLS.replace("vms", "other") + "named: {cmd_new: exit 0, cmd_delete: exit 0}\n")
    turns(3)(world, send)


def _show(world: World, send: Send) -> None:
    world.turn()
    world.uptime += SHORTEST_PAUSE
    world.process.leader.mirror.changed = True  # type: ignore[union-attr]
    world.turn()


def _first_start(world: World, send: Send) -> None:
    world.open()
    _create(world, send)


def _nothing(world: World) -> None:
    shutil.rmtree(world.folder / "state")


def _release(world: World) -> None:
    taken(world)
    world.close(1)


def _asked_whiletaken(world: World) -> None:
    taken(world)
    world.ask_delete(1)


def _closed_and_asked(world: World) -> None:
    _release(world)
    world.ask_delete(1)


def _release_in_turns(world: World, send: Send) -> None:
    """One resource, whose tickets are closed one after the other, some before the one before them was archived."""
    for number in (1, 2, 3):
        send(("closed", world.close(number).id, None))
        turns(1)(world, send)


def _one_for_three(world: World) -> None:
    for _ in range(3):
        world.take("A", sandbox="own")
    world.quiet()
    tickets = [world.store.tickets.read(number) for number in (1, 2, 3)]
    assert [ticket.resource for ticket in tickets] == [1, None, None]


def _several(world: World) -> None:
    """One that waits in vain, one that is granted, and one that is settled."""
    world.take("nobody-has-this")
    world.take("A")
    world.take("A")
    world.quiet()
    world.close(3)
    world.quiet()


def _asked(world: World) -> None:
    world.quiet()
    world.ask_delete(1)


def _started(world: World) -> None:
    world.take("A")
    world.lead()
    world.set_pools(POOLS.replace("cmd_new: exit 0", "cmd_new: hang"))
    world.turn()
    world.sim.end_hanging()
    world.set_pools(POOLS)


def _really_started(world: World) -> None:
    world.turn()
    until(lambda: list((world.store.root / "runs").glob("*.result")), what="an ended hook")


def _gone_bad(world: World) -> None:
    taken(world)
    world.store.tickets.path(2).write_text("half a docu")
    world.store.pools.path("vms").write_text("")


def _in_need_of_repair(world: World) -> None:
    """A double grant, a ticket in two files, and a resource, a ticket and a counter that are corrupt."""
    for _ in range(3):
        world.take("A")
    world.quiet()
    world.close(1)
    world.quiet()
    store = world.store
    granted = store.tickets.read(2)
    store.commit(
        Batch([Put(store.tickets.read(1)), Put(granted.replace(id=world.take("A").id, assigned_at=world.clock()))])
    )
    resource = store.resources.path(min(store.resources.living()))
    resource.write_bytes(resource.read_bytes()[:-200])
    store.tickets.path(world.take("B").id).write_bytes(b"")
    (store.root / "ids/tickets.ceiling").write_text("2\n")


def _repair(world: World, send: Send) -> None:
    repair(world.store.root, None, world.clock())


def _past_retention(world: World) -> None:
    _release(world)
    world.quiet()
    world.take_once("key", "A")
    old = time.time() - 10_000_000
    for folder in ("tickets/done", "resources/ended"):
        (world.store.root / folder / "1").mkdir()
        os.utime(world.store.root / folder / "0", (old, old))
    for path in (world.store.root / "tickets/keys").iterdir():
        os.utime(path, (old, old))
    (world.store.root / "tmp" / "1-1").write_text("left by a dead process")
    os.utime(world.store.root / "tmp" / "1-1", (old, old))


def _with_agents(world: World) -> None:
    (world.config / "agents.yaml").write_text(AGENTS)


def _too_many_agents(world: World) -> None:
    _with_agents(world)
    world.quiet()
    (world.config / "agents.yaml").write_text(AGENTS.replace("print 1", "print 0"))


TRANSITIONS = (
    Transition("first start", _first_start, _nothing, client=True, opened=False),
    Transition("create", _create, client=True),
    Transition("create several", _create_several, client=True),
    Transition("create with a key", _create_with_key, client=True),
    Transition("close", _close, taken, client=True),
    Transition("close while waiting", _close, lambda world: (world.take("A"), None)[1], client=True),
    Transition("close several", _close_several, _several, client=True),
    Transition("read a grant", send_granted, taken, client=True),
    Transition("ask for a delete", _ask, spare, client=True),
    Transition("assign", turns(2), waiting),
    Transition("release", turns(2), _release),
    Transition("release with a hook", turns(3), _release, REUSING),
    Transition("start", turns(2)),
    Transition("start on demand", turns(3), lambda world: (world.take("A"), None)[1], ON_DEMAND),
    Transition("settle", turns(2), _started),
    Transition("failed start", turns(3), pools=POOLS.replace("cmd_new: exit 0", "cmd_new: exit 1")),
    Transition("start cut off", turns(4), pools=POOLS.replace("cmd_new: exit 0", "cmd_new: cut")),
    Transition("fail", turns(3), _asked_whiletaken),
    Transition("livecheck that fails", turns(6), waiting, FAILING),
    Transition("delete", turns(4), _asked),
    Transition("delete of a closed ticket's", turns(4), _closed_and_asked),
    Transition("failed delete", turns(4), _asked, POOLS.replace("cmd_delete: exit 0", "cmd_delete: exit 1")),
    Transition("archive", turns(6), _release),
    Transition("release before the archive", _release_in_turns, _one_for_three, ONE_FOR_ALL),
    Transition("config reload", _reload, taken),
    Transition("view", _show, taken),
    Transition("quarantine", turns(2), _gone_bad, corrupted=True),
    Transition("repair", _repair, _in_need_of_repair, corrupted=True),
    Transition("cleanup", turns(1), _past_retention),
    Transition("agents come", turns(5), _with_agents),
    Transition("agents go", turns(5), _too_many_agents),
    Transition("real start", turns(6), pools=REAL, real=True),
    Transition("real adoption", turns(6), _really_started, REAL, real=True),
    Transition("real release", turns(6), _release, REAL, real=True),
    Transition("real delete", turns(8), _asked, REAL, real=True),
    *OF_INTENTS,
)
