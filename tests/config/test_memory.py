"""Memory that is free goes back to the system."""

import ctypes
import subprocess
import sys

import pytest

from config.run import memory
from tests.bench.farm import PROJECT

SCRIPT = """
import gc, os, sys
from config.run import memory
from tests.bench.processes import own_memory
if sys.argv[1] == "yes":
    memory.give_back()
before = own_memory([os.getpid()])
for size in (1_000_000, 2_000_000, 4_000_000):
    del (bytearray(size)[:])
blocks = [bytearray(300_000) for _ in range(200)]
del blocks[:-1]
gc.collect()
print(own_memory([os.getpid()]) - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library has other ways")
@pytest.mark.parametrize("asked", ["yes", "no"])
def test_large_blocks_that_are_freed_leave_nothing_behind(asked: str) -> None:
    """Given 60 MB in large blocks, when all but the last are freed, then they are gone; they stay unless asked for."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, asked], check=True, capture_output=True, text=True, cwd=PROJECT, timeout=60
    )
    assert (float(done.stdout) < 5) == (asked == "yes")


def test_libraries_are_shared_and_nothing_of_this_program() -> None:
    """Given a master, when it loads what its workers share, then nothing of it is this program, for reloads."""
    script = "import gc, sys; from config.run import memory; memory.share(); print(gc.get_freeze_count(), *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=PROJECT, timeout=60
    )
    frozen, *modules = done.stdout.split()
    assert int(frozen) > 10_000
    assert {*memory.LIBRARIES} <= {*modules}
    assert [name for name in modules if name.partition(".")[0] in ("functions", "state", "scheduler", "filelock")] == []


@pytest.mark.parametrize(
    ("version", "told"),
    [((3, 11, 7), False), ((3, 12, 0), True), ((3, 12, 5), True), ((3, 12, 6), False), ((3, 13, 0), False)],
)
def test_a_python_that_forgets_nothing_is_told_of(version: tuple[int, int, int], told: bool) -> None:
    """Given a version, when asked, then those that never forget a file name are told of, with what to use instead."""
    sentence = memory.warning(version)
    assert (sentence is not None) == told
    if sentence is not None:
        assert sentence.startswith(f"Python {'.'.join(map(str, version))} ")
