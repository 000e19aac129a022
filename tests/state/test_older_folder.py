"""A state folder that an earlier version wrote (`fixtures/format-1`) is read whole, and what it holds survives writes.

The folder was written by the version before the Store became a protocol: tickets, resources and agents in every state,
pools in every mode, intents of every kind, a key, events, samples, a view, ids, archives and a quarantined ticket.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from functions.integrity.fsck import examine
from functions.integrity.invariants import Kind
from state.documents import (
    Agent,
    AgentState,
    Document,
    Intent,
    IntentKind,
    PoolMode,
    PoolRecord,
    Resource,
    ResourceState,
    Ticket,
    TicketState,
)
from state.files.checksum import decode, encode
from state.files.store import FileStore
from state.store import Batch, Position, Put

FOLDER = Path(__file__).parent / "fixtures" / "format-1"
FORMS: dict[str, type[Document]] = {
    "tickets/open": Ticket,
    "tickets/done/0": Ticket,
    "tickets/done/1": Ticket,
    "resources/live": Resource,
    "resources/ended/0": Resource,
    "pools": PoolRecord,
    "intents": Intent,
    "agents": Agent,
}
BEGAN = 1772360100.0


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """A store on a copy of the older folder."""
    return FileStore(shutil.copytree(FOLDER, tmp_path / "state"))


def test_every_document_is_read_and_none_is_corrupt(store: FileStore) -> None:
    contents = store.read_all()
    assert (contents.corrupt, contents.unreadable) == ([], [])
    assert {ticket.state for ticket in contents.tickets} == {*TicketState}
    assert {resource.state for resource in contents.resources} == {*ResourceState}
    assert {record.mode for record in contents.records} == {*PoolMode}
    assert {intent.kind for intent in contents.intents} == {*IntentKind}
    assert {agent.state for agent in contents.agents} == {*AgentState}
    assert sorted(store.tickets.archived()) == [6, 7, 1500]
    assert list(store.resources.archived()) == [9]


def test_fields_mean_what_they_meant(store: FileStore) -> None:
    served = store.tickets.read(2)
    assert (served.resource, served.output, served.sandbox) == (3, b"192.0.2.17\n\xff", "project-7")
    assert (store.tickets.read(3).bad, store.tickets.read(4).reason) == ("no network", "its resource died")
    starting, releasing = store.resources.read(1), store.resources.read(5)
    assert starting.run is not None
    assert (starting.run.id, starting.run.unknown) == ("000001_alloc_1", {"host": "b"})
    assert releasing.delete_after_run == "bad: no network"
    record = store.pools.read("vms")
    assert (record.abandoned_resources, record.last_abandoned_at) == (2, BEGAN + 500)
    assert [event.event for event in store.resources.read(2).history] == ["start began", "start succeeded"]
    assert served.holds(store.resources.read(3))
    assert not store.tickets.read(6).holds(store.resources.read(4))


@pytest.mark.parametrize("folder", FORMS)
def test_nothing_is_lost_when_a_document_is_written_again(folder: str) -> None:
    """Given each older document, when it is read and written, then every field has its name and value, unknown too."""
    paths = sorted((FOLDER / folder).glob("*.json"))
    assert paths
    for path in paths:
        older: dict[str, Any] = json.loads(path.read_bytes())
        newer: dict[str, Any] = json.loads(encode(decode(FORMS[folder], path.read_bytes())))
        assert older.pop("sum") != ""
        assert {name: newer[name] for name in older} == older, path.name


def test_unknown_fields_survive_a_change(store: FileStore) -> None:
    store.tickets.update(5, lambda ticket: ticket.replace(state=TicketState.CLOSED))
    assert json.loads(store.tickets.path(5).read_bytes())["labels"] == {"a": [1, None]}
    store.commit(Batch([Put(store.pools.read("paused").replace(mode=PoolMode.ACTIVE))]))
    assert json.loads(store.pools.path("paused").read_bytes())["quota"] == {"cpus": 4}


def test_keys_events_samples_and_views_are_read(store: FileStore) -> None:
    assert store.keys.create_once("build-1", "tag=x86_64", lambda number: Ticket(id=number))[0].id == 1
    lines = [line for piece in store.events.forwards(Position.at(0.0)) for line in piece.lines]
    assert [event.event for line in lines if (event := line.event())] == ["taken", "assigned", "leads"]
    assert [sample.taken for sample in store.samples.read("vms")] == [0, 1, 2]
    shown = store.shown("pools.json")
    assert shown is not None
    assert json.loads(shown.content or b"")["pools"][0]["name"] == "vms"


def test_numbers_continue_above_all_that_were_assigned(store: FileStore) -> None:
    assert store.tickets.create(lambda number: Ticket(id=number)).id > 1500
    assert store.resources.reserve(1)[0] > 20


def test_what_was_quarantined_is_known(store: FileStore) -> None:
    (thing,) = store.corruption.quarantined()
    assert (thing.origin, store.corruption.reason(thing)) == ("tickets/open/9", "Input data was truncated")
    assert store.corruption.mend() == []


def test_fsck_finds_no_document_and_no_folder_wrong(store: FileStore) -> None:
    kinds = {fault.kind for fault in examine(store.survey(BEGAN), None) if not fault.is_note}
    assert Kind.QUARANTINED in kinds
    assert not kinds & {Kind.DAMAGED, Kind.UNREADABLE, Kind.FORMAT, Kind.FOLDER}
