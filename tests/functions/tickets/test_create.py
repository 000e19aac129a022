from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from config.settings import Settings
from functions.app import create_app
from state.documents import Ticket
from state.files.store import FileStore


def test_a_form_gives_the_id_as_text(client, store):
    reply = client.post("/tickets", data={"tag": ["A", "B", "A"], "sandbox": "me"})
    assert (reply.status_code, reply.text, reply.headers["Location"]) == (201, "1\n", "/tickets/1")
    assert reply.headers["Cache-Control"] == "no-store"
    ticket = store.tickets.read(1)
    assert ticket == Ticket(id=1, tags=("A", "B"), sandbox="me", created_at=ticket.created_at)
    assert ticket.created_at > 1e9


def test_json_in_gives_json_out(client, store):
    reply = client.post("/tickets", json={"tags": ["A"], "sandbox": None})
    assert reply.status_code == 201
    assert reply.json == {"id": 1, "state": "OPEN", "notice": None}
    assert store.tickets.read(1).sandbox is None


def test_a_form_in_gives_json_out_when_asked(client):
    assert client.post("/tickets", data={"tag": "A"}, headers={"Accept": "application/json"}).json["id"] == 1


def test_ids_count_up(client):
    assert [client.post("/tickets", data={"tag": "A"}).text for _ in range(3)] == ["1\n", "2\n", "3\n"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "tag"),
        ({"tag": ""}, "tag"),
        ({"tag": ["A", ""]}, "tag"),
        ({"tag": "x" * 256}, "tag"),
        ({"tag": "a\x07"}, "tag"),
        ({"tag": "a\nb"}, "tag"),
        ({"tag": "a\u2028b"}, "tag"),
        ({"tag": [str(number) for number in range(65)]}, "tag"),
        ({"tag": "A", "sandbox": ""}, "sandbox"),
        ({"tag": "A", "sandbox": "x" * 256}, "sandbox"),
        ({"tag": "A", "sandbox": ["x", "y"]}, "sandbox"),
        ({"tag": "A", "sandobx": "x"}, "sandobx"),
    ],
)
def test_a_wrong_field_of_a_form_is_refused_and_named(client, store, body, field):
    reply = client.post("/tickets", data=body, headers={"Accept": "application/json"})
    error = reply.json["error"]
    assert (reply.status_code, error["status"], error["code"], error["field"]) == (422, 422, "bad_field", field)
    assert list(store.tickets.living()) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tags": "A"}, "tags"),
        ({"tags": ["A", 1]}, "tags"),
        ({"tags": [["A"]]}, "tags"),
        ({"tags": {}}, "tags"),
        ({"tags": []}, "tags"),
        ({}, "tags"),
        ({"tags": ["A"], "sandbox": 1}, "sandbox"),
        ({"tags": ["A"], "tag": "B"}, "tag"),
    ],
)
def test_json_of_the_wrong_type_is_refused_and_named(client, body, field):
    reply = client.post("/tickets", json=body)
    assert (reply.status_code, reply.json["error"]["field"]) == (422, field)


def test_the_longest_and_the_most_tags_are_accepted(client, store):
    tags = [f"{number:0255d}" for number in range(64)]
    assert client.post("/tickets", json={"tags": tags, "sandbox": "x" * 255}).status_code == 201
    assert store.tickets.read(1).tags == tuple(tags)


def test_an_error_is_one_sentence_of_text(client):
    reply = client.post("/tickets", data={})
    assert reply.content_type == "text/plain; charset=utf-8"
    assert reply.text == "The field 'tag' must be given.\n"


POOLS = (
    {"name": "p", "offers": {"x86_64": 0, "fast": 0}, "max": 1},
    {"name": "q", "offers": {"aarch64": 0, "\xe9": 0}, "max": 1},
    {"name": "empty", "offers": {"s390x": 0}, "max": 0},
)


@pytest.mark.parametrize(
    ("tags", "notice"),
    [
        (["x86_46"], "No configured pool has the tag 'x86_46' (did you mean 'x86_64'?)."),
        (["fast", "x86_46", "W"], "No configured pool has the tags 'x86_46', 'W' (did you mean 'x86_64'?)."),
        (
            ["aarch46", "x86_46"],
            "No configured pool has the tags 'aarch46', 'x86_46' (did you mean 'aarch64', 'x86_64'?).",
        ),
        (["W"], "No configured pool has the tag 'W'."),
        (["\xe8"], "No configured pool has the tag '\\xe8'."),
        (["fast", "\xe9"], "No configured pool has all of these tags together: 'fast', '\\xe9'."),
        (["s390x"], "The pools with these tags may have no resources, because their max is 0: 'empty'."),
    ],
)
def test_a_notice_names_tags_that_no_pool_has_and_the_nearest_ones(client, scheduler, tags, notice):
    """Given tags that no pool can ever serve, then the reply names them and the nearest known ones."""
    scheduler.show_pools(*POOLS)
    reply = client.post("/tickets", json={"tags": tags})
    assert (reply.status_code, reply.json["notice"]) == (201, notice)
    assert reply.headers["Resalloc-Notice"] == notice


def test_a_notice_stays_short_for_many_tags(client, scheduler):
    scheduler.show_pools(*POOLS)
    notice = client.post("/tickets", json={"tags": [f"{number:0255d}" for number in range(64)]}).json["notice"]
    assert notice.endswith("' and 56 more.")
    assert len(notice) < 2200


def test_a_notice_says_that_no_pools_are_configured(client, scheduler):
    scheduler.show_pools()
    assert client.post("/tickets", json={"tags": ["A"]}).json["notice"] == "No pools are configured."


@pytest.mark.parametrize("pool", [{"name": "p", "offers": {"A": 0, "B": -5}, "max": 1}, None])
def test_there_is_no_notice_when_a_pool_can_serve_the_ticket_or_pools_are_unknown(client, scheduler, pool):
    if pool:
        scheduler.show_pools(pool)
    assert "Resalloc-Notice" not in client.post("/tickets", data={"tag": ["A", "B"]}).headers


def test_notices_follow_changes_of_the_pools(client, scheduler):
    scheduler.show_pools()
    assert "Resalloc-Notice" in client.post("/tickets", data={"tag": "A"}).headers
    scheduler.show_pools({"name": "p", "offers": {"A": 0}, "max": 1})
    assert "Resalloc-Notice" not in client.post("/tickets", data={"tag": "A"}).headers


def test_the_same_key_gives_the_same_ticket(client, app, settings):
    def post(some: Flask) -> str:
        return some.test_client().post("/tickets", data={"tag": "A"}, headers={"Idempotency-Key": "k"}).text

    assert [post(app), post(app), post(create_app(settings))] == ["1\n"] * 3
    assert client.post("/tickets", data={"tag": "A"}).text == "2\n"


def test_the_same_key_with_another_body_is_refused(client):
    client.post("/tickets", data={"tag": "A"}, headers={"Idempotency-Key": "k"})
    reply = client.post("/tickets", json={"tags": ["B"]}, headers={"Idempotency-Key": "k"})
    assert (reply.status_code, reply.json["error"]["code"]) == (422, "key_reused")


def test_the_same_key_at_once_gives_one_ticket(settings: Settings, store: FileStore):
    apps = [create_app(settings) for _ in range(8)]

    def post(app: Flask) -> str:
        return app.test_client().post("/tickets", data={"tag": "A"}, headers={"Idempotency-Key": "k"}).text

    with ThreadPoolExecutor(8) as pool:
        replies = set(pool.map(post, apps))
    assert replies == {"1\n"}
    assert list(store.tickets.living()) == [1]


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb"])
def test_an_invalid_key_is_refused(client, key):
    reply = client.post("/tickets", data={"tag": "A"}, headers={"Idempotency-Key": key})
    assert reply.status_code == 400
    assert reply.text.startswith("The Idempotency-Key must be 1 to 255 printable ASCII characters")


def test_a_state_folder_that_cannot_be_written_gives_503_and_leaves_nothing(client, store, caplog):
    store.tickets.folder.rmdir()
    reply = client.post("/tickets", data={"tag": "A"})
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
    assert reply.text == "The state folder cannot be used at the moment.\n"
    assert list((store.root / "tmp").iterdir()) == []
    assert "No such file or directory" in caplog.text


def test_a_state_folder_that_cannot_be_created_gives_503_until_it_can(tmp_path, settings):
    settings.state_dir.write_text("a file in its place")
    client = create_app(settings).test_client()
    assert client.post("/tickets", data={"tag": "A"}).status_code == 503
    assert client.get("/healthz").status_code == 503
    settings.state_dir.unlink()
    assert client.post("/tickets", data={"tag": "A"}).status_code == 201
