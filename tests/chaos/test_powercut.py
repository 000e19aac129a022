"""The quick part of the proof about power cuts. `python -m tests.chaos powercut` tries every moment."""

import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import cuts, loopdisk
from tests.chaos.powercut import Cutter, Recording, record

NOT_VITAL = "folder in _write_format"
"""Without FORMAT, the next start writes it again."""


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """What is logged about losses that are made here is not of interest."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_nothing_that_was_acknowledged_is_lost(quick_folder: Path, seed: int) -> None:
    """Given a day's work, when the power is cut before any of its syncs, then all that was told is there."""
    recording = record()
    cutter = Cutter(recording, quick_folder)
    chance = random.Random(seed)
    least = sorted(chance.sample(cutter.moments(), 60))
    assert cutter.cut(least, cuts.LEAST, "least") == []


@pytest.mark.parametrize("seed", range(3))
def test_nor_by_a_kill_and_a_power_cut_after_it(seed: int, quick_folder: Path) -> None:
    """Given a server that is killed and started again, when the power is cut later, then all that was told is there."""
    cutter = Cutter(record(seed), quick_folder)
    chance = random.Random(seed)
    moments = cutter.moments()
    assert cutter.cut(sorted(chance.sample(moments, min(25, len(moments)))), cuts.LEAST, "least") == []


def sites_that_are_not_missed(recording: Recording, folder: Path) -> set[str]:
    """Places of the program whose syncs can be left out without any loss."""
    return {site for site in recording.sites if not is_missed(recording.without(site), folder)}


def is_missed(recording: Recording, folder: Path) -> bool:
    """Whether a loss is found. Most are at the next sync after the missing one: so all moments are tried in turn."""
    cutter = Cutter(recording, folder)
    return any(cutter.cut([moment], cuts.LEAST, "least") for moment in cutter.moments())


def test_each_sync_is_needed(quick_folder: Path) -> None:
    """Given the work without the syncs of one place in the program, when the power is cut, then a loss is found."""
    alone, watched = record(watched=False), record()
    assert {site.split()[0] for site in alone.sites} == {"file", "folder"}
    needless = sites_that_are_not_missed(alone, quick_folder) - {"folder in read_durable"}
    # Only when somebody reads what another is about to sync does that reader's sync make the difference.
    if is_missed(watched.without("folder in read_durable"), quick_folder):
        assert needless == {NOT_VITAL}
    else:
        pytest.fail("a reader's sync is not needed")


@pytest.mark.skipif(loopdisk.why_not() is not None, reason=f"NOTHING IS PROVED HERE: {loopdisk.why_not()}")
def test_a_real_file_system_keeps_what_was_acknowledged() -> None:
    """Given a server on ext4, when the disk is shut down without its journal under load, then all promises hold."""
    with loopdisk.disk() as folder:
        told = loopdisk.cut_under_load(folder, 0.3, "boot")
        assert len(told) > 10
        assert loopdisk.look(folder, told, "boot after") == []


@pytest.mark.skipif(loopdisk.why_not() is not None, reason=f"NOTHING IS PROVED HERE: {loopdisk.why_not()}")
def test_a_real_file_system_shows_that_syncs_are_needed() -> None:
    """Given a server on ext4 that leaves out its syncs, when the disk is shut down, then lost promises are found."""
    assert loopdisk.finds_missing_syncs(random.Random(1))
