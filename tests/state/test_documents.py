"""Documents: to JSON and back, and fields that this version does not know."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.documents import (
    Document,
    HookKind,
    Intent,
    IntentKind,
    PoolRecord,
    Resource,
    ResourceState,
    Run,
    Ticket,
    TicketState,
)
from state.files.store import FileStore

TIMES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.none() | st.text()
COUNTS = st.integers(0, 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
UNKNOWN = st.dictionaries(st.text().map(lambda name: f"new_{name}") | st.just("unknown"), JSON, max_size=3)

TICKETS = st.builds(
    Ticket,
    id=COUNTS,
    state=st.sampled_from(TicketState),
    tags=st.lists(st.text()).map(tuple),
    sandbox=TEXTS,
    resource=st.none() | COUNTS,
    assigned_at=TIMES,
    output=st.none() | st.binary(),
    unknown=UNKNOWN,
)
RESOURCES = st.builds(
    Resource,
    id=COUNTS,
    name=st.text(),
    pool=st.text(),
    state=st.sampled_from(ResourceState),
    tags=st.dictionaries(st.text(), st.integers(-1000, 1000)),
    counters=st.dictionaries(st.text(), COUNTS),
    data=st.none() | st.binary(),
    up_at=TIMES,
    run=st.none() | st.builds(Run, id=st.text(), kind=st.sampled_from(HookKind), started_at=st.floats(0, 1e10)),
    unknown=UNKNOWN,
)
RECORDS = st.builds(
    PoolRecord,
    name=st.text(),
    options=st.dictionaries(st.text(), JSON, max_size=3),
    startup_success_rate=TIMES,
    unknown=UNKNOWN,
)
INTENTS = st.builds(Intent, id=COUNTS, kind=st.sampled_from(IntentKind), resource=COUNTS, unknown=UNKNOWN)


@given(TICKETS | RESOURCES | RECORDS | INTENTS)
def test_every_document_comes_back_from_json_as_it_was(document: Document) -> None:
    assert type(document).from_json(document.to_json()) == document


@given(TICKETS)
def test_a_document_is_one_line_that_any_json_reader_takes(ticket: Ticket) -> None:
    line = ticket.to_json()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line)["id"] == ticket.id


def test_bytes_stand_in_json_as_base64() -> None:
    ticket = Ticket(id=1, output=b"\x00\xff\n10.0.0.1")
    assert base64.b64decode(json.loads(ticket.to_json())["output"]) == b"\x00\xff\n10.0.0.1"


def test_empty_output_is_not_no_output() -> None:
    assert Ticket.from_json(Ticket(id=1, output=b"").to_json()).output == b""
    assert Ticket.from_json(Ticket(id=1).to_json()).output is None


NEEDED: dict[str, Any] = {"id": 7, "state": "OPEN", "tags": [], "resource": None}


def test_missing_fields_have_their_defaults() -> None:
    assert Ticket.from_json(json.dumps(NEEDED).encode()) == Ticket(id=7)


@pytest.mark.parametrize("form", [Ticket, Resource])
def test_fields_that_every_version_has_written_are_required(form: type[Document]) -> None:
    """Given a document in which such a field's name is corrupt, when read, then it is corrupt, not guessed."""
    document = Ticket(id=7) if form is Ticket else Resource(id=7, name="n", pool="p")
    for field in form.NEEDED:
        with pytest.raises(msgspec.ValidationError, match=f"missing required field `{field}`"):
            form.from_json(document.to_json().replace(f'"{field}"'.encode(), f'"{field[:-1]}?"'.encode()))


def test_unknown_fields_survive_an_update_by_this_version(store: FileStore) -> None:
    newer: dict[str, Any] = {"priority": 3, "trace": {"spans": [1, 2.5, None]}, "unknown": "a newer field's name"}
    path = store.tickets.path(7)
    path.write_text(json.dumps({**NEEDED, "tags": ["A"], **newer}))

    store.tickets.update(7, lambda ticket: ticket.replace(state=TicketState.CLOSED))

    written = json.loads(path.read_bytes())
    assert written["state"] == "CLOSED"
    assert {name: written[name] for name in newer} == newer


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"7"',
        b"{}",
        b'{"id": "7"}',
        b'{"id": 7.5}',
        b'{"id": 7, "state": "HALF"}',
        b'{"id": 7, "tags": "A"}',
        b'{"id": 7, "output": "?"}',
        b'{"id": 7, "created_at": null}',
        b'{"id": 7',
        b'{"id": 7}{"id": 8}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_ticket_is_refused(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        Ticket.from_json(content)


@pytest.mark.parametrize("content", [b"[7]", b"7", b"null", b"true"])
def test_a_document_that_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected an object"):
        Ticket.from_json(content)


@pytest.mark.parametrize(
    ("ticket", "waiting"),
    [
        (Ticket(id=1), True),
        (Ticket(id=1, resource=3), False),
        (Ticket(id=1, state=TicketState.CLOSED), False),
        (Ticket(id=1, state=TicketState.FAILED), False),
    ],
)
def test_a_ticket_waits_while_it_is_open_and_has_no_resource(ticket: Ticket, waiting: bool) -> None:
    assert ticket.waiting is waiting


def test_unknown_fields_of_a_run_survive_too() -> None:
    newer = {"id": "000001_alloc_1", "kind": "alloc", "started_at": 1.0, "host": "b", "unknown": {"x": 1}}
    needed = {"state": "STARTING", "tags": {}, "sandbox": None}
    content = msgspec.json.encode({"id": 1, "name": "n", "pool": "p", **needed, "run": newer, "colour": "red"})
    document = Resource.from_json(content).replace(delete_after_run="why")
    fields = msgspec.json.decode(document.to_json())
    assert fields["run"] == newer
    assert (fields["colour"], fields["delete_asked"]) == ("red", "why")
    assert Resource.from_json(document.to_json()) == document


def test_unknown_fields_of_an_event_survive_too() -> None:
    newer = {"at": 1.0, "n": 1, "event": "start began", "actor": "leader", "host": "b", "unknown": {"x": 1}}
    fields = msgspec.json.decode(Resource(id=1, name="n", pool="p").to_json()) | {"history": [newer]}
    document = Resource.from_json(msgspec.json.encode(fields)).replace(delete_after_run="why")
    written = msgspec.json.decode(document.to_json())
    assert (written["history"], written["delete_asked"]) == ([newer], "why")
    assert Resource.from_json(document.to_json()) == document


def test_a_run_without_unknown_fields_has_no_word_of_them() -> None:
    run = Run(id="r", kind=HookKind.ALLOC, started_at=1.0)
    fields = msgspec.json.decode(Resource(id=1, name="n", pool="p", run=run).to_json())
    assert list(fields["run"]) == ["id", "kind", "started_at"]


def test_a_ticket_may_have_an_unknown_field_called_run() -> None:
    ticket = Ticket.from_json(json.dumps({**NEEDED, "run": {"speed": 3}}).encode())
    assert msgspec.json.decode(ticket.to_json())["run"] == {"speed": 3}
