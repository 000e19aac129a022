import pytest

JSON = {"Accept": "application/json"}


@pytest.fixture
def tickets(client, scheduler):
    """1 has a resource, 2 is closed, 3 failed, 4 waits."""
    for tags in (["A"], ["A"], ["A", "B"], ["C"]):
        client.post("/tickets", data={"tag": tags})
    scheduler.assign(1, resource=1)
    scheduler.assign(2, resource=2)
    client.delete("/tickets/2")
    scheduler.assign(3, resource=3)
    scheduler.fail(3)


def test_each_ticket_that_is_not_closed_is_a_line(client, tickets):
    assert client.get("/tickets").text.splitlines() == [
        "1 - state=OPEN tags=A resource=p_00000001",
        "3 - state=FAILED tags=A,B resource=p_00000003",
        "4 - state=OPEN tags=C",
    ]
    assert [ticket["id"] for ticket in client.get("/tickets", headers=JSON).json["tickets"]] == [1, 3, 4]


def test_tickets_are_filtered_by_state(client, tickets):
    assert client.get("/tickets?state=failed").text.startswith("3 - ")
    assert client.get("/tickets?state=CLOSED").text.startswith("2 - ")
    assert client.get("/tickets?state=NONE").status_code == 400
