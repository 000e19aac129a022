"""Replies about a ticket with a word that this version does not know."""

import pytest
from flask.testing import FlaskClient

from state.files.store import FileStore


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/output"), ("DELETE", "")])
def test_ticket_of_a_newer_version_is_refused_and_left_alone(
    client: FlaskClient, store: FileStore, ticket: int, method: str, path: str
) -> None:
    file = store.tickets.path(ticket)
    content = b'{"id":%d,"state":"LATER","tags":["A"],"resource":null}' % ticket
    file.write_bytes(content)
    reply = client.open(f"/tickets/{ticket}{path}", method=method, headers={"Accept": "application/json"})
    assert reply.status_code == 503
    assert "Retry-After" in reply.headers
    assert f"Ticket {ticket} was written by a newer version of this program." in reply.text
    assert file.read_bytes() == content
    assert client.get("/tickets").status_code == 200
