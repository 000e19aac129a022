import time

import pytest

from state.documents import Intent, IntentKind, PoolMode, ResourceState

VERBS = ("pause", "resume", "drain", "retry")


@pytest.fixture(autouse=True)
def pool(scheduler):
    scheduler.record("p", options={"max": 4})


def intents(store) -> list[Intent]:
    return [store.intents.read(number) for number in sorted(store.intents.living())]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_writes_an_intent_with_operator_and_reason(client, store, verb):
    reply = client.post(f"/pools/p/{verb}", data={"reason": " new\n image "}, headers={"Resalloc-User": "alice"})
    assert (reply.status_code, reply.text[:8]) == (202, "pool p: ")
    (intent,) = intents(store)
    found = (intent.kind, intent.pool, intent.resource, intent.reason, intent.by, intent.until)
    assert found == (IntentKind(f"{verb.upper()}_POOL"), "p", None, "new image", "alice", None)


def test_without_a_name_the_operator_is_the_address(client, store):
    assert client.post("/pools/p/pause").status_code == 202
    assert [(intent.by, intent.reason) for intent in intents(store)] == [("127.0.0.1", None)]


def test_programs_get_json(client):
    reply = client.post("/pools/p/pause", json={"reason": "x"})
    assert (reply.status_code, reply.json["pool"], reply.json["verb"]) == (202, "p", "pause")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", ["q", "..", "%00", "x" * 300, "p%2fq", "é"])
def test_unknown_pools(client, store, verb, name):
    assert client.post(f"/pools/{name}/{verb}").status_code == 404
    assert intents(store) == []


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        ({"reason": "x" * 256}, {}, 422),
        ({"reason": "\x1b[1m"}, {}, 422),
        ({"why": "x"}, {}, 422),
        ({}, {"Resalloc-User": "x" * 256}, 400),
        ({}, {"Resalloc-User": "x\x7f"}, 400),
    ],
)
@pytest.mark.parametrize("verb", VERBS)
def test_wrong_requests_are_refused(client, store, verb, data, headers, status):
    assert client.post(f"/pools/p/{verb}", data=data, headers=headers).status_code == status
    assert intents(store) == []


@pytest.mark.parametrize("text", ["+2h", "2h", "120m", "1h60m", "7200s", "7200", " 0d2h"])
def test_a_drain_may_have_a_deadline(client, store, text):
    before = time.time()
    reply = client.post("/pools/p/drain", json={"by": text})
    assert reply.status_code == 202
    (intent,) = intents(store)
    assert intent.until is not None
    assert before + 7200 <= intent.until <= time.time() + 7200


def test_a_deadline_may_be_a_time_of_day(client, store):
    assert client.post("/pools/p/drain", data={"by": "23:59"}).status_code == 202
    assert [time.strftime("%H:%M:%S", time.localtime(intent.until)) for intent in intents(store)] == ["23:59:00"]


def test_a_deadline_may_be_a_time(client, store):
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    assert client.post("/pools/p/drain", data={"by": at}).status_code == 202
    assert [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(intent.until)) for intent in intents(store)] == [at]


@pytest.mark.parametrize(
    "text",
    ["", "soon", "+", "0h", "2x", "367d", "9999999999d", "2001-01-01", "9999-01-01", "-1h", "25:00", "1e3", "١h"],
)
def test_bad_times_are_refused(client, store, text):
    reply = client.post("/pools/p/drain", data={"by": text}, headers={"Accept": "application/json"})
    assert (reply.status_code, reply.json["error"]["field"]) == (422, "by")
    assert intents(store) == []


def test_a_drain_says_what_is_left(client, scheduler):
    reply = client.post("/pools/p/drain")
    assert reply.text == "pool p: nothing starts in it, and it has no resources left\n"
    for number, state in enumerate(ResourceState, 1):
        scheduler.resource(number, state=state)
    scheduler.resource(8)
    client.post("/tickets", data={"tag": "A"})
    scheduler.assign(1, resource=8)
    assert client.post("/pools/p/drain").text == (
        "pool p: nothing starts in it and nothing is assigned: 1 free are deleted now, 2 are deleted when they have "
        "started or are released, 2 are already being deleted, 1 taken are deleted when their tickets are closed, "
        "no deadline\n"
    )
    assert client.post("/pools/p/drain", data={"by": "2h"}).text.endswith(" UTC at the latest\n")


def test_a_draining_pool_is_not_paused(client, scheduler, store):
    scheduler.record("p", mode=PoolMode.DRAINING)
    reply = client.post("/pools/p/pause", headers={"Accept": "application/json"})
    assert (reply.status_code, reply.json["error"]["code"]) == (409, "pool_drains")
    assert intents(store) == []


def test_a_retry_reports_what_happens_next(client, scheduler):
    assert client.post("/pools/p/retry").text == "pool p: it has no failed starts to forget\n"
    scheduler.record("p", paused_until=5.0)
    assert client.post("/pools/p/retry").text.endswith("it tries again at once\n")
    scheduler.record("p", paused_until=5.0, mode=PoolMode.PAUSED)
    assert client.post("/pools/p/retry").text.endswith("it starts nothing while it is PAUSED\n")


def test_pools_show_the_number_of_bad_resources(client, scheduler):
    assert "bad" not in client.get("/pools").text
    scheduler.record("p", bad_resources=3)
    assert client.get("/pools").text.endswith(" releasing=0 bad=3\n")


def test_pools_show_their_mode(client, scheduler):
    scheduler.record("p", mode=PoolMode.DRAINING, mode_since=1.0, mode_by="alice", mode_reason="why", drained_at=0.0)
    assert client.get("/pools").text.endswith(" releasing=0 mode=DRAINING drained_at=1970-01-01T00:00:00Z\n")
    (shown,) = client.get("/pools", headers={"Accept": "application/json"}).json["pools"]
    found = [shown[name] for name in ("mode", "mode_since", "mode_by", "mode_reason", "drain_until", "drained_at")]
    assert found == ["DRAINING", 1.0, "alice", "why", None, 0.0]
