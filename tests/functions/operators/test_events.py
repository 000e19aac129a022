"""GET /events: the newest matching events, later and earlier ones, and the stream."""

import threading
import time
from collections.abc import Callable
from itertools import islice

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from functions.operators.events import event_waiters
from state.documents import Event
from state.files.store import FileStore
from tests.waiting import until

NOW = float(int(time.time()))


def an_event(number: int, **fields: object) -> Event:
    """The event with this number, as many seconds after the first; of resource 1 or 2 in turn, each with its ticket."""
    resource = number % 2 + 1
    defaults: dict[str, object] = {
        "at": NOW - 1000 + number,
        "kind": "ticket",
        "n": 2,
        "event": "assigned",
        "before": "OPEN",
        "after": "OPEN",
        "pool": "vm",
        "resource": resource,
        "name": f"vm_{resource}",
        "ticket": number,
        "actor": "leader",
    }
    return Event(**{**defaults, **fields})  # type: ignore[arg-type]


@pytest.fixture
def write(store: FileStore) -> Callable[..., None]:
    def write(*events: Event) -> None:
        store.events.append(events, NOW)

    return write


@pytest.fixture
def twenty(write: Callable[..., None]) -> None:
    write(*map(an_event, range(1, 21)))


def ask(client: FlaskClient, **query: object) -> dict:
    reply = client.get("/events", query_string=query, headers={"Accept": "application/json"})
    assert reply.status_code == 200
    return reply.get_json()


def tickets(reply: dict) -> list[int]:
    return [event["ticket"] for event in reply["events"]]


def test_newest_events_are_listed_with_the_oldest_first(client: FlaskClient, twenty: None) -> None:
    assert tickets(ask(client, limit=3)) == [18, 19, 20]
    assert tickets(ask(client)) == list(range(1, 21))
    assert tickets(ask(client, limit=0)) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"resource": "1"}, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
        ({"resource": "vm_2", "limit": 2}, [17, 19]),
        ({"ticket": "2"}, [2]),
        ({"ticket": "2", "resource": "2"}, []),
        ({"pool": "vm", "limit": 1}, [20]),
        ({"pool": "v"}, []),
        ({"since": f"{NOW - 1000 + 19:.0f}"}, [19, 20]),
        ({"since": f"{NOW - 1000 + 5:.0f}", "until": f"{NOW - 1000 + 7:.0f}", "resource": "1"}, [6]),
    ],
)
def test_events_are_filtered(client: FlaskClient, twenty: None, query: dict, expected: list[int]) -> None:
    assert tickets(ask(client, **query)) == expected


def test_each_event_is_a_line(client: FlaskClient, write: Callable[..., None]) -> None:
    began = {"kind": "resource", "at": 1772360100.0, "before": "UP", "after": "DELETE_REQUEST", "since": 1772360000.0}
    pool = {"kind": "pool", "at": 1772360200.0, "before": "not in the file", "after": "in the file"}
    drain = {"kind": "pool", "at": 1772360200.0, "before": "ACTIVE", "after": "DRAINING", "until": 1772363800.0}
    write(
        an_event(7, at=1772360190.5),
        an_event(7, event="delete asked", actor="operator", reason="bad \x1b[31mdisk\nreally", **began),
        Event(event="configured", pool="vm", actor="operator", **pool),
        Event(event="mode changed", pool="vm", actor="operator", reason="alice: new image", **drain),
        Event(at=1772360200.0, kind="leader", event="leads", actor="leader", reason="process 1 on host"),
    )
    assert client.get("/events").text.splitlines() == [
        "2026-03-01T10:16:30.500Z ticket 7 assigned, by leader, resource 2 vm_2, pool vm",
        "2026-03-01T10:15:00.000Z resource 2 vm_2 delete asked, UP → DELETE_REQUEST, by operator, "
        "ticket 7 since 2026-03-01T10:13:20.000Z, pool vm: bad \\x1b[31mdisk\\x0areally",
        "2026-03-01T10:16:40.000Z pool vm configured, not in the file → in the file, by operator",
        "2026-03-01T10:16:40.000Z pool vm mode changed, ACTIVE → DRAINING, by operator, "
        "until 2026-03-01T11:16:40.000Z: alice: new image",
        "2026-03-01T10:16:40.000Z leader leads, by leader: process 1 on host",
    ]


def test_json_has_all_fields_of_the_line(client: FlaskClient, store: FileStore) -> None:
    """Given a line with a field of a newer version, then the JSON has this field and the id."""
    line = b'{"at":1.5,"kind":"ticket","event":"taken","ticket":7,"actor":"client","colour":"red"}'
    store.events.path("2026-03-01").write_bytes(line + b"\n")
    (event,) = ask(client)["events"]
    assert event == {"id": f"2026-03-01:{len(line) + 1}", **msgspec.json.decode(line)}


def test_reading_continues_where_it_ended(client: FlaskClient, write: Callable[..., None], twenty: None) -> None:
    """Given the end of a reply, when asked for what follows, then each later event is listed once, in order."""
    reply = ask(client)
    assert tickets(ask(client, after=reply["next"])) == []
    write(*map(an_event, range(21, 26)))
    first = ask(client, after=reply["next"], limit=2)
    second = ask(client, after=first["next"], resource=2)
    assert (tickets(first), tickets(second)) == ([21, 22], [23, 25])
    assert tickets(ask(client, after=second["next"])) == []
    assert tickets(ask(client, after=second["events"][0]["id"])) == [24, 25]


def test_reading_backwards_continues_where_it_ended(client: FlaskClient, twenty: None) -> None:
    """Given more events than fit, when asked for earlier ones again and again, then all are listed."""
    found: list[int] = []
    place: dict[str, object] = {}
    while place.get("before", "") is not None:
        reply = ask(client, limit=6, **place)
        found = tickets(reply) + found
        place = {"before": reply["earlier"]}
    assert found == list(range(1, 21))
    headers = client.get("/events", query_string={"limit": 6}).headers
    assert {"Events-Next", "Events-Earlier"} <= {name for name, _ in headers}


def test_events_of_several_days_are_one_list(client: FlaskClient, store: FileStore) -> None:
    for number, days in enumerate((3, 2, 0), start=1):
        store.events.append([an_event(number, at=NOW - days * 86400)], NOW - days * 86400)
    assert tickets(ask(client)) == [1, 2, 3]
    assert tickets(ask(client, since=f"{NOW - 2.5 * 86400:.0f}")) == [2, 3]
    assert tickets(ask(client, until=f"{NOW - 2.5 * 86400:.0f}")) == [1]


def test_corrupt_lines_are_skipped(client: FlaskClient, store: FileStore, write: Callable[..., None]) -> None:
    write(an_event(1))
    with store.events.path(store.events.end().day).open("ab") as file:
        file.write(b'\xff\xfe\n\0\0\n[]\n{}\n{"at":"x"}\n')
    write(an_event(2))
    store.events.path("2020-01-01").mkdir()
    assert tickets(ask(client)) == [1, 2]


def test_one_reply_searches_a_limited_part_of_the_files(
    client: FlaskClient, twenty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given large files, when nothing matches for long, then the reply says where to continue the search."""
    monkeypatch.setattr("state.files.events._CHUNK", 100)
    monkeypatch.setattr("functions.operators.events.MOST_PIECES", 5)
    reply = ask(client, ticket=1)
    assert reply["events"] == []
    for _ in range(20):
        if reply["earlier"] is None or reply["events"]:
            break
        reply = ask(client, ticket=1, before=reply["earlier"])
    assert tickets(reply) == [1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "1001"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"since": "yesterday"}, "since"),
        ({"since": "9" * 400}, "since"),
        ({"until": "2999-01-01"}, "until"),
        ({"ticket": "x"}, "id"),
        ({"ticket": "0"}, "id"),
        ({"resource": "9" * 30}, "id"),
        ({"after": "x"}, "after"),
        ({"after": "2026-03-01:x"}, "after"),
        ({"before": "../../x:1"}, "before"),
        ({"wait": "61"}, "wait"),
        ({"follow": "maybe"}, "follow"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_queries_are_refused(client: FlaskClient, query: dict, field: str) -> None:
    reply = client.get("/events", query_string=query, headers={"Accept": "application/json"})
    assert (reply.status_code, reply.get_json()["error"]["field"]) == (400, field)


@pytest.mark.parametrize("resource", ["<b>", "a\nb", "\0", "x" * 5000, '"', "ž"])
def test_an_unknown_name_finds_nothing(client: FlaskClient, twenty: None, resource: str) -> None:
    assert ask(client, resource=resource)["events"] == []


def test_a_wait_ends_with_the_next_matching_event(
    client: FlaskClient, app: Flask, write: Callable[..., None], twenty: None
) -> None:
    """Given a waiting request, when other events happen, then it keeps waiting; a matching event ends the wait."""
    place = ask(client)["next"]
    replies: list[dict] = []
    waiting = threading.Thread(
        target=lambda: replies.append(ask(app.test_client(), after=place, resource="1", wait=30)), daemon=True
    )
    waiting.start()
    until(lambda: len(app.extensions["resalloc"].shared(event_waiters)) == 1, what="the wait")
    write(an_event(21))
    write(an_event(22))
    waiting.join(10)
    assert [tickets(reply) for reply in replies] == [[22]]


def test_a_wait_without_events_ends_in_time(client: FlaskClient, twenty: None) -> None:
    place = ask(client)["next"]
    reply = ask(client, after=place, wait=0.05)
    assert (reply["events"], reply["next"]) == ([], place)


def messages(reply, count: int) -> list[dict]:
    """The next so many messages of a stream."""
    found: list[dict] = []
    for chunk in reply:
        for block in chunk.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            if "data" in fields:
                found.append({**msgspec.json.decode(fields["data"]), "id": fields["id"]})
        if len(found) >= count:
            return found
    return found


def test_a_stream_has_past_events_then_new_ones(
    client: FlaskClient, app: Flask, write: Callable[..., None], twenty: None
) -> None:
    """Given `since`, when followed, then past events come first, and then new ones."""
    stream = client.get(
        "/events", query_string={"follow": 1, "since": f"{NOW - 3600:.0f}", "limit": 2, "resource": "1"}
    )
    assert stream.content_type == "text/event-stream"
    assert stream.headers["X-Accel-Buffering"] == "no"
    writer = threading.Thread(
        target=lambda: (
            until(lambda: len(app.extensions["resalloc"].shared(event_waiters)) == 1),
            write(an_event(21), an_event(22)),
        )
    )
    writer.start()
    assert [message["ticket"] for message in messages(stream.response, 3)] == [18, 20, 22]
    writer.join(10)
    stream.close()
    until(lambda: len(app.extensions["resalloc"].shared(event_waiters)) == 0, what="the end of the stream")


def test_a_stream_continues_after_the_last_event_that_was_received(client: FlaskClient, twenty: None) -> None:
    """Given the id of an event, when a browser reconnects, then it gets the events after it, whatever `since` is."""
    seen = ask(client, ticket=15)["events"][0]["id"]
    stream = client.get("/events", headers={"Accept": "text/event-stream", "Last-Event-ID": seen})
    assert [message["ticket"] for message in messages(stream.response, 5)] == [16, 17, 18, 19, 20]
    stream.close()


def test_a_stream_without_events_sends_signs_of_life(
    client: FlaskClient, twenty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no matching events, when some time has passed, then the stream sends its position."""
    monkeypatch.setattr("functions.operators.events.HEARTBEAT", 0.05)
    stream = client.get("/events", query_string={"pool": "other", "follow": 1})
    assert list(islice(stream.response, 2)) == [
        b"retry: 1000\n\n",
        b"id: %s\n\n" % ask(client)["next"].encode(),
    ]
    stream.close()


def test_a_wrong_last_event_id_is_refused(client: FlaskClient) -> None:
    reply = client.get("/events", headers={"Accept": "text/event-stream", "Last-Event-ID": "7"})
    assert (reply.status_code, "Last-Event-ID" in reply.text) == (400, True)
