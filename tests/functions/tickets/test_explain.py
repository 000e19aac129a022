import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.tickets import waiting
from tests.waiting import until

JSON = {"Accept": "application/json"}
VMS = {
    "pool": "vms",
    "max": 2,
    "living": 2,
    "taken": 2,
    "starting": 0,
    "about_to_start": 0,
    "holds": [{"reason": "at_max", "count": 2}],
    "sentence": "is at its max of 2, all taken",
}
FULL = {"why": "pool vms is at its max of 2, all taken", "brief": "pool vms at its max of 2", "pools": [VMS]}


def take(client, *tags, sandbox=None):
    fields = {"tag": list(tags)} | ({"sandbox": sandbox} if sandbox else {})
    return int(client.post("/tickets", data=fields).text)


def test_a_waiting_ticket_is_explained_for_people(client, scheduler):
    for _ in range(3):
        take(client, "A")
    scheduler.show_waiting({"tags": ["A"], "ids": [1, 3], **FULL})
    with scheduler.leading():
        assert client.get("/tickets/3/explain").text == (
            "Ticket 3 has waited for 0 s for a resource with these tags: A\n"
            "1 ticket is ahead of it.\n"
            "How long it will take is unknown: its pools have not done enough yet to estimate it.\n"
            "\n"
            "pool vms is at its max of 2, all taken\n"
        )
        assert client.get("/tickets/3/explain?brief=1").text == "2nd in line; pool vms at its max of 2\n"
        assert client.get("/tickets/3/output").text == (
            "Ticket 3 still waits: 2nd in line; pool vms at its max of 2.\n"
        )


def test_programs_get_the_same_as_json(client, scheduler, ticket):
    scheduler.show_waiting({"tags": ["A"], "ids": [1], **FULL}, at=5.0)
    with scheduler.leading():
        explained = client.get("/tickets/1/explain", headers=JSON).json
        shown = client.get("/tickets/1").json
    for fields in (explained, shown):
        assert (fields["place"], fields["before"], fields["why"]) == (1, 0, FULL["why"])
        assert (fields["pools"], fields["nearest_tags"], fields["as_of"]) == ([VMS], {}, 5.0)
        assert fields["estimate"] == {"seconds": None, "low": None, "high": None, "confidence": "none"}
    assert (explained["id"], explained["state"]) == (1, "OPEN")
    assert explained["text"][-1].startswith("The scheduler reported this ")


def test_tickets_with_other_tags_for_the_same_pools_count_as_ahead(client, scheduler):
    """Given tickets for the same pool, another one, and with on-demand tags, when asked, then the right ones count."""
    for _ in range(6):
        take(client, "A")
    scheduler.show_waiting(
        {"tags": ["A"], "ids": [2, 4], **FULL},
        {"tags": ["A", "B"], "ids": [1, 5], **FULL},
        {"tags": ["C"], "ids": [3], **FULL, "pools": [{"pool": "other"}]},
        {"tags": ["X"], "ids": [6], **FULL, "on_demand": True},
    )
    with scheduler.leading():
        found = {id: client.get(f"/tickets/{id}").json for id in (2, 4)}
    # Before 4: 1 and 2, which have lower numbers, and 6, which has an on-demand tag.
    assert [(one["place"], one["before"]) for one in found.values()] == [(1, 2), (2, 3)]


def test_an_estimate_counts_down_and_goes_beyond_the_forecast(client, scheduler):
    for _ in range(3):
        take(client, "A")
    now = time.time()
    forecast = {"arrivals": [[now + 240, "high"]], "each": 60}
    scheduler.show_waiting({"tags": ["A"], "ids": [1, 2, 3], **FULL, "forecast": forecast})
    with scheduler.leading():
        first, third = (client.get(f"/tickets/{id}").json["estimate"] for id in (1, 3))
        brief = client.get("/tickets/1/explain?brief=1").text
    assert 235 <= first["seconds"] <= 240
    assert (first["confidence"], third["confidence"]) == ("high", "low")
    assert first["low"] < first["seconds"] < first["high"]
    assert 355 <= third["seconds"] <= 360
    assert brief == "1st in line; pool vms at its max of 2; about 4 min\n"


def test_an_explanation_names_tags_that_no_pool_has_and_the_nearest_ones(client, scheduler):
    take(client, "x86_46", "made-up")
    scheduler.show_pools({"name": "vms", "offers": {"x86_64": 0, "arm": 0}, "max": 1})
    why = "no configured pool has the tags made-up, x86_46"
    scheduler.show_waiting({"tags": ["made-up", "x86_46"], "ids": [1], "missing": ["made-up", "x86_46"], "why": why})
    with scheduler.leading():
        assert client.get("/tickets/1").json["nearest_tags"] == {"made-up": None, "x86_46": "x86_64"}
        assert client.get("/tickets/1/explain?brief=1").text == f"{why} (did you mean x86_64?)\n"
        assert client.get("/tickets/1/explain").text.endswith(f"\nIt waits because {why} (did you mean x86_64?).\n")


def test_resources_of_the_ticket_s_own_sandbox_come_first(client, scheduler):
    take(client, "A", sandbox="mine")
    take(client, "A", sandbox="other")
    own = {"tags": ["A"], "sandbox": "mine", "sentence": "1 of its own sandbox is being released"}
    known = {**FULL, "forecast": {"arrivals": [[time.time() + 240, "high"]] * 2}}
    scheduler.show_waiting({"tags": ["A"], "ids": [1, 2], **known}, own=[own])
    with scheduler.leading():
        brief = client.get("/tickets/1/explain?brief=1").text
        assert brief == "1st in line; 1 of its own sandbox is being released; at most about 4 min\n"
        assert "\n1 of its own sandbox is being released.\n" in client.get("/tickets/1/explain").text
        found = [client.get(f"/tickets/{id}").json["estimate"] for id in (1, 2)]
        assert [(one["low"] > 0, one["confidence"]) for one in found] == [(False, "low"), (True, "high")]
        assert "own sandbox" not in client.get("/tickets/2/explain").text


def test_an_explanation_says_that_no_scheduler_is_running(client, scheduler, ticket):
    scheduler.show_waiting({"tags": ["A"], "ids": [1], **FULL})
    assert client.get("/tickets/1/explain?brief=1").text == "no scheduler is running\n"
    assert client.get("/tickets/1/explain").text.endswith("\nIt waits because no scheduler is running.\n")


def test_an_explanation_says_when_the_view_is_old(client, scheduler, ticket):
    scheduler.show_waiting({"tags": ["A"], "ids": [1], **FULL}, at=time.time() - 600)
    with scheduler.leading():
        brief = client.get("/tickets/1/explain?brief=1").text
    assert brief == "1st in line; pool vms at its max of 2 (as the scheduler reported 10 min ago)\n"


@pytest.mark.parametrize(
    "view",
    [
        b'{"groups": [{"tags": ["A"], "ids": [1]}]}',
        b'{"groups": [{"tags": ["A"], "ids": [1], "case": 1}], "cases": [{}]}',
        b'{"groups": [{"tags": ["A"], "ids": [1], "case": 0}], "cases": [{"pools": [{"sentence": "is full"}]}]}',
    ],
)
def test_a_corrupt_view_counts_as_none(client, scheduler, ticket, view, monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", 0)
    scheduler.store.show("waiting.json", view)
    with scheduler.leading():
        assert client.get("/tickets/1/explain?brief=1").text == "the scheduler has not looked at it yet\n"


def test_a_served_ticket_is_explained_with_its_resource(client, scheduler, ticket):
    scheduler.assign(1, assigned_at=100.0, created_at=40.0)
    assert client.get("/tickets/1/explain").text == (
        "Ticket 1 was taken at 1970-01-01 00:00:40 UTC, for the tags: A\n"
        "It got resource 1 (p_00000001) of pool p at 1970-01-01 00:01:40 UTC, after 60 s.\n"
    )
    brief = client.get("/tickets/1/explain?brief=1").text
    assert brief == "has resource 1 (p_00000001) since 1970-01-01 00:01:40 UTC\n"


def test_a_failed_ticket_is_explained_with_the_reason(client, scheduler, ticket):
    scheduler.assign(1)
    scheduler.fail(1, "livecheck failed 3 times in a row")
    text = "failed at 1970-01-01 00:00:06 UTC: livecheck failed 3 times in a row"
    assert client.get("/tickets/1/explain?brief=1").text == f"{text}\n"
    assert f"\nIt {text}.\n" in client.get("/tickets/1/explain").text
    assert client.get("/tickets/1/explain", headers=JSON).json["summary"] == text


def test_a_ticket_closed_without_a_resource_is_explained(client, ticket):
    client.delete("/tickets/1")
    lines = client.get("/tickets/1/explain").text.splitlines()
    assert lines[1] == "It never had a resource."
    assert lines[2].startswith("It was closed at ")


def test_a_closed_ticket_is_explained_with_what_its_client_said_about_the_resource(client, scheduler, ticket):
    scheduler.assign(1)
    client.delete("/tickets/1?bad=no%20network")
    assert client.get("/tickets/1/explain").text.endswith("\nIts client called the resource bad: no network\n")


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [("2/explain", 404, "id"), ("x/explain", 400, "id"), ("1/explain?brief=2", 400, "brief")],
)
def test_a_wrong_request_is_refused_and_named(client, ticket, path, status, field):
    reply = client.get(f"/tickets/{path}", headers=JSON)
    assert (reply.status_code, reply.json["error"]["field"]) == (status, field)


def test_the_explanation_of_a_new_ticket_waits_for_the_next_pass(client, app, scheduler, ticket):
    """Given a view without the new ticket, when it is explained, then the reply comes with the next view."""
    scheduler.show_waiting()
    parking = app.extensions["resalloc"].parking
    with scheduler.leading(), ThreadPoolExecutor(1) as pool:
        reply = pool.submit(lambda: app.test_client().get("/tickets/1/explain?brief=1").text)
        until(lambda: len(parking) == 1, what="the wait for a pass")
        scheduler.show_waiting({"tags": ["A"], "ids": [1], **FULL})
        assert reply.result(10) == "1st in line; pool vms at its max of 2\n"


def test_the_explanation_of_a_new_ticket_ends_when_it_is_served(client, app, scheduler, ticket):
    parking = app.extensions["resalloc"].parking
    with scheduler.leading(), ThreadPoolExecutor(1) as pool:
        reply = pool.submit(lambda: app.test_client().get("/tickets/1/explain?brief=1").text)
        until(lambda: len(parking) == 1, what="the wait for a pass")
        scheduler.assign(1)
        assert reply.result(10).startswith("has resource 1 ")


def test_an_older_ticket_is_explained_at_once(client, app, scheduler, store, ticket, monkeypatch):
    monkeypatch.setattr(app.extensions["resalloc"], "clock", lambda: time.time() + waiting.FRESH)
    monkeypatch.setattr(waiting, "PATIENCE", 60)
    with scheduler.leading():
        assert client.get("/tickets/1/explain?brief=1").text == "the scheduler has not looked at it yet\n"
