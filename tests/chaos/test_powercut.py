"""Power cuts at some moments of a recorded work. `python -m tests.chaos powercut` tries every moment."""

import logging
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.host import machine
from tests.chaos import children, cuts, loopdisk
from tests.chaos.children import in_child
from tests.chaos.powercut import NOT_VITAL, Cutter, Recording, choices, is_missed, record
from tests.chaos.world import Send

thorough = pytest.mark.thorough
needs_a_real_disk = pytest.mark.skipif(
    loopdisk.why_not() is not None, reason=f"POWER CUTS OF A REAL DISK ARE NOT TESTED: {loopdisk.why_not()}"
)


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Do not log: the losses are made here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def recordings() -> tuple[Recording, Recording]:
    """The recording of a server without readers, and of one that is watched by readers."""
    return record(watched=False), record()


def test_a_reboot_reaches_every_module() -> None:
    """Given modules that ask which boot this is, when the machine of a test is booted, then all of them hear it."""
    messages, _ = in_child(_send_boots)
    assert set(messages) == {"another boot", "a third boot"}


def _send_boots(send: Send) -> None:
    asking = [module for module in list(sys.modules.values()) if vars(module).get("boot_id") is machine.boot_id]
    for name in ("another boot", "a third boot"):
        children.reboot(name)
        for module in asking:
            send(module.boot_id())


@pytest.mark.parametrize(
    "left", ["least", pytest.param("names", marks=thorough), pytest.param("most", marks=thorough), "any"]
)
def test_nothing_that_was_acknowledged_is_lost(
    left: str, recordings: tuple[Recording, Recording], quick_folder: Path, seed: int
) -> None:
    """Given a day's work, when the power is cut, then all that was acknowledged is there, whatever else is left."""
    _, recording = recordings
    cutter = Cutter(recording, quick_folder)
    chance = random.Random(seed)
    moments = range(len(recording.entries)) if left == "any" else cutter.moments()
    assert cutter.cut(sorted(chance.sample(moments, 30)), choices(chance)[left], left) == []


@thorough
@pytest.mark.parametrize("seed", range(2))
def test_nor_by_a_kill_and_a_power_cut_after_it(seed: int, quick_folder: Path) -> None:
    """Given a server that is killed and restarted, when the power is cut, then all acknowledged facts are there."""
    cutter = Cutter(record(seed), quick_folder)
    chance = random.Random(seed)
    moments = cutter.moments()
    assert cutter.cut(sorted(chance.sample(moments, min(25, len(moments)))), cuts.LEAST, "least") == []


@thorough
@pytest.mark.parametrize(
    "site",
    [
        "folder in make",
        "file in _write_format",
        "file in _write_ceiling",
        "folder in _write_ceiling",
        "file in _write_new",
        "folder in _write_new",
        "file in do_all",
        "folder in do_all",
        "file in create_reserved",
        "file in _create",
        "folder in create",
        "file in commit",
        "folder in commit",
        "folder in archive",
    ],
)
def test_a_sync_that_is_left_out_is_missed(
    site: str, recordings: tuple[Recording, Recording], quick_folder: Path
) -> None:
    """Given the work without the syncs of one place in the program, when the power is cut, then a loss is found."""
    assert any(is_missed(recording, site, quick_folder) for recording in recordings)


def test_all_syncs_are_known(recordings: tuple[Recording, Recording]) -> None:
    """Given all places in the program that sync, when one is new, then it must be listed above."""
    (mark,) = (mark for mark in test_a_sync_that_is_left_out_is_missed.pytestmark if mark.name == "parametrize")
    assert {*recordings[0].sites, *recordings[1].sites} == {*mark.args[1], *NOT_VITAL}


@needs_a_real_disk
def test_a_real_file_system_keeps_what_was_acknowledged() -> None:
    """Given a server on ext4, when the disk is shut down without its journal under load, then all promises hold."""
    with loopdisk.disk() as folder:
        acknowledged = loopdisk.cut_under_load(folder, 0.3, "boot")
        assert {what for what, _, _ in acknowledged} > {"created", "closed"}
        assert loopdisk.check_after(folder, acknowledged, "boot after") == []


@thorough
@needs_a_real_disk
def test_a_real_file_system_shows_that_syncs_are_needed() -> None:
    """Given a server on ext4 that leaves out its syncs, when the disk is shut down, then lost promises are found."""
    assert loopdisk.finds_missing_syncs(random.Random(1))
