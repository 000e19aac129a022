"""An older scheduler beside newer writers: fields that it does not know survive all its changes of a document."""

import json
from pathlib import Path
from typing import Any

from functions.timed.cleanup import cleanup
from state.documents import TicketState
from state.files.store import FileStore
from tests.timed.corruption import at_rest
from tests.timed.world import World

NEWER: dict[str, Any] = {"colour": "red", "limits": {"cpu": 4, "parts": [1, None]}, "unknown": "a field of this name"}


def fields(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def add(path: Path, **more: Any) -> None:
    """Write the document as a newer program does, with more fields."""
    path.write_text(json.dumps({**fields(path), **more}))


def has_newer(document: dict[str, Any]) -> bool:
    return {name: document.get(name) for name in NEWER} == NEWER


def test_a_ticket_keeps_unknown_fields_from_its_assignment_to_its_settling(world: World) -> None:
    """Given a ticket with newer fields, when it is granted, closed and settled, then it still has them."""
    world.close(2)
    ticket = world.take("A").id
    add(world.store.tickets.path(ticket), **NEWER)
    world.until(lambda: world.leader.mirror.snapshot.tickets[ticket].resource, "the assignment")
    assert has_newer(fields(world.store.tickets.path(ticket)))
    world.close(ticket)
    world.until(lambda: world.store.tickets.archive_path(ticket).exists(), "the settling")
    assert has_newer(fields(world.store.tickets.archive_path(ticket)))
    assert world.store.tickets.read(ticket).state is TicketState.CLOSED


def test_a_resource_and_its_run_keep_unknown_fields_to_the_end(world: World) -> None:
    """Given a resource with newer fields, also in its run, when it is released, deleted and ended, then it has them."""
    path = world.store.resources.path(2)
    add(path, **NEWER)
    world.restart()
    world.close(2)
    world.until(lambda: world.store.resources.archive_path(2).exists(), "the end of the resource")
    ended = fields(world.store.resources.archive_path(2))
    assert has_newer(ended)
    assert ended["releases_counter"] == 1


def test_a_run_keeps_unknown_fields_while_its_resource_changes(world: World) -> None:
    """Given a start whose run has newer fields, when its resource is asked to be deleted, then they stay."""
    spare = next(found for found in world.resources() if world.leader.mirror.snapshot.holder(found.id) is None)
    path = world.store.resources.path(spare.id)
    run = {"id": f"{spare.id:06d}_alloc_1", "kind": "alloc", "started_at": 1.0, "host": "b", "unknown": [1]}
    add(path, state="STARTING", run=run, up_at=None)
    world.restart()
    known = world.leader.mirror.snapshot.resources[spare.id]
    assert json.loads(known.replace(delete_after_run="why").to_json())["run"] == run


def test_a_pool_keeps_unknown_fields_with_its_options(world: World) -> None:
    """Given a pool record with newer fields and options, when its file is read again, then it has them."""
    path = world.store.pools.path("vm")
    add(path, **NEWER, options={**fields(path)["options"], "burst": 7})
    world.restart()
    world.set_pools((world.config / "pools.yaml").read_text() + "  livecheck_period: 900\n")
    world.close(2)
    world.take("A")
    world.turn()
    at_rest(world)
    record = fields(path)
    assert has_newer(record)
    assert (record["options"]["burst"], record["options"]["livecheck_period"]) == (7, 900)


def test_a_document_that_is_written_again_keeps_unknown_fields(world: World) -> None:
    """Given a ticket with newer fields, when its file goes bad, then what is written again has them."""
    path = world.store.tickets.path(3)
    add(path, **NEWER)
    world.turn()
    path.write_bytes(b"")
    world.turn()
    cleanup(world.leader, world.unknown)
    assert has_newer(fields(path))


def test_a_counter_of_another_version_gives_no_number_twice(world: World) -> None:
    """Given a counter in a form that is not known, when numbers are given, then they go on above those in use."""
    (world.store.root / "ids" / "tickets.next").write_text("v2 3 of whatever\n")
    assert FileStore(world.store.root).tickets.reserve(1).start > 3
