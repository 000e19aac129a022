"""fsck of files that are no documents: events, which mention lost documents, samples, views and runs."""

from pathlib import Path
from typing import Any

import pytest

from functions.integrity.fsck import examine
from functions.integrity.invariants import Kind
from functions.policy.transitions.history import MOVED_TO_QUARANTINE, lines_of
from scheduler.__main__ import main
from state.documents import AgentState, Event
from state.files.archive import ArchivedFolder
from tests.timed.world import World


def fsck(world: World, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["fsck", str(world.store.root), "--log-dir", str(world.settings.log_dir)])
    return status, capsys.readouterr().out


def faults_of(world: World) -> list[tuple[Kind, str]]:
    return [(fault.kind, fault.sentence) for fault in examine(world.store.survey(world.clock()), None)]


def test_lines_of_events_that_cannot_be_read_are_noted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given corrupt lines, a torn one, and a file that is none of events, when checked, then notes, and no fault."""
    (world.store.root / "events" / "2026-03-01.jsonl").write_bytes(b'\0\0\n[]\n{"at":1.0,"kind":"leader"}\n{"at"')
    (world.store.root / "events" / "2026-03-02.jsonl").write_bytes(b'{"at":1.0,"kind":"leader"}\n{"at"')
    (world.store.root / "events" / "old.jsonl.gz").touch()
    status, text = fsck(world, capsys)
    assert status == 0
    assert "note events/2026-03-01.jsonl: 2 of its lines cannot be read (garbled)" in text
    assert "note events/2026-03-02.jsonl: its last line is incomplete (garbled)" in text
    assert "note events/old.jsonl.gz: " in text


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("tickets/open/2.json", Kind.MISSING_TICKET),
        ("tickets/done/0/1.json", Kind.MISSING_TICKET),
        ("resources/live/3.json", Kind.MISSING_RESOURCE),
        ("resources/ended/0/1.json", Kind.MISSING_RESOURCE),
    ],
)
def test_missing_documents_that_have_events_are_reported(world: World, place: str, kind: Kind) -> None:
    """Given a document that is removed while the server is down, and no logs, when checked, then events show this loss;
    once they show that it was in quarantine, an operator has removed it there.
    """
    number = int(Path(place).stem)
    collection: ArchivedFolder[Any] = world.store.tickets if place.startswith("tickets") else world.store.resources
    world.store.events.append(lines_of(collection.read(number)), world.clock())
    (world.store.root / place).unlink()
    gone = (kind, f"there is no {collection.kind} {number}, although an event names it")
    assert gone in faults_of(world)
    before = f"{collection.folder.relative_to(world.store.root)}/{number}"
    line = Event(at=world.clock(), kind="document", n=1, event=MOVED_TO_QUARANTINE, before=before)
    world.store.events.append([line], world.clock())
    assert gone not in faults_of(world)


def test_an_agent_that_events_mention_is_missed_while_its_ticket_is_open(world: World) -> None:
    """Given an agent whose document is removed, when checked, then it is missed, until its ticket or itself ended."""

    def missed() -> bool:
        found = examine(world.store.survey(world.clock()), None)
        return (Kind.MISSING_AGENT, "agents/3.json") in [(fault.kind, fault.file) for fault in found]

    def happens(after: AgentState) -> None:
        world.store.events.append([Event(at=1.0, kind="agent", n=1, event="x", after=after, ticket=3)], world.clock())

    happens(AgentState.WORKING)
    assert not missed()
    world.store.agents.path(3).unlink()
    assert missed()
    happens(AgentState.ENDED)
    assert not missed()
    happens(AgentState.WORKING)
    assert missed()
    world.close(3)
    assert not missed()


def test_files_that_are_no_documents_and_have_no_content_are_noted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given corrupt views and samples, when checked, then notes, and no fault."""
    (world.store.root / "view/pools.json").write_bytes(b"{")
    (world.store.root / "samples/vm.jsonl").write_bytes(b'{"at":1.0}\n\0\0\0\n{"a')
    status, text = fsck(world, capsys)
    assert status == 0
    assert "note view/pools.json: it is no JSON (" in text
    assert "note samples/vm.jsonl: 2 of its lines cannot be read (garbled)" in text


@pytest.mark.parametrize("ending", ["run", "group", "result"])
def test_a_corrupt_file_of_a_run_is_found(world: World, ending: str) -> None:
    """Given a run with a corrupt file, when checked, then that is a fault, unless it was just begun."""
    run = world.store.root / "runs" / "000002_watch_9"
    for name, content in (("run", b"{}"), ("group", b"77\n"), ("result", b"0\n")):
        run.with_suffix(f".{name}").write_bytes(content)
    later = world.clock() + 10
    assert not [fault for fault in examine(world.store.survey(later), None) if not fault.is_note]
    run.with_suffix(f".{ending}").write_bytes(b"\0")
    assert not [fault for fault in examine(world.store.survey(world.clock()), None) if not fault.is_note]
    (fault,) = (fault for fault in examine(world.store.survey(later), None) if not fault.is_note)
    assert (fault.kind, fault.file) == (Kind.DAMAGED, f"runs/000002_watch_9.{ending}")
