"""Finds the processes that tests started and that are still running after the last test."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

MARK = "TEST_RUN_ID"
"""Environment variable of one test run. Every process that a test starts inherits it."""
GRACE = 5.0
"""Seconds that a process may need to end after its test."""


def mark_this_run() -> bool:
    """Mark the processes that this one starts from now on; False in a run that another test run started."""
    if MARK in os.environ:
        return False
    os.environ[MARK] = uuid.uuid4().hex
    return True


def kill_leftovers() -> list[str]:
    """Kill what this run started and what does not end within `GRACE`; returns one line for each process."""
    end = time.monotonic() + GRACE
    while (found := list(_marked())) and time.monotonic() < end:
        time.sleep(0.05)
    lines = [f"{pid}: {_command(pid)}; started by {_test(pid)}" for pid in found]
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return lines


def _marked() -> Iterator[int]:
    mark = f"{MARK}={os.environ[MARK]}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid() and mark in _environment(int(folder.name)):
            yield int(folder.name)


def _environment(pid: int) -> list[bytes]:
    """The variables that a process was started with; none of a process that has ended or belongs to another user."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "unknown command"


def _test(pid: int) -> str:
    """The test that ran when the process started; pytest keeps its name in the environment."""
    name = b"PYTEST_CURRENT_TEST="
    return next(
        (
            variable.removeprefix(name).decode(errors="replace")
            for variable in _environment(pid)
            if variable.startswith(name)
        ),
        "an unknown test",
    )
