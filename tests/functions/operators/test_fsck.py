"""`GET /fsck`: a check of the state folder while the server runs."""

import pytest

from functions.integrity import fsck as checker
from functions.operators import health


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "PAUSE", 0.0)


def test_a_healthy_folder_has_no_faults(client, ticket):
    reply = client.get("/fsck")
    assert (reply.status_code, reply.text) == (200, "faults: 0, notes: 0\n")


def test_each_fault_is_a_line(client, store, ticket):
    store.tickets.path(ticket).write_bytes(b"")
    lines = client.get("/fsck").text.splitlines()
    assert lines[0].startswith("fault tickets/open/1.json: it is corrupt: ")
    assert lines[1:] == ["faults: 1, notes: 0"]
    # It only looks.
    assert store.tickets.path(ticket).read_bytes() == b""


def test_faults_and_notes_come_as_json(client, store, ticket):
    store.tickets.path(ticket).write_bytes(b"")
    (store.tickets.folder / "1.json~").touch()
    found = client.get("/fsck", headers={"Accept": "application/json"}).json
    assert [(fault["kind"], fault["file"]) for fault in found["faults"]] == [("damaged", "tickets/open/1.json")]
    assert [(note["kind"], note["file"]) for note in found["notes"]] == [("stray", "tickets/open/1.json~")]


def test_one_check_at_a_time(client):
    with health._one_check_at_a_time:
        reply = client.get("/fsck")
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "1")
    assert client.get("/fsck").status_code == 200


def test_a_folder_that_cannot_be_read_is_503(client, store):
    (store.root / "FORMAT").write_text("2\n")
    assert client.get("/fsck").status_code == 503


def test_unknown_parameters_are_refused(client):
    assert client.get("/fsck?repair=1").status_code == 400
