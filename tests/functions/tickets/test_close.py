import pytest

from state.documents import TicketState


@pytest.mark.parametrize("call", ["delete /tickets/1", "post /tickets/1/close"])
def test_closing_is_fine_again_and_again(client, store, ticket, call):
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


def test_a_settled_ticket_can_be_closed_again(client, scheduler, ticket):
    client.delete("/tickets/1")
    scheduler.settle(1)
    assert client.delete("/tickets/1").status_code == 200


def test_an_unknown_ticket_cannot_be_closed(client):
    reply = client.delete("/tickets/1")
    assert (reply.status_code, reply.text) == (404, "There is no ticket 1.\n")
