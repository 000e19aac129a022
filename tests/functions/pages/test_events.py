"""The page of events, and the tickets on the page of a resource."""

import time
from datetime import UTC, datetime

import msgspec
import pytest

from state.documents import Event

DAY = datetime.now(UTC).strftime("%Y-%m-%d")


@pytest.fixture
def write(store):
    """Writes events into the file of today, as the leader does."""

    def append(*events: Event) -> None:
        with (store.root / "events" / f"{DAY}.jsonl").open("ab") as file:
            file.write(b"".join(msgspec.json.encode(event) + b"\n" for event in events))

    return append


def event(number: int, **fields) -> Event:
    usual = {"kind": "resource", "event": "start succeeded", "before": "STARTING", "after": "UP", "actor": "hook"}
    return Event(
        at=time.time() - 100 + number, n=number, resource=number, name=f"p_{number}", pool="p", **usual | fields
    )


def test_the_newest_events_come_first_with_subject_reason_and_actor(browser, write):
    write(event(1), event(2, reason="because of <b>it</b>", actor="operator"))
    page = browser.page("/events")
    assert page.index("p_2") < page.index("p_1")
    assert "because of &lt;b&gt;it&lt;/b&gt;" in page
    assert "STARTING → UP" in page
    assert '<a href="/resources/2">p_2</a>' in page


def test_the_deadline_of_a_drain_is_shown(browser, write):
    write(event(1), event(2, kind="pool", event="mode changed", until=1772363800.0, reason="alice"))
    page = browser.page("/events")
    assert page.count('until <time datetime="2026-03-01T11:16:40Z">') == 1
    assert "</time>: alice" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("pool=p&resource=&ticket=&since=", {1, 2, 3}),
        ("pool=q", set()),
        ("resource=2", {2}),
        ("resource=p_3", {3}),
        ("ticket=7", {3}),
        ("since=1h", {1, 2, 3}),
    ],
)
def test_events_are_filtered(browser, write, query, found):
    write(event(1), event(2), event(3, ticket=7))
    page = browser.page(f"/events?{query}")
    assert {number for number in (1, 2, 3) if f">p_{number}<" in page} == found


@pytest.mark.parametrize("query", ["ticket=x", "since=soon", "before=x", "colour=red", "pool=a&pool=b", "follow=1"])
def test_wrong_queries_are_reported_on_a_page(browser, query):
    reply = browser.get(f"/events?{query}")
    assert (reply.status_code, reply.mimetype) == (400, "text/html")


def test_earlier_events_are_linked(browser, write):
    write(*(event(number) for number in range(1, 151)))
    page = browser.page("/events?pool=p")
    assert page.count("<tr data-key") == 100
    earlier = page.partition('href="/events?pool=p&amp;resource=&amp;ticket=&amp;since=&amp;before=')[2].partition('"')[
        0
    ]
    page = browser.page(f"/events?pool=p&before={earlier}")
    assert page.count("<tr data-key") == 50
    assert ">newest</a>" in page


def test_a_resource_shows_the_tickets_that_had_it(client, browser, scheduler):
    client.post("/tickets", data={"tag": "A"})
    since = time.time() - 300
    let_go = Event(at=since + 60, n=2, event="let go", before="UP", after="UP", ticket=9, since=since, actor="leader")
    scheduler.resource(1, history=(Event(at=since - 9, n=1, event="start succeeded", after="UP", actor="hook"), let_go))
    scheduler.assign(1)
    page = browser.page("/resources/1")
    assert "Tickets that had it" in page
    assert page.index('<th scope="row"><a href="/tickets/1">') < page.index('<th scope="row"><a href="/tickets/9">')
    assert "60 s" in page


def test_other_clients_get_lines_or_json(client, write):
    write(event(1))
    assert client.get("/events").mimetype == "text/plain"
    assert client.get("/events", headers={"Accept": "application/json"}).is_json
