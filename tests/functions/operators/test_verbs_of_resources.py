import time

import pytest

from state.documents import Intent, IntentKind, ResourceState
from state.files.disk import Disk

WHY = {"reason": "look"}
HELD = {"held_since": 1.0, "held_until": 9.0, "held_by": "alice", "held_reason": "look"}


@pytest.fixture(autouse=True)
def farm(client, scheduler):
    """1 taken, 2 starting, 3 held, 4 ended."""
    scheduler.record("p", options={"max": 9})
    client.post("/tickets", data={"tag": "A"})
    scheduler.resource(1)
    scheduler.assign(1, resource=1)
    scheduler.resource(2, state=ResourceState.STARTING)
    scheduler.resource(3, **HELD)
    scheduler.ended(4)


def intents(store) -> list[Intent]:
    return [store.intents.read(number) for number in sorted(store.intents.living())]


@pytest.mark.parametrize(
    ("sent", "span"),
    [({}, 86400), ({"for": "2h"}, 7200), ({"until": "+30m"}, 1800), ({"for": "7d"}, 7 * 86400)],
)
def test_a_hold_writes_an_intent_with_operator_reason_and_end(client, store, sent, span):
    before = time.time()
    reply = client.post("/resources/p_00000001/hold", data=WHY | sent, headers={"Resalloc-User": "alice"})
    assert (reply.status_code, reply.text[:25]) == (202, "resource 1 (p_00000001): ")
    assert "its ticket keeps it" in reply.text
    (intent,) = intents(store)
    found = (intent.kind, intent.resource, intent.pool, intent.by, intent.reason)
    assert found == (IntentKind.HOLD_RESOURCE, 1, None, "alice", "look")
    assert before + span <= (intent.until or 0) <= time.time() + span


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"for": "8d"}, "for"),
        ({"for": "soon"}, "for"),
        ({"until": "2001-01-01"}, "until"),
        ({"until": "8d"}, "until"),
        ({"for": "1h", "until": "1h"}, "until"),
        ({"till": "1h"}, "till"),
    ],
)
def test_wrong_holds_are_refused(client, store, sent, field):
    reply = client.post("/resources/1/hold", json=WHY | sent)
    assert (reply.status_code, reply.json["error"]["field"]) == (422, field)
    assert intents(store) == []


def test_only_up_resources_are_held(client, store):
    reply = client.post("/resources/2/hold", json=WHY)
    assert (reply.status_code, reply.json["error"]["code"]) == (409, "not_up")
    assert intents(store) == []


@pytest.mark.parametrize("verb", ["hold", "release"])
@pytest.mark.parametrize("name", ["4", "99", "nope"])
def test_unknown_and_ended_resources_are_refused(client, store, verb, name):
    assert client.post(f"/resources/{name}/{verb}", data=WHY).status_code == 404
    assert intents(store) == []


def test_a_release_writes_an_intent_even_if_nothing_is_held(client, store):
    assert client.post("/resources/3/release").text.endswith(": it is no longer held\n")
    assert client.post("/resources/1/release").text.endswith(": it is not held\n")
    found = [(intent.kind, intent.resource) for intent in intents(store)]
    assert found == [(IntentKind.RELEASE_RESOURCE, 3), (IntentKind.RELEASE_RESOURCE, 1)]


def test_held_resources_are_not_deleted(client, store):
    reply = client.delete("/resources/3")
    assert reply.status_code == 409
    assert reply.text == "Resource 3 is held (look). Release it first: resource-release 3.\n"
    reply = client.post("/resources/delete", data={"resource": ["3", "1", "nope"]})
    assert reply.text == "deleted 1 p_00000001\nunknown 'nope'\nheld 3 p_00000003: look\n"
    reply = client.post("/resources/delete", json={"all": True})
    assert ([one["id"] for one in reply.json["deleted"]], [one["id"] for one in reply.json["held"]]) == ([1], [3])
    assert client.post("/resources/delete", data={"unused": "1"}).text == ""
    assert [intent.resource for intent in intents(store)] == [1, 1]


def test_a_pending_hold_counts_as_held(client, store):
    """Given an intent to hold resource 1 that no pass has decided yet, when it is deleted, then this is refused."""
    client.post("/resources/1/hold", data={"reason": "mine"})
    assert client.delete("/resources/1").text == "Resource 1 is held (mine). Release it first: resource-release 1.\n"
    assert client.post("/resources/delete", data={"resource": "1"}).text == "held 1 p_00000001: mine\n"
    reply = client.post("/resources/delete", json={"all": True}).json
    assert ([one["id"] for one in reply["deleted"]], [one["id"] for one in reply["held"]]) == ([], [1, 3])
    assert client.post("/resources/1/release").text.endswith(": it is no longer held\n")
    assert client.delete("/resources/1").status_code == 202


def test_a_pending_release_counts_as_released(client, store):
    client.post("/resources/3/release")
    assert client.delete("/resources/3").status_code == 202
    assert [intent.kind for intent in intents(store)] == [IntentKind.RELEASE_RESOURCE, IntentKind.DELETE_RESOURCE]


def test_the_operator_of_a_hold_is_shown(client):
    found = client.get("/resources/3").json
    assert {name: found[name] for name in HELD} == HELD
    (pool,) = client.get("/pools", headers={"Accept": "application/json"}).json["pools"]
    assert (pool["up"], pool["ready"], pool["taken"], pool["held"]) == (2, 0, 1, 1)


def test_only_unused_resources_of_the_pool_are_deleted(client, scheduler, store):
    """Given taken, starting, held, failing and free resources, then only the free one of this pool is deleted."""
    scheduler.resource(5)
    scheduler.resource(6, check_failed_count=1)
    scheduler.resource(7, pool="q")
    reply = client.post("/pools/p/delete-unused", data={"reason": "an old image"}, headers={"Resalloc-User": "alice"})
    assert (reply.status_code, reply.text) == (202, "deleted 5 p_00000005\n")
    (intent,) = intents(store)
    found = (intent.kind, intent.resource, intent.unused_only, intent.by, intent.reason)
    wanted = "deleted by an operator (alice) as unused: an old image"
    assert found == (IntentKind.DELETE_RESOURCE, 5, True, "alice", wanted)


def test_deleting_unused_resources_of_an_unknown_pool_is_refused(client, store):
    assert client.post("/pools/none/delete-unused").status_code == 404
    assert client.post("/pools/p/delete-unused", data={"all": "1"}).status_code == 422
    assert client.post("/pools/p/delete-unused", json={}).json == {"deleted": [], "unknown": [], "held": []}
    assert intents(store) == []


@pytest.mark.parametrize("verb", ["hold", "release"])
def test_an_ended_resource_cannot_be_held_or_released(client, scheduler, verb):
    scheduler.ended(9)
    reply = client.post(f"/resources/9/{verb}", json={"reason": "x"})
    assert (reply.status_code, reply.json["error"]["code"]) == (404, "unknown_resource")
    assert reply.json["error"]["message"] == "Resource 9 has ended."


def test_deletes_of_many_resources_are_written_together(client, store, scheduler, monkeypatch):
    """Given many resources, when all are deleted, then their intents are durable with one sync of the folder."""
    for number in range(10, 30):
        scheduler.resource(number)
    synced = []
    sync = Disk.sync_folder
    monkeypatch.setattr(Disk, "sync_folder", lambda disk, path: (synced.append(path.name), sync(disk, path))[1])
    assert client.post("/resources/delete", data={"all": "1"}).status_code == 202
    assert [intent.resource for intent in intents(store)] == [1, *range(10, 30)]
    assert synced.count("intents") == 1
