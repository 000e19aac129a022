"""Events are written behind the turns: each once, whatever is killed in between."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.policy.transitions.resource import release_resource
from functions.policy.transitions.ticket import close_ticket
from functions.timed import events
from functions.timed.cleanup import cleanup
from functions.timed.events import MARGIN, WrittenEvents, write_events
from state.documents import Event, PoolRecord, Resource, Ticket
from state.files.store import FileStore
from state.store import Batch, Put
from tests.events import lines, missing_and_double
from tests.state.children import Child
from tests.timed.world import World

POOLS = """
vm:
  max: 2
  max_prealloc: 1
  cmd_new: echo $RESALLOC_ID
  cmd_delete: 'true'
  tags: [A]
"""
NOTHING = ([], [])


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A farm whose first events are written."""
    world = World(tmp_path, POOLS)
    world.turn()
    write_events(world.leader, WrittenEvents())
    return world


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start_child(work: Callable[..., None], *arguments: Any) -> Child:
        children.append(Child(work, *arguments))
        return children[-1]

    yield start_child
    for child in children:
        child.kill()


def serve(world: World, ticket: int) -> None:
    world.until(lambda: world.store.tickets.read(ticket).resource is not None, "a resource")


def use_up(world: World) -> int:
    """A ticket that has a resource, is closed and settled, and whose resource has ended."""
    ticket = world.take("A").id
    serve(world, ticket)
    world.close(ticket)
    gone = world.store.tickets.read(ticket).resource
    snapshot = world.leader.mirror.snapshot
    world.until(lambda: gone not in snapshot.resources and ticket not in snapshot.tickets, "its end")
    return ticket


def written_events_of(world: World) -> list[tuple[str | None, str]]:
    return [(event.kind, event.event) for event in lines(world.store)]


def test_a_ticket_and_its_resource_have_an_event_for_each_transition(world: World) -> None:
    """Given a ticket's whole life, when written, then each transition of it, its resource and pool has its line."""
    written_events = WrittenEvents()
    ticket = use_up(world)
    write_events(world.leader, written_events)
    mine = [event for event in lines(world.store) if event.ticket == ticket]
    assert [event.event for event in mine] == ["taken", "assigned", "closed", "let go"]
    assert [event.actor for event in mine] == ["client", "leader", "client", "client"]
    resource = mine[1].resource
    assert [event.event for event in lines(world.store) if event.resource == resource and event.kind == "resource"] == [
        "start began",
        "start succeeded",
        "let go",
        "delete asked",
        "delete began",
        "delete succeeded",
    ]
    assert ("pool", "configured") in written_events_of(world)
    assert missing_and_double(world.store) == NOTHING
    times = [event.at for event in lines(world.store)]
    assert times == sorted(times)


def test_what_is_written_is_not_written_again(world: World) -> None:
    """Given events, when asked again, after a reload, and by a new scheduler, then nothing is added."""
    written_events = WrittenEvents()
    use_up(world)
    serve(world, world.take("A").id)
    write_events(world.leader, written_events, sync=True)
    known = written_events_of(world)
    write_events(world.leader, written_events)
    world.leader.load()
    write_events(world.leader, written_events)
    world.restart()
    write_events(world.leader, WrittenEvents())
    assert written_events_of(world) == known


def test_nothing_is_due_at_rest(world: World) -> None:
    """Given everything written and synced, when asked, then there is no need to ask again."""
    written_events = WrittenEvents()
    use_up(world)
    assert write_events(world.leader, written_events, sync=True) == float("inf")
    assert world.leader.journal.documents == {}


def test_ended_documents_are_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given tickets that are archived after their last line was written, when more is, then they are forgotten."""
    monkeypatch.setattr(events, "_ENDED_KEPT", 0)
    written_events = WrittenEvents()
    gone = [world.take("Z").id for _ in range(20)]
    world.turn()
    write_events(world.leader, written_events)
    assert set(written_events.written) >= {("ticket", ticket) for ticket in gone}
    world.leader.mirror.forget_tickets(gone)
    world.take("Z")
    world.leader.refresh({"tickets": {21}})
    write_events(world.leader, written_events)
    assert {key for kind, key in written_events.written if kind == "ticket"} == {21}


def test_a_sync_is_due_soon_after_a_line(world: World) -> None:
    """Given a sync a moment ago, when more is written, then it says when that is to be synced."""
    written_events = WrittenEvents()
    serve(world, world.take("A").id)
    write_events(world.leader, written_events, sync=True)
    serve(world, world.take("A").id)
    assert 0 < write_events(world.leader, written_events) <= 1
    assert write_events(world.leader, written_events, sync=True) == float("inf")


def in_this_process(world: World) -> None:
    """After a fork: no thread of the parent is here."""
    world.store = FileStore(world.folder / "state")
    world.restart()


def turns_without_lines(send: Callable[[Any], None], world: World) -> None:
    in_this_process(world)
    use_up(world)
    serve(world, world.take("A").id)
    world.take("B")
    world.turn()
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_scheduler_had_not_written_is_written_by_the_next(
    world: World, start: Callable[..., Child]
) -> None:
    """Given documents of a life, and a kill -9 before any line, when the next one begins, then each is written once."""
    start(turns_without_lines, world).rest()
    world.restart()
    write_events(world.leader, WrittenEvents())
    assert missing_and_double(world.store) == NOTHING
    assert ("ticket", "closed") in written_events_of(world)
    assert ("resource", "delete succeeded") in written_events_of(world)


def killed_in_the_write(send: Callable[[Any], None], world: World, bytes_written: int) -> None:
    write = os.write

    def write_some(descriptor: int, content: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".jsonl"):
            write(descriptor, content[:bytes_written])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(descriptor, content)

    in_this_process(world)
    os.write = write_some
    use_up(world)
    world.take("B")
    world.turn()
    write_events(world.leader, WrittenEvents())


@pytest.mark.parametrize("bytes_written", [0, 1, 200, 700, 1200, 100_000])
def test_a_kill_in_the_middle_of_the_write_loses_nothing_and_doubles_nothing(
    world: World, start: Callable[..., Child], bytes_written: int
) -> None:
    """Given a kill -9 when so much of the lines was written, when the next one begins, then each is written once."""
    start(killed_in_the_write, world, bytes_written).rest()
    world.restart()
    write_events(world.leader, WrittenEvents())
    assert missing_and_double(world.store) == NOTHING


def test_tickets_created_without_a_scheduler_have_events(world: World) -> None:
    """Given tickets taken and closed by clients, when a scheduler begins hours later, then their events are written."""
    world.ahead = -5 * 3600
    world.restart()
    use_up(world)
    write_events(world.leader, WrittenEvents())
    world.ahead = 0
    early, late = world.take("B").id, world.take("B").id
    for ticket, hours in ((early, 4), (late, 2)):
        at = world.clock() - hours * 3600
        world.store.tickets.update(ticket, lambda found, at=at: found.replace(created_at=at))
    world.store.tickets.update(early, lambda found: close_ticket(found, world.clock() - 3 * 3600))
    world.restart()
    world.turn()
    write_events(world.leader, WrittenEvents())
    assert [(event.ticket, event.event) for event in lines(world.store) if event.ticket in (early, late)] == [
        (early, "taken"),
        (early, "closed"),
        (late, "taken"),
    ]
    assert missing_and_double(world.store) == NOTHING


def test_lines_lost_in_a_power_cut_are_written_again(world: World) -> None:
    """Given the last lines lost, when the next scheduler begins, then they are there again, and no other twice."""
    written_events = WrittenEvents()
    use_up(world)
    write_events(world.leader, written_events)
    path = world.store.events.path(world.store.events.end().day)
    size = path.stat().st_size
    use_up(world)
    serve(world, world.take("A").id)
    write_events(world.leader, written_events)
    os.truncate(path, size + 300)
    world.restart()
    write_events(world.leader, WrittenEvents())
    assert missing_and_double(world.store) == NOTHING


def test_an_emptied_event_folder_is_filled_from_the_living_documents(world: World) -> None:
    """Given no line at all, when a scheduler begins, then the events of the documents are written."""
    serve(world, world.take("A").id)
    use_up(world)
    for day in world.store.events.days():
        world.store.events.path(day).unlink()
    world.restart()
    write_events(world.leader, WrittenEvents())
    assert missing_and_double(world.store) == NOTHING


def test_without_events_a_start_reads_a_bounded_number_of_finished_documents(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no line at all and more finished documents than a start can wait for, when a scheduler begins, then the
    last ones are written.
    """
    monkeypatch.setattr(events, "MOST_EXAMINED", 2)
    finished = [use_up(world) for _ in range(4)]
    world.until(lambda: not set(finished) & {*world.store.tickets.living()}, "their archive")
    for day in world.store.events.days():
        world.store.events.path(day).unlink()
    world.restart()
    write_events(world.leader, WrittenEvents())
    assert {event.ticket for event in lines(world.store) if event.kind == "ticket"} & {*finished} == {*finished[2:]}


def test_old_events_are_not_searched_for(world: World) -> None:
    """Given events older than any that may be missing, when a scheduler begins, then they count as written."""
    number = world.store.tickets.create(lambda number: Ticket(id=number, tags=("B",), created_at=1000.0)).id
    assert world.clock() - MARGIN > 1000.0
    world.restart()
    write_events(world.leader, WrittenEvents())
    assert [event for event in lines(world.store) if event.ticket == number] == []


def test_an_unwritable_event_file_blocks_nothing_and_is_written_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Given a folder in the place of the file, when turns go on, then one report; later all lines are written."""
    written_events = WrittenEvents()
    write_events(world.leader, written_events)
    path = world.store.events.path(world.store.events.end().day)
    kept = path.rename(path.with_suffix(".kept"))
    path.mkdir()
    serve(world, world.take("A").id)
    write_events(world.leader, written_events)
    write_events(world.leader, written_events)
    assert caplog.text.count("events cannot be written") == 1
    path.rmdir()
    kept.rename(path)
    write_events(world.leader, written_events)
    assert missing_and_double(world.store) == NOTHING


def test_the_events_of_a_ticket_that_an_operator_puts_back_are_not_repeated(world: World) -> None:
    """Given a ticket in quarantine since before the start, when it is put back, then it has its lines already."""
    ticket = world.take("B").id
    world.turn()
    write_events(world.leader, WrittenEvents())
    path = world.store.tickets.path(ticket)
    whole = path.read_bytes()
    path.write_bytes(whole[:30])
    world.restart()
    written_events = WrittenEvents()
    write_events(world.leader, written_events)
    path.write_bytes(whole)
    world.turn()
    write_events(world.leader, written_events)
    assert missing_and_double(world.store) == NOTHING


def test_many_transitions_between_two_writes_keep_their_order(world: World) -> None:
    """Given a resource that changes often and a clock that is set back, then its lines come in their order."""
    written_events = WrittenEvents()
    write_events(world.leader, written_events)
    resource = Resource(id=500, name="vm_500", pool="vm", state="UP")  # type: ignore[arg-type]
    for ticket in range(10):
        closed = Ticket(id=ticket, assigned_at=1.0)
        resource = release_resource(resource, closed, False, world.clock() - ticket * 10)
    world.store.commit(Batch([Put(resource)]))
    world.leader.keep(resource)
    write_events(world.leader, written_events)
    assert [event.n for event in lines(world.store) if event.resource == 500] == list(range(1, 11))


def test_pools_and_the_configuration_have_events(world: World) -> None:
    """Given a pool that changes, a broken file, and a good one without the pool, then each event has its reason."""
    written_events = WrittenEvents()
    write_events(world.leader, written_events)
    for pools in (POOLS.replace("max: 2", "max: 3"), "vm: {max: ten}", "{}"):
        world.set_pools(pools)
        world.turn()
        write_events(world.leader, written_events)
    about = [event for event in lines(world.store) if event.kind in ("pool", "config")]
    assert [(event.kind, event.event) for event in about] == [
        ("pool", "configured"),
        ("pool", "options changed"),
        ("config", "pools.yaml is broken"),
        ("config", "pools.yaml is good again"),
        ("pool", "left the file"),
    ]
    assert about[1].reason == "max 2 → 3"
    assert "pools.yaml:1" in (about[2].reason or "")


def test_cleanup_deletes_the_events_of_old_days(tmp_path: Path) -> None:
    """Given a retention of a day, when cleaned up, then only the days since are left."""
    world = World(tmp_path, POOLS, "event_retention: 86400")
    for days in (3, 2, 0):
        world.store.events.append([Event(at=world.clock())], world.clock() - days * 86400)
    cleanup(world.leader, world.unknown)
    assert len(world.store.events.days()) == 1


def test_the_history_of_a_pool_is_in_its_record_and_in_the_events(world: World) -> None:
    """Given a record that was read from an older version, then it has no events."""
    world.store.commit(Batch([Put(PoolRecord(name="old", configured=False))]))
    world.restart()
    write_events(world.leader, WrittenEvents())
    assert [event.pool for event in lines(world.store) if event.pool == "old"] == []


def test_a_move_to_quarantine_has_one_event(world: World) -> None:
    """Given a corrupt document, when it is quarantined, and read by later leaders, then one event is written."""
    written_events = WrittenEvents()
    ticket = world.take("B").id
    world.turn()
    path = world.store.tickets.path(ticket)
    path.write_bytes(b"{")
    world.leader.refresh({"tickets": {int(path.stem)}})
    write_events(world.leader, written_events)
    for _ in range(2):
        world.restart()
        write_events(world.leader, WrittenEvents())
    about = [event for event in lines(world.store) if event.kind == "document"]
    assert [(event.event, event.ticket, event.actor) for event in about] == [
        ("moved to quarantine", ticket, "leader"),
        ("last good one written again", ticket, "leader"),
    ]
    assert about[0].before == f"tickets/open/{ticket}"
    assert (world.store.root / (about[0].after or "")).read_bytes() == b"{"
    assert "truncated" in (about[0].reason or "")
    assert about[0].n == 1
    assert missing_and_double(world.store) == NOTHING


def test_files_in_quarantine_at_the_start_of_a_leader_have_events(world: World) -> None:
    """Given a quarantined file without an event after a kill, when the next leader begins, then it writes the event."""
    world.turn()
    world.store.resources.path(77).write_bytes(b"nothing")
    world.store.resources.quarantine(77)
    world.restart()
    write_events(world.leader, WrittenEvents())
    assert [(event.resource, event.event) for event in lines(world.store) if event.kind == "document"] == [
        (77, "moved to quarantine")
    ]


def test_a_document_that_another_program_changed_has_an_event_with_the_reason(world: World) -> None:
    """Given a pool's record that was overwritten without its sum, then its quarantine is an event, with the reason."""
    written_events = WrittenEvents()
    world.turn()
    path = world.store.pools.path("vm")
    _, _, rest = path.read_bytes().partition(b",")
    path.write_bytes(b"{" + rest.replace(b'"max":2', b'"max":9'))
    world.leader.refresh({"pools": {path.stem}})
    write_events(world.leader, written_events)
    assert [(event.pool, event.event, event.reason) for event in lines(world.store) if event.kind == "document"] == [
        ("vm", "moved to quarantine", "somebody else changed it"),
        ("vm", "last good one written again", None),
    ]
