import os
import stat

import pytest

JSON = {"Accept": "application/json"}
BINARY = b"\x00\xff\xfe 10.0.0.1"


def test_a_new_ticket_waits_for_a_scheduler(client, ticket):
    found = client.get("/tickets/1").json
    assert (found["state"], found["tags"], found["resource"], found["output"]) == ("OPEN", ["A"], None, None)
    assert (found["place"], found["why"]) == (None, "no scheduler is running")


def test_a_waiting_ticket_shows_its_place_and_why_it_waits(client, scheduler):
    for _ in range(3):
        client.post("/tickets", data={"tag": ["B", "A"]})
    scheduler.show_waiting(
        {"tags": ["A"], "ids": [9], "why": "no"}, {"tags": ["A", "B"], "ids": [1, 3], "why": "all full"}
    )
    with scheduler.leading():
        found = [client.get(f"/tickets/{number}").json for number in (1, 2, 3)]
        assert client.get("/tickets/3/output").text == "Ticket 3 still waits: all full.\n"
    assert [(one["place"], one["why"]) for one in found] == [
        (1, "all full"),
        (None, "the scheduler has not looked at it yet"),
        (2, "all full"),
    ]


def test_a_served_ticket_shows_its_resource(client, scheduler, ticket):
    scheduler.assign(1, "é\n".encode(), resource=7)
    found = client.get("/tickets/1").json
    assert (found["resource"], found["resource_name"], found["pool"]) == (7, "p_00000007", "p")
    assert (found["assigned_at"], found["output"], found["output_base64"]) == (5.0, "é\n", "w6kK")
    assert "place" not in found


def test_binary_output_is_base64_only_in_json(client, scheduler, ticket):
    scheduler.assign(1, BINARY)
    found = client.get("/tickets/1").json
    assert (found["output"], found["output_base64"]) == (None, "AP/+IDEwLjAuMC4x")


def test_a_settled_ticket_is_still_found(client, scheduler, ticket):
    scheduler.assign(1)
    client.delete("/tickets/1")
    scheduler.settle(1)
    assert client.get("/tickets/1").json["state"] == "CLOSED"
    assert client.get("/tickets/1/output?closed=1").data == b"10.0.0.1\n"


@pytest.mark.parametrize("how", ["output", "wait"])
def test_the_output_is_exactly_what_was_printed(client, scheduler, ticket, how):
    scheduler.assign(1, BINARY)
    reply = client.get(f"/tickets/1/{how}")
    assert (reply.status_code, reply.data, reply.headers["Ticket-State"]) == (200, BINARY, "OPEN")
    assert reply.content_type == "application/octet-stream"
    head = client.head(f"/tickets/1/{how}")
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(BINARY)))


def test_output_of_a_waiting_ticket_is_a_conflict(client, ticket):
    reply = client.get("/tickets/1/output", headers=JSON)
    assert (reply.status_code, reply.headers["Ticket-State"]) == (409, "OPEN")
    assert reply.json["error"] == {
        "code": "still_waiting",
        "message": "Ticket 1 still waits: no scheduler is running.",
        "field": None,
        "status": 409,
    }


@pytest.mark.parametrize("how", ["output", "wait"])
def test_a_closed_or_failed_ticket_is_410_unless_its_output_is_asked_for(client, scheduler, ticket, how):
    scheduler.assign(1)
    scheduler.fail(1, "livecheck failed 3 times")
    reply = client.get(f"/tickets/1/{how}")
    assert (reply.status_code, reply.headers["Ticket-State"]) == (410, "FAILED")
    assert reply.text == "Ticket 1 has failed: livecheck failed 3 times.\n"
    reply = client.get(f"/tickets/1/{how}?closed=1")
    assert (reply.status_code, reply.data, reply.headers["Ticket-State"]) == (200, b"10.0.0.1\n", "FAILED")


@pytest.mark.parametrize("how", ["output", "wait"])
def test_a_ticket_that_never_had_a_resource_has_no_output(client, ticket, how):
    client.delete("/tickets/1")
    for query in ("", "?closed=1"):
        assert client.get(f"/tickets/1/{how}{query}").status_code == 410


def test_empty_output_is_output(client, scheduler, ticket):
    scheduler.assign(1, b"")
    assert (client.get("/tickets/1/output").status_code, client.get("/tickets/1/output").data) == (200, b"")


@pytest.mark.parametrize("path", ["", "/output", "/wait", "/close"])
@pytest.mark.parametrize(
    ("number", "status"),
    [("0", 400), ("-1", 400), ("x", 400), ("1.0", 400), ("９", 400), ("9" * 40, 400), ("%00", 400), ("2", 404)],
)
def test_an_invalid_id_is_refused_and_named(client, ticket, path, number, status):
    call = client.post if path == "/close" else client.get
    reply = call(f"/tickets/{number}{path}", headers=JSON)
    assert (reply.status_code, reply.json["error"]["field"]) == (status, "id")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("output?closed=maybe", "closed"),
        ("output?timeout=1", "timeout"),
        ("wait?timeout=-1", "timeout"),
        ("wait?timeout=3601", "timeout"),
        ("wait?timeout=nan", "timeout"),
        ("wait?timeout=1_0", "timeout"),
        ("wait?timeout=1&timeout=2", "timeout"),
        ("wait?tiemout=1", "tiemout"),
    ],
)
def test_a_wrong_parameter_is_refused_and_named(client, ticket, query, field):
    reply = client.get(f"/tickets/1/{query}", headers=JSON)
    assert (reply.status_code, reply.json["error"]["field"]) == (400, field)


@pytest.mark.parametrize("call", ["GET /tickets/1/output", "GET /tickets/1/wait", "DELETE /tickets/1"])
def test_what_another_process_wrote_is_synced_before_a_reply_promises_it(
    client, store, scheduler, ticket, monkeypatch, call
):
    scheduler.assign(1)
    if call.startswith("DELETE"):
        client.delete("/tickets/1")
    synced = []

    def fsync(descriptor, real=os.fsync):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    method, path = call.split()
    assert client.open(path, method=method).status_code == 200
    assert synced == [str(store.tickets.folder)]
