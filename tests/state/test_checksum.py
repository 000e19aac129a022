"""Check sums: every flipped bit of a document is found, and documents that are written by hand need none."""

import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.documents import (
    Agent,
    Document,
    Event,
    HookKind,
    Intent,
    IntentKind,
    PoolRecord,
    Resource,
    Run,
    Ticket,
    TicketState,
)
from state.errors import CorruptDocument
from state.files.checksum import WRONG, decode, encode
from state.files.store import FileStore
from tests.state.test_agents import AGENTS
from tests.state.test_documents import INTENTS, RECORDS, RESOURCES, TICKETS

BEGAN = Event(at=1772360100.5, n=1, event="start began", after="STARTING", actor="leader")
RUN = Run(id="000017_release_1", kind=HookKind.RELEASE, started_at=1772360100.5)
SAMPLES: list[Document] = [
    Ticket(id=42, tags=("x86_64",), created_at=1772360100.25, resource=17, pool="vms", output=b"192.0.2.17\n"),
    Resource(id=17, name="vms_17", pool="vms", tags={"x86_64": 0}, counters={"address": 3}, run=RUN, history=(BEGAN,)),
    PoolRecord(name="vms", options={"max": 3, "cmd_new": "true"}, startup_success_rate=0.5, history=(BEGAN,)),
    Intent(id=1, kind=IntentKind.DELETE_RESOURCE, resource=17, reason="\u00e9"),
    Agent(id=43, group="builders", unknown={"colour": "red"}),
]
REFUSED = (msgspec.DecodeError, UnicodeDecodeError)


def flips(content: bytes) -> Iterator[bytes]:
    """The content as often as it has bits, each time with another one flipped."""
    for place in range(len(content) * 8):
        yield flipped(content, place)


def flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def is_read(form: type[Document], content: bytes) -> bool:
    try:
        decode(form, content)
    except REFUSED:
        return False
    return True


@pytest.mark.parametrize("document", SAMPLES, ids=lambda document: type(document).__name__)
def test_every_flipped_bit_of_a_document_is_found(document: Document) -> None:
    """Given a document of each kind, when any one bit of it is flipped, then it is not read."""
    assert [content for content in flips(encode(document)) if is_read(type(document), content)] == []


@given(TICKETS | RESOURCES | RECORDS | INTENTS | AGENTS, st.data())
def test_a_flipped_bit_of_any_document_is_found(document: Document, data: st.DataObject) -> None:
    content = encode(document)
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    assert not is_read(type(document), flipped(content, place))
    assert is_read(type(document), content)


def test_every_flipped_bit_of_a_key_is_found(store: FileStore) -> None:
    """Given an idempotency key, when any one bit of its file is flipped, then it is not read."""
    keys = store.keys
    keys.create_once("k", "body", lambda number: Ticket(id=number))
    (path,) = keys.folder.iterdir()
    good = path.read_bytes()
    for content in flips(good):
        path.write_bytes(content)
        with pytest.raises(CorruptDocument):
            keys.read(path.name)
    path.write_bytes(good)
    assert keys.read(path.name) is not None


def test_a_corrupt_name_of_the_sum_is_no_unknown_field() -> None:
    """Given a document whose `sum` is called otherwise and whose sum is wrong, too, when read, then it is corrupt."""
    content = encode(Ticket(id=7)).replace(b'"sum"', b'"xyz"').replace(b'"id":7', b'"id":8')
    with pytest.raises(msgspec.ValidationError, match=re.escape(WRONG)):
        decode(Ticket, content)


def test_a_wrong_sum_is_reported_with_what_to_do() -> None:
    """Given a document that was edited in place, when read, then it is refused; without `sum` it is taken."""
    content = encode(Ticket(id=7, tags=("A",))).replace(b'"A"', b'"B"')
    with pytest.raises(msgspec.ValidationError, match="edited by hand, take `sum` out of it"):
        decode(Ticket, content)
    assert decode(Ticket, b"{" + content.partition(b",")[2]).tags == ("B",)


def test_the_sum_is_that_of_the_document_without_it() -> None:
    content = encode(SAMPLES[0])
    said = json.loads(content)["sum"]
    assert content.startswith(b'{"sum":"')
    rest = content.replace(b'"sum":"%b",' % said.encode(), b"")
    assert f"{zlib.crc32(rest):08x}" == said


@pytest.mark.parametrize("document", SAMPLES, ids=lambda document: type(document).__name__)
def test_a_sum_elsewhere_or_with_spaces_is_not_checked_and_not_kept(document: Document) -> None:
    """Given documents written by other programs, when read and written, then they have one sum, which is right."""
    fields: dict[str, Any] = json.loads(encode(document))
    said = fields.pop("sum")
    for others in (fields, {"sum": "00000000", **fields}, {"sum": 5, **fields}, {**fields, "sum": said}):
        read = decode(type(document), json.dumps(others).encode())
        assert read == document
        assert encode(read) == encode(document)
    older = json.dumps({**fields, "sum": "00000000"}, separators=(",", ":"))
    assert encode(decode(type(document), older.encode())) == encode(document)


def test_an_update_computes_it_anew(store: FileStore) -> None:
    """Given a ticket of a newer program, when this one changes it, then its sum is right again, unknown fields too."""
    newer = Ticket(id=7, unknown={"priority": 3, "sums": "a newer field's name"})
    store.tickets.path(7).write_bytes(encode(newer))
    store.tickets.update(7, lambda ticket: ticket.replace(state=TicketState.CLOSED))
    assert store.tickets.path(7).read_bytes() == encode(newer.replace(state=TicketState.CLOSED))
    assert store.tickets.read(7).unknown == newer.unknown
