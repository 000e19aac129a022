import subprocess

import pytest

from state.documents import Intent, IntentKind, ResourceState


@pytest.fixture
def farm(client, scheduler):
    """1 taken, 2 free, 3 starting, 4 free with a failed check, 5 released, 6 ended; ticket 1 has resource 1."""
    tags = {"A": 0, "B": -5}
    scheduler.resource(1, tags=tags)
    scheduler.resource(2, tags=tags, sandbox="box", sandboxed_since=3.0, releases_counter=1, released_at=9.0)
    scheduler.resource(3, state=ResourceState.STARTING, data=None)
    scheduler.resource(4, check_failed_count=1)
    for _ in range(2):
        client.post("/tickets", data={"tag": "A"})
    scheduler.assign(1, resource=1, sandbox="mine")
    scheduler.assign(2, resource=5)
    client.delete("/tickets/2")
    scheduler.resource(5, released_ticket=2)
    scheduler.ended(6)


def intents(store) -> list[Intent]:
    return [store.intents.read(number) for number in sorted(store.intents.living())]


def test_each_living_resource_is_a_line(client, farm):
    assert client.get("/resources").text.splitlines() == [
        "1 - p_00000001 pool=p tags=A,B status=UP releases=0 ticket=1",
        "2 - p_00000002 pool=p tags=A,B status=UP releases=1 ticket=NULL",
        "3 - p_00000003 pool=p tags= status=STARTING releases=0 ticket=NULL",
        "4 - p_00000004 pool=p tags= status=UP releases=0 ticket=NULL",
        "5 - p_00000005 pool=p tags= status=UP releases=0 ticket=NULL",
    ]


def test_resources_are_filtered_by_state(client, farm):
    assert client.get("/resources?state=starting").text.startswith("3 - ")
    assert [
        one["id"] for one in client.get("/resources?state=UP", headers={"Accept": "application/json"}).json["resources"]
    ] == [
        1,
        2,
        4,
        5,
    ]


@pytest.mark.parametrize(("query", "field"), [("state=GONE", "state"), ("format=xml", "format"), ("up=1", "up")])
def test_wrong_parameters_are_named(client, query, field):
    reply = client.get(f"/resources?{query}", headers={"Accept": "application/json"})
    assert (reply.status_code, reply.json["error"]["field"]) == (400, field)


def test_a_taken_resource_shows_the_sandbox_of_its_ticket(client, farm):
    found = client.get("/resources/1").json
    first = ("id", "name", "user", "data", "pool", "state", "check_last_time", "check_failed_count", "ticket_id")
    first += ("sandbox", "sandboxed_since", "released_at", "releases_counter")
    assert tuple(found)[:13] == first
    assert [found[name] for name in ("id", "data", "ticket_id", "sandbox", "sandboxed_since")] == [
        1,
        "10.0.0.1",
        1,
        "mine",
        5.0,
    ]


def test_a_resource_is_shown_with_one_field_per_line(client, farm):
    assert client.get("/resources/6").text.splitlines()[:3] == ["{", '    "id": 6,', '    "name": "p_00000006",']


def test_a_released_resource_shows_the_sandbox_that_it_keeps(client, farm):
    found = client.get("/resources/p_00000002").json
    assert [found[name] for name in ("id", "ticket_id", "sandbox", "sandboxed_since")] == [2, None, "box", 3.0]


def test_ended_resources_are_found_by_id_and_name(client, farm):
    assert client.get("/resources/6").json["state"] == "ENDED"
    assert client.get("/resources/p_00000006").json["id"] == 6


@pytest.mark.parametrize("name", ["vm1{id}", "{id}{datetime}", "{datetime}-{id}-x", "{id}"])
def test_an_ended_resource_is_found_wherever_its_name_has_its_id(client, scheduler, name):
    name = name.format(id="00000006", datetime="20260301_120000")
    scheduler.ended(6, name=name)
    assert client.get(f"/resources/{name}").json["id"] == 6


def test_an_unknown_name_does_not_cost_a_read_of_every_ended_resource(client, scheduler, store, monkeypatch):
    scheduler.record(options={"name_pattern": "{pool_name}_{id}_{datetime}"})
    for number in range(1, 31):
        scheduler.ended(number)
    read, numbers = store.resources.read, []
    monkeypatch.setattr(store.resources, "read", lambda number: (numbers.append(number), read(number))[1])
    assert client.get("/resources/p_00000099_20260301_120000").status_code == 404
    assert client.get("/resources/nope").status_code == 404
    assert numbers == [20260301, 99]


def test_of_ended_resources_with_the_same_name_the_newest_is_found(client, scheduler):
    """Given a pool whose names have no id, when a name is looked up, then ended resources are searched for it."""
    scheduler.record(options={"name_pattern": "gone"})
    for number in (1, 999, 1000, 2):
        scheduler.ended(number, name="gone")
    assert client.get("/resources/gone").json["id"] == 1000


def test_a_living_resource_wins_over_an_ended_one_with_its_name(client, scheduler, farm):
    scheduler.resource(7, name="p_00000006")
    assert client.get("/resources/p_00000006").json["id"] == 7


def test_a_request_sees_what_an_earlier_one_did(client, farm):
    """Given the cached read model, when a ticket is taken or closed, then the next list shows it."""
    assert [line.split(" ")[0] for line in client.get("/tickets").text.splitlines()] == ["1"]
    for number in range(3, 13):
        client.post("/tickets", data={"tag": "B"})
        assert f"{number} - state=OPEN" in client.get("/tickets").text
        client.delete(f"/tickets/{number}")
        assert f"{number} - " not in client.get("/tickets").text


@pytest.mark.parametrize("wanted", ["99", "nope", "0", "9" * 30, "é", "..%2f.."])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_resources_are_refused(client, farm, wanted, method):
    assert client.open(f"/resources/{wanted}", method=method).status_code == 404


def test_a_delete_writes_an_intent(client, store, farm):
    reply = client.delete("/resources/p_00000001")
    assert (reply.status_code, reply.text) == (202, "deleted 1 p_00000001\n")
    (intent,) = intents(store)
    found = (intent.kind, intent.resource, intent.unused_only, intent.reason, intent.by)
    assert found == (IntentKind.DELETE_RESOURCE, 1, False, "deleted by an operator (127.0.0.1)", "127.0.0.1")


def test_an_ended_resource_is_not_deleted(client, store, farm):
    assert client.delete("/resources/6").status_code == 404
    assert intents(store) == []


def test_several_are_deleted_and_unknown_names_reported(client, store, farm):
    reply = client.post("/resources/delete", data={"resource": ["p_00000002", "3", "nope", "3", "6"]})
    assert reply.status_code == 202
    assert reply.text == "deleted 2 p_00000002\ndeleted 3 p_00000003\nunknown 'nope'\nunknown '6'\n"
    assert [intent.resource for intent in intents(store)] == [2, 3]


def test_all_means_all_up_resources(client, store, farm):
    reply = client.post("/resources/delete", json={"all": True})
    assert [one["id"] for one in reply.json["deleted"]] == [1, 2, 4, 5]
    assert [(intent.resource, intent.unused_only) for intent in intents(store)] == [(n, False) for n in (1, 2, 4, 5)]


def test_unused_means_up_free_and_passing_the_livecheck(client, store, farm):
    client.post("/resources/delete", data={"unused": "1"})
    assert [(intent.resource, intent.unused_only) for intent in intents(store)] == [(2, True), (5, True)]


@pytest.mark.parametrize(
    "body", [{}, {"all": "1", "unused": "1"}, {"resource": "1", "all": "1"}, {"all": "x"}, {"some": "1"}]
)
def test_a_delete_without_or_with_several_selections_is_refused(client, store, farm, body):
    assert client.post("/resources/delete", data=body).status_code == 422
    assert intents(store) == []


def test_a_shell_can_read_names_states_and_data(client, scheduler):
    scheduler.resource(1, name="a b'c", data="é\t\\ x\ny\n".encode())
    scheduler.resource(2, data=None, state=ResourceState.STARTING)
    scheduler.resource(3, data=b"\xff'\"$(x)`")
    script = r"""
    tab=$(printf '\t')
    while IFS=$tab read -r id name state data; do
        name=$(printf %b "$name") data=$(printf %b "$data")
        printf '%s<%s><%s><%s>\n' "$id" "$name" "$state" "$data"
    done
    """
    shown = subprocess.run(
        ["sh", "-c", script], input=client.get("/resources?format=shell").data, stdout=-1, check=True
    ).stdout
    assert shown == (
        "1<a b'c><UP><é\t\\ x\ny>\n".encode() + b"2<p_00000002><STARTING><>\n" + b"3<p_00000003><UP><\xff'\"$(x)`>\n"
    )


def test_the_format_for_shells_is_plain_ascii(client, scheduler):
    scheduler.resource(1, name="š", data=bytes(range(256)))
    line = client.get("/resources?format=shell").data
    assert all(32 <= byte < 127 for byte in line.replace(b"\t", b"", 3).removesuffix(b"\n"))


def test_a_document_that_cannot_be_read_is_left_out(client, store, farm):
    store.resources.path(1).write_text("{")
    assert client.get("/resources").text.startswith("2 - ")
