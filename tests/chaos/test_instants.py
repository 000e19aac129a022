"""Faults at some file operations of each transition, one at a time. `python -m tests.chaos instants` tries all."""

import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.files.disk import Disk
from tests.chaos.faults import Fault, faults_of
from tests.chaos.instants import Place
from tests.chaos.transitions import TRANSITIONS

FOUND = (
    ("create", "rename", "ids/tickets.ceiling", Fault.EACCES),
    ("first start", "rename", "FORMAT", Fault.EIO),
    ("assign", "open", "locks/leader", Fault.ENOSPC),
    ("start on demand", "open", "tickets/open/1.json", Fault.EACCES),
    ("fail", "open", "tickets/open/1.json", Fault.EIO),
    ("cleanup", "open", "resources/live/2.json", Fault.EIO),
    ("real start", "listdir", "runs", Fault.EIO),
    ("real adoption", "open", "runs/000001_alloc_1.run", Fault.EIO),
    ("real adoption", "read", "resources/live/1.json", Fault.EIO),
)
"""Faults that this proof has found: transition, operation, the end of its path, what happened to it."""


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Do not log: the faults are made here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def prepared(name: str, folder: Path) -> Place:
    """The transition of this name in a new folder."""
    return Place(next(transition for transition in TRANSITIONS if transition.name == name), folder / "place")


@pytest.mark.parametrize("at_most", [2, pytest.param(15, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("name", [transition.name for transition in TRANSITIONS])
def test_no_fault_at_any_operation_loses_or_doubles_anything(
    name: str, at_most: int, quick_folder: Path, seed: int
) -> None:
    """Given a transition, when one operation of it is killed or fails, then after a new start all invariants hold."""
    place = prepared(name, quick_folder)
    chance = random.Random(f"{name} {seed}")
    numbers = [number for number, operation in enumerate(place.operations) if operation.changes]
    faults = []
    for number in sorted(chance.sample(numbers, min(at_most, len(numbers)))):
        faults += place.attempt([(number, chance.choice(faults_of(place.operations[number])))])
    assert faults == []


@pytest.mark.parametrize(("name", "call", "end", "fault"), FOUND)
def test_what_was_found_stays_mended(name: str, call: str, end: str, fault: Fault, quick_folder: Path) -> None:
    """Given an operation where something was wrong once, when the same happens to it again, then nothing is wrong."""
    place = prepared(name, quick_folder)
    numbers = [
        number
        for number, operation in enumerate(place.operations)
        if operation.name == call and (operation.target or operation.path).endswith(f"{os.sep}{end}")
    ]
    assert numbers
    assert [wrong for number in numbers for wrong in place.attempt([(number, fault)])] == []


@pytest.mark.thorough
def test_a_kill_of_the_recovery_is_recovered_from_too(quick_folder: Path) -> None:
    """Given a release that is killed, when the recovery is killed twice on its way, then the third one completes."""
    place = prepared("release", quick_folder)
    chance = random.Random(1)
    for _ in range(8):
        chain = [(chance.randrange(len(place.operations)), Fault.KILL) for _ in range(3)]
        assert place.attempt(chain) == []


@pytest.mark.thorough
def test_a_document_that_is_written_in_place_is_found(quick_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a store that writes into documents instead of replacing them, when it is broken, then that is found."""

    def publish(files: Disk, staged: Path, path: Path) -> None:
        path.write_bytes(staged.read_bytes())
        staged.unlink()

    monkeypatch.setattr(Disk, "publish", publish)
    place = prepared("close", quick_folder)
    found = [wrong for point in place.points() for wrong in place.attempt([point])]
    assert any("neither old nor new" in wrong for wrong in found)


@pytest.mark.thorough
def test_an_answer_before_the_write_is_found(quick_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a store that reports a failed publication as done, when it fails, then the lost promise is found."""

    def publish(files: Disk, staged: Path, path: Path) -> None:
        try:
            os.rename(staged, path)
        except OSError:
            files.discard(staged)

    monkeypatch.setattr(Disk, "publish", publish)
    place = prepared("close", quick_folder)
    found = [wrong for point in place.points() for wrong in place.attempt([point])]
    assert any("was closed, and is OPEN" in wrong for wrong in found)
