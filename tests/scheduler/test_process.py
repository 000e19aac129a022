"""The scheduler's turn: what it does beside grants, and what it finds at its start."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import load_settings
from functions.policy.transitions.run_id import RunId
from functions.timed.cleanup import LIST_PERIOD
from functions.timed.leader import Changes
from functions.timed.measures import Measures
from functions.timed.metrics_view import METRICS_PAUSE
from functions.timed.reconcile import reconcile
from functions.timed.waiting_view import LONGEST_AGE
from scheduler.__main__ import make_leader
from scheduler.hooks import Hooks
from scheduler.process import Process
from scheduler.watch import Watch
from state.documents import HookKind, Intent, IntentKind, ResourceState, Ticket, TicketState
from state.files.store import FileStore
from tests.events import lines, missing_and_double
from tests.waiting import until

POOL = "p: {cmd_new: echo, cmd_delete: 'true', max: 1, max_prealloc: 1}\n"


class AlwaysMore(Hooks):
    """As under full load: some hooks always wait to be started."""

    def launch(self, interrupted: Callable[[], bool] = lambda: False) -> bool:
        super().launch(interrupted)
        return True


Start = Callable[..., Process]


@pytest.fixture
def start(store: FileStore, tmp_path: Path) -> Iterator[Start]:
    """Starts a scheduler that is turned by hand, once what was started before has been dropped as if killed."""
    (tmp_path / "pools.yaml").write_text(POOL)
    environment = {
        "CONFIG_DIR": str(tmp_path),
        "RESALLOC_STATE_DIR": str(store.root),
        "RESALLOC_LOG_DIR": str(tmp_path),
    }
    started: list[Process] = []

    def drop() -> None:
        for process in started:
            process.watch.close()
            process.lease.release()
        started.clear()

    def start(kind: type[Hooks] = Hooks, at_once: int = 10) -> Process:
        drop()
        hooks = kind(store.root / "runs", tmp_path / "log", tmp_path, dict(os.environ), time.time, at_once)
        hooks.adopt()
        lease = store.lead()
        lease.acquire()
        leader = make_leader(store, load_settings(environment), hooks, Measures())
        started.append(Process(leader, hooks, Watch(store, store.root / "runs"), lease))
        return started[0]

    yield start
    drop()


def shown(store: FileStore) -> dict[str, Any]:
    """What the leader shows about waiting tickets."""
    found = store.shown("waiting.json")
    assert found is not None
    content: dict[str, Any] = json.loads(found.content or b"")
    return content


def states(store: FileStore) -> dict[int, ResourceState]:
    return {found.id: found.state for found in store.read_all().resources}


def test_a_list_of_what_exists_starts_when_it_is_due_not_at_the_next_cleanup(start: Start) -> None:
    """Given a pool with cmd_list, when half an hour is over, then the alarm rings at that instant and the list starts,
    although cleanup was a moment ago; and when cmd_list comes into the file later, it starts at once.
    """
    process = start()
    leader = process.leader
    pools = leader.settings.pools_file
    pools.write_text(POOL + "with_list: {cmd_new: echo, cmd_delete: 'true', cmd_list: 'true', max: 0}\n")
    process.turns.turn({})
    alarm = process._alarms._scheduler.get_job("lists")
    assert alarm is not None
    due = leader.mirror.snapshot.records["with_list"].first_seen_at + LIST_PERIOD
    assert alarm.trigger.run_date.timestamp() == pytest.approx(due)
    assert not leader.hooks.under_way(HookKind.LIST)

    leader.clock = lambda: time.time() + LIST_PERIOD
    process.turns.turn({})
    assert len(leader.hooks.under_way(HookKind.LIST)) == 1

    pools.write_text(POOL.replace("}", ", cmd_list: 'true'}"))
    process.turns.turn({})
    assert len(leader.hooks.under_way(HookKind.LIST)) == 2


def test_a_change_without_notification_is_seen_after_sleeptime(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given nothing to do and a watch that does not look at pools.yaml, when that changes, the next pass sees it."""
    process = start()
    leader = process.leader
    leader.settings.pools_file.write_text("p: {cmd_new: echo, cmd_delete: 'true', max: 0}\n")
    turn = process.turns.turn
    late = threading.Timer(20, process.stop, (0, None))

    def turn_and_change(changes: Changes) -> float:
        pause = turn(changes)
        if "q" in leader.mirror.snapshot.pools:
            process.stopping = True
        elif pause == float("inf"):
            leader.settings.pools_file.write_text("q: {cmd_new: echo, cmd_delete: 'true', max: 0}\n")
        return pause

    monkeypatch.setattr(process.turns, "turn", turn_and_change)
    late.start()
    process.loop(0.2)
    late.cancel()
    assert "q" in leader.mirror.snapshot.pools


def test_the_view_is_shown_even_while_hooks_wait_to_be_started_without_end(store: FileStore, start: Start) -> None:
    start(AlwaysMore).turns.turn({})
    assert (store.root / "view" / "pools.json").exists()


def test_metrics_are_written_at_once_then_after_a_pause_and_wake_no_process(store: FileStore, start: Start) -> None:
    shown = store.root / "view" / "metrics.json"
    process = start()
    process.turns.turn({})
    first = shown.read_bytes()
    process.leader.mirror.changed = False
    process.turns.views._metrics_outdated = False
    assert process.turns.views.show_metrics() == float("inf")
    process.leader.mirror.changed = True
    assert 0 < process.turns.views.show_metrics() <= METRICS_PAUSE
    assert shown.read_bytes() == first
    process.turns.views._metrics_pace.hurry()
    process.leader.mirror.changed = False
    process.leader.measures.passed(9.0, 1.0)
    assert process.turns.views.show_metrics() == float("inf")
    assert json.loads(shown.read_bytes())["last_pass"] == 9.0


@pytest.mark.parametrize(("tags", "renewed"), [((), True), (("nowhere",), False)])
def test_explanations_are_renewed_without_changes_unless_no_pool_can_serve(
    store: FileStore, start: Start, monkeypatch: pytest.MonkeyPatch, tags: tuple[str, ...], renewed: bool
) -> None:
    """Given a ticket that a pool could serve, or none, when the view grows old, then it is made anew for the first."""
    monkeypatch.setattr("scheduler.views.SHORTEST_PAUSE", 0.0)
    store.tickets.create(lambda number: Ticket(id=number, tags=tags))
    process = start(at_once=0)
    process.turns.turn({})
    process.leader.mirror.changed = False
    first = shown(store)
    assert [group["ids"] for group in first["groups"]] == [[1]]
    assert process.turns.views.show() == float("inf")
    assert shown(store) == first
    process.leader.clock = lambda: first["at"] + LONGEST_AGE
    process.turns.views.show()
    assert (shown(store)["at"] > first["at"]) is renewed


def test_a_queued_hook_of_a_killed_scheduler_is_started_by_the_next_one(store: FileStore, start: Start) -> None:
    start(at_once=0).turns.turn({})
    assert states(store) == {1: ResourceState.STARTING}
    assert list((store.root / "runs").iterdir()) == []
    process = start()

    def is_up() -> bool:
        process.turns.turn(process.inbox.take(0.1))
        return states(store) == {1: ResourceState.UP}

    until(is_up, what="resource 1")


def test_a_hook_that_may_have_run_before_the_machine_was_restarted_is_not_started_again(
    store: FileStore, start: Start
) -> None:
    start(at_once=0).turns.turn({})
    store.show("pools.json", b'{"leader": {"runs": "another boot"}}')
    start(at_once=0).turns.turn({})
    assert states(store)[1] in (ResourceState.DELETE_REQUEST, ResourceState.DELETING)


@pytest.mark.parametrize("shown", [b"", b"[]", b"{", b'{"leader": 3}', b'{"leader": {"runs": 3}}'])
def test_a_view_without_the_place_of_runs_counts_as_that_of_another_boot(
    store: FileStore, start: Start, shown: bytes
) -> None:
    start(at_once=0).turns.turn({})
    store.show("pools.json", shown)
    start(at_once=0).turns.turn({})
    assert states(store)[1] in (ResourceState.DELETE_REQUEST, ResourceState.DELETING)


def test_a_hook_is_not_started_again_in_a_replaced_folder_of_runs(store: FileStore, start: Start) -> None:
    start(at_once=0).turns.turn({})
    (store.root / "runs").rename(store.root / "other")
    (store.root / "runs").mkdir()
    start(at_once=0).turns.turn({})
    assert states(store)[1] in (ResourceState.DELETE_REQUEST, ResourceState.DELETING)


def test_only_new_tickets_are_taken_in_between_two_turns(store: FileStore, start: Start) -> None:
    """Given a new ticket and a closed one during a turn, when tickets are taken in, then only the new one is."""
    process = start()
    store.tickets.create(lambda number: Ticket(id=number, tags=("NOSUCH",)))
    process.turns.turn({})
    process.inbox.take()
    store.tickets.update(1, lambda ticket: ticket.replace(state=TicketState.CLOSED))
    assert not process.turns.take_in_tickets()
    store.tickets.create(lambda number: Ticket(id=number, tags=("NOSUCH",)))
    assert process.turns.take_in_tickets()
    assert not process.turns.take_in_tickets()
    known = process.leader.mirror.snapshot.tickets
    assert {number: ticket.state for number, ticket in known.items()} == {1: TicketState.OPEN, 2: TicketState.OPEN}
    assert process.inbox.take()["tickets"] == {1}


def test_a_ticket_that_is_read_during_a_turn_costs_no_further_turn(start: Start, store: FileStore) -> None:
    """Given a scheduler at rest, when a new ticket is read between two steps of a turn, then no other turn follows."""
    process = start(at_once=0)
    until(lambda: process.turns.turn(process.inbox.take(0.1)) > 0, what="rest")
    store.tickets.create(lambda number: Ticket(id=number, tags=("NOSUCH",)))
    assert process.turns.take_in_tickets()
    assert process.inbox.take() == {}
    assert process.turns.turn({}) > 0


def test_a_change_during_a_turn_starts_the_next_turn_at_once(start: Start, store: FileStore) -> None:
    """Given a ticket that is closed while a turn looks for new ones, when it ends, then the next one is at once."""
    process = start()
    ticket = store.tickets.create(lambda number: Ticket(id=number, tags=("nobody has it",)))
    process.turns.turn(process.inbox.take())
    store.tickets.update(ticket.id, lambda found: found.replace(state=TicketState.CLOSED, closed_at=time.time()))
    assert process.turns.take_in_tickets() is False
    assert process.turns.turn({}) == 0.0
    process.turns.turn(process.inbox.take())
    assert ticket.id not in process.leader.mirror.snapshot.tickets


def test_no_event_is_lost_however_often_a_resource_changes_before_events_are_written(
    start: Start, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given events that wait for their turn, when forty tickets have used one resource by then, all are written."""
    monkeypatch.setattr("scheduler.turns.EVENTS_PAUSE", 3600.0)
    process = start(AlwaysMore)
    monkeypatch.setattr("scheduler.turns.LONGEST_SHOW_PAUSE", 3600.0)
    process.leader.settings.pools_file.write_text(
        "p: {cmd_new: echo, cmd_delete: 'true', max: 1, max_prealloc: 1, reuse_opportunity_time: 900, tags: [A]}\n"
    )

    def turned() -> bool:
        return process.turns.turn(process.inbox.take(0.1)) >= 0

    for _ in range(40):
        number = store.tickets.create(lambda number: Ticket(id=number, tags=("A",), sandbox="s")).id
        until(lambda number=number: turned() and not store.tickets.read(number).waiting, what="the resource")
        store.tickets.update(
            number, lambda found: found.replace(state=TicketState.CLOSED, closed_at=process.leader.clock())
        )
    until(lambda: turned() and not process.leader.mirror.snapshot.tickets, what="the last release")
    process.turns.write_events()
    assert missing_and_double(store) == ([], [])
    released = [event for event in lines(store) if (event.kind, event.event) == ("resource", "let go")]
    assert len(released) == 40


def test_a_start_that_is_to_be_deleted_is_not_started_again(start: Start, store: FileStore) -> None:
    """Given a resource that starts, when an operator deletes it, then its hook goes on and is not started once more."""
    process = start()
    hooks = process.leader.hooks
    until(lambda: process.turns.turn(process.inbox.take()) >= 0 and hooks.under_way(HookKind.ALLOC), what="a start")
    before = sorted(hooks.under_way(HookKind.ALLOC))
    number = RunId.parse(before[0]).subject
    store.intents.create(lambda id: Intent(id=id, kind=IntentKind.DELETE_RESOURCE, resource=number))
    process.leader.refresh({"intents": set(store.intents.living())})
    reconcile(process.leader)
    assert process.leader.mirror.snapshot.resources[number].delete_after_run is not None
    assert sorted(hooks.under_way(HookKind.ALLOC)) == before
