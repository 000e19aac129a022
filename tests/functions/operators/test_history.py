"""GET /resources/ID|NAME/history: the events of a resource and the tickets that had it."""

import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from functions.operators import events
from functions.policy.transitions.history import QuarantinedFile, lines_of
from functions.policy.transitions.resource import new_resource, release_resource, request_delete
from state.documents import Actor, Event, Resource, ResourceState, Ticket
from state.files.store import FileStore
from tests.functions.conftest import Scheduler
from tests.policy.world import a_pool

BEGIN = float(int(time.time())) - 10_000


def a_life(tickets: int) -> Resource:
    """A resource that this many tickets (101, 102, ...) had for 50 s each, one every 100 s."""
    resource = new_resource(17, a_pool(), 0, {}, BEGIN).replace(run=None, state=ResourceState.UP, name="vm_17")
    for number in range(1, tickets + 1):
        at = BEGIN + number * 100
        closed = Ticket(id=100 + number, assigned_at=at, sandbox="s")
        resource = release_resource(resource, closed, False, at + 50)
    return resource


def ask(client: FlaskClient, id_or_name: str = "17", **query: object) -> dict[str, Any]:
    reply = client.get(f"/resources/{id_or_name}/history", query_string=query, headers={"Accept": "application/json"})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.get_json()
    return found


def holder(client: FlaskClient, at: float, id_or_name: str = "17") -> int | None:
    found = ask(client, id_or_name, at=f"{BEGIN + at:.0f}")["holder"]
    return found and found["ticket"]


def test_a_history_has_the_events_of_the_resource_and_of_its_tickets(client: FlaskClient, scheduler: Scheduler) -> None:
    scheduler.put(a_life(2))
    story = ask(client, "vm_17")
    assert (story["id"], story["name"], story["pool"], story["state"]) == (17, "vm_17", "vm", "UP")
    assert [(event["kind"], event["event"], event.get("ticket")) for event in story["events"]] == [
        ("resource", "start began", None),
        ("ticket", "assigned", 101),
        ("resource", "let go", 101),
        ("ticket", "assigned", 102),
        ("resource", "let go", 102),
    ]
    assert story["holders"] == [
        {"ticket": 101, "since": BEGIN + 100, "until": BEGIN + 150},
        {"ticket": 102, "since": BEGIN + 200, "until": BEGIN + 250},
    ]
    text = client.get("/resources/17/history").text
    assert text.count("\n") == 5
    assert "resource 17 vm_17 let go, by client, ticket 102 since 20" in text
    assert len(ask(client, limit=2)["events"]) == 2
    assert ask(client, limit=0)["events"] == []


def test_the_ticket_that_has_it_now_is_shown(client: FlaskClient, scheduler: Scheduler, ticket: int) -> None:
    scheduler.put(a_life(1))
    found = scheduler.store.tickets.read(ticket)
    scheduler.put(found.replace(resource=17, resource_name="vm_17", assigned_at=BEGIN + 500))
    assert ask(client)["holders"][-1] == {"ticket": ticket, "since": BEGIN + 500, "until": None}
    assert ask(client)["events"][-1]["event"] == "assigned"
    assert holder(client, 600) == ticket
    text = client.get("/resources/17/history", query_string={"at": f"{BEGIN + 600:.0f}"}).text
    assert text.startswith(f"ticket {ticket} had resource 17 vm_17 from 20")
    assert text.endswith(" and still has it\n")


@pytest.mark.parametrize(
    ("at", "expected"),
    [(-50, None), (50, None), (100, 101), (149, 101), (150, None), (199, None), (220, 102), (900, None)],
)
def test_the_ticket_that_had_it_at_a_time_is_found(
    client: FlaskClient, scheduler: Scheduler, at: float, expected: int | None
) -> None:
    """Given two tickets that had it, when asked for a time, then the reply is the ticket that had it then, or none."""
    scheduler.put(a_life(2))
    assert holder(client, at) == expected


def test_the_ticket_that_had_it_at_a_time_is_shown_in_one_sentence(client: FlaskClient, scheduler: Scheduler) -> None:
    scheduler.put(a_life(2))

    def sentence(at: float) -> str:
        return client.get("/resources/vm_17/history", query_string={"at": f"{BEGIN + at:.0f}"}).text

    assert sentence(120).startswith("ticket 101 had resource 17 vm_17 from 20")
    assert " until 20" in sentence(120)
    assert sentence(170).startswith("no ticket had resource 17 vm_17 at 20")
    assert sentence(170).endswith("; it was UP\n")
    assert sentence(-50).endswith("Z\n")


def test_a_ticket_has_its_resource_until_the_delete(client: FlaskClient, scheduler: Scheduler) -> None:
    taken = Ticket(id=200, assigned_at=BEGIN + 500)
    resource = request_delete(a_life(1), "disk full", BEGIN + 600, Actor.OPERATOR, taken)
    scheduler.put(resource.replace(state=ResourceState.ENDED, ended_at=BEGIN + 700))
    scheduler.store.resources.archive_all([17])
    assert [holder(client, at) for at in (499, 500, 599, 600)] == [None, 200, 200, None]
    assert ask(client)["state"] == "ENDED"


def test_events_that_the_document_no_longer_has_are_read_from_the_files(
    client: FlaskClient, store: FileStore, scheduler: Scheduler
) -> None:
    """Given more tickets than a document lists, when asked, then the first ones are found as well."""
    resource = new_resource(17, a_pool(), 0, {}, BEGIN).replace(run=None, state=ResourceState.UP, name="vm_17")
    written = 0
    for number in range(1, 41):
        at = BEGIN + number * 100
        resource = release_resource(resource, Ticket(id=100 + number, assigned_at=at), False, at + 50)
        store.events.append(lines_of(resource, written), BEGIN)
        written = resource.history[-1].n
    scheduler.put(resource)
    assert len(ask(client)["holders"]) == 40
    assert [holder(client, at) for at in (120, 170, 520, 3920, 4020)] == [101, None, 105, 139, 140]
    assert len(ask(client, limit=5)["events"]) == 5


def test_the_history_of_a_removed_resource_is_read_from_the_files(client: FlaskClient, store: FileStore) -> None:
    """Given a resource without document, when asked by id or name, then its events are found in the files."""
    store.events.append(lines_of(a_life(3)), BEGIN)
    for id_or_name in ("17", "vm_17"):
        assert ask(client, id_or_name)["name"] == "vm_17"
        assert holder(client, 220, id_or_name) == 102
        assert [holder(client, at, id_or_name) for at in (-50, 50, 120, 170, 349, 350)] == [
            None,
            None,
            101,
            None,
            103,
            None,
        ]
    assert client.get("/resources/18/history").status_code == 404
    assert client.get("/resources/vm_1/history").status_code == 404


@pytest.mark.parametrize("busy", [False, True])
def test_events_far_back_in_the_files_are_found(
    client: FlaskClient, store: FileStore, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    """Given a resource removed long ago and more later lines than one search reads, then it is found."""
    monkeypatch.setattr(events, "MOST_PIECES", 1)
    noise = [Event(at=BEGIN, kind="leader", event="leads", actor="leader", reason="x" * 200)] * 3000
    store.events.append(noise if busy else [], BEGIN)
    store.events.append(lines_of(a_life(3)), BEGIN)
    store.events.append(noise, BEGIN)
    store.events.append(noise, BEGIN + 2 * 86400)
    assert len(store.events.days()) == 2
    for id_or_name in ("17", "vm_17"):
        assert len(ask(client, id_or_name)["holders"]) == 3
        assert [holder(client, at, id_or_name) for at in (120, 170, 349, 400)] == [101, None, 103, None]


def test_events_of_corrupt_documents_are_not_in_the_history(client: FlaskClient, store: FileStore) -> None:
    """Given a resource whose document was quarantined, when asked, then only the events of its life are listed."""
    store.events.append(lines_of(a_life(1)), BEGIN)
    aside = QuarantinedFile(place="resources/live/17", now="quarantine/x", at=BEGIN + 900, about={"resource": 17})
    store.events.append(lines_of(aside), BEGIN)
    story = ask(client)
    assert (story["name"], story["state"]) == ("vm_17", "UP")
    assert {event["kind"] for event in story["events"]} == {"resource"}


def test_a_resource_of_an_older_version_has_no_history(client: FlaskClient, scheduler: Scheduler) -> None:
    scheduler.resource(17)
    assert ask(client)["events"] == []
    assert client.get("/resources/17/history").text == ""
    assert holder(client, 100) is None


@pytest.mark.parametrize("query", [{"at": "tomorrow"}, {"at": "2999-01-01"}, {"limit": "-1"}, {"x": "y"}])
def test_wrong_queries_are_refused(client: FlaskClient, scheduler: Scheduler, query: dict[str, str]) -> None:
    scheduler.put(a_life(1))
    assert client.get("/resources/17/history", query_string=query).status_code == 400
