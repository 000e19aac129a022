import pytest

from state.documents import TicketState


@pytest.mark.parametrize("call", ["delete /tickets/1", "post /tickets/1/close"])
def test_a_ticket_can_be_closed_again(client, store, ticket, call):
    method, path = call.split()
    first = getattr(client, method)(path)
    closed = store.tickets.read(1)
    second = getattr(client, method)(path)
    assert [first.status_code, first.text, second.status_code, second.text] == [200, "closed\n", 200, "closed\n"]
    assert closed.state is TicketState.CLOSED
    assert closed.closed_at is not None
    assert store.tickets.read(1) == closed


def test_a_failed_ticket_can_be_closed(client, store, scheduler, ticket):
    scheduler.fail(1)
    assert client.delete("/tickets/1", headers={"Accept": "application/json"}).json == {"id": 1, "state": "CLOSED"}
    assert store.tickets.read(1).state is TicketState.CLOSED


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("delete", "/tickets/1?bad=disk%20full", {}),
        ("post", "/tickets/1/close", {"data": {"bad": " disk\n full "}}),
        ("post", "/tickets/1/close", {"json": {"bad": "disk full"}}),
    ],
)
def test_a_client_can_call_the_resource_bad(client, store, ticket, method, path, sent):
    assert getattr(client, method)(path, **sent).status_code == 200
    assert store.tickets.read(1).bad == "disk full"
    assert client.get("/tickets/1").json["bad"] == "disk full"
    client.delete("/tickets/1?bad=something%20else")
    assert store.tickets.read(1).bad == "disk full"


@pytest.mark.parametrize("bad", ["", " ", "x" * 256, "\x1b"])
def test_an_invalid_reason_is_refused(client, store, ticket, bad):
    assert client.delete("/tickets/1", query_string={"bad": bad}).status_code == 400
    assert client.post("/tickets/1/close", data={"bad": bad}).status_code == 422
    assert client.post("/tickets/1/close", data={"worse": "x"}).status_code == 422
    assert store.tickets.read(1).state is TicketState.OPEN


def test_a_settled_ticket_can_be_closed_again(client, scheduler, ticket):
    client.delete("/tickets/1")
    scheduler.settle(1)
    assert client.delete("/tickets/1").status_code == 200


def test_an_unknown_ticket_cannot_be_closed(client):
    reply = client.delete("/tickets/1")
    assert (reply.status_code, reply.text) == (404, "There is no ticket 1.\n")
