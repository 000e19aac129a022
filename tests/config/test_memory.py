"""Both processes return freed memory to the system, and web workers share the memory of libraries."""

import ctypes
import re
import subprocess
import sys

import pytest

from functions.web import gunicorn
from tests.bench.farm import PROJECT

SCRIPT = """
import gc, os
from tests.bench.processes import own_memory
before = own_memory([os.getpid()])
for size in (1_000_000, 2_000_000, 4_000_000):
    del (bytearray(size)[:])
blocks = [bytearray(300_000) for _ in range(200)]
del blocks[:-1]
gc.collect()
print(own_memory([os.getpid()]) - before)
"""
STARTED_BY = ("Procfile", *(f"config/systemd/resalloc-functions-{name}.service" for name in ("web", "scheduler")))


def settings_of(file: str) -> set[str]:
    """The assignments to variables of glibc's malloc in a file that starts processes."""
    return set(re.findall(r"\bMALLOC_[A-Z_]+=\d+", (PROJECT / file).read_text()))


def test_all_that_starts_a_process_gives_it_the_same_malloc_settings() -> None:
    first, *others = (settings_of(file) for file in STARTED_BY)
    assert first
    assert others == [first] * 2
    for line in (PROJECT / "Procfile").read_text().splitlines():
        assert set(re.findall(r"\bMALLOC_[A-Z_]+=\d+", line)) == first


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="NOT TESTED: this C library is not glibc")
@pytest.mark.parametrize("configured", [True, False])
def test_large_blocks_that_are_freed_leave_nothing_behind(configured: bool) -> None:
    """Given 60 MB in large blocks, when all but the last are freed, then only with the settings the system has them."""
    environment = dict(setting.split("=") for setting in settings_of("Procfile")) if configured else {}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        check=True,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={"PYTHONPATH": str(PROJECT), **environment},
        timeout=60,
    )
    assert (float(done.stdout) < 5) == configured


def test_the_master_shares_libraries_and_only_the_counts_of_this_program() -> None:
    """Other modules of this program must not be in the master, because a reload must load them again."""
    script = (
        "import gc, runpy, sys; runpy.run_path('functions/web/gunicorn.py')['on_starting'](None);"
        "print(gc.get_freeze_count(), *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=PROJECT, timeout=60
    )
    frozen, *modules = done.stdout.split()
    assert int(frozen) > 10_000
    assert {*gunicorn._LIBRARIES} <= {*modules}
    ours = {name for name in modules if name.partition(".")[0] in ("functions", "state", "scheduler", "filelock")}
    assert ours <= {"functions", "functions.web", "functions.web.request_counts"}
