"""`resalloc run` on a whole farm: what happens to its ticket when it, its command or the web ends."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.farm import SHIM, Farm
from tests.waiting import until

POOLS = """
vms:
  max: 1
  max_prealloc: 1
  cmd_new: printf 'a\\0b\\n'; echo 10.0.0.$RESALLOC_ID
  cmd_delete: 'true'
  tags: [vm]
"""
COMMAND = 'echo "ticket $RESALLOC_TICKET"; read line; cat "$RESALLOC_DATA_FILE"; exit 7'


@pytest.fixture
def started(farm: Farm) -> Iterator[list[subprocess.Popen[bytes]]]:
    shims: list[subprocess.Popen[bytes]] = []
    yield shims
    for shim in shims:
        if shim.poll() is None:
            os.killpg(shim.pid, signal.SIGKILL)
        shim.__exit__(None, None, None)


def run(farm: Farm, started: list[subprocess.Popen[bytes]], folder: Path) -> subprocess.Popen[bytes]:
    started.append(
        subprocess.Popen(
            [SHIM / "resalloc", "--connection", farm.url, "run", "--tag", "vm", "--", "sh", "-c", COMMAND],
            env=os.environ | {"TMPDIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    )
    return started[-1]


def ticket(farm: Farm, number: int) -> dict[str, Any]:
    """The ticket as the server shows it."""
    found: dict[str, Any] = farm.get(f"/tickets/{number}")
    return found


def line_of(shim: subprocess.Popen[bytes]) -> bytes:
    assert shim.stdout is not None
    return shim.stdout.readline()


def test_the_ticket_is_held_by_the_command_also_over_a_kill_of_the_web(
    farm: Farm, started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Given a command that runs, when the web is killed and started again, then the ticket is closed at its end."""
    farm.set_pools(POOLS)
    farm.start()
    shim = run(farm, started, tmp_path)
    assert line_of(shim) == b"ticket 1\n"
    held = ticket(farm, 1)
    assert (held["state"], held["resource"]) == ("OPEN", 1)
    farm.kill("web")
    farm.start_web()
    printed, errors = shim.communicate(b"end\n", timeout=60)
    assert (shim.returncode, printed, errors) == (7, b"a\0b\n10.0.0.1\n", b"")
    assert ticket(farm, 1)["state"] == "CLOSED"
    assert [path for path in tmp_path.iterdir() if path.name.startswith("resalloc.")] == []


@pytest.mark.thorough
def test_a_signal_while_it_waits_in_the_queue_closes(
    farm: Farm, started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Given a pool whose one resource is taken, when the waiting command is ended, then its place is free."""
    farm.set_pools(POOLS)
    farm.start()
    first = run(farm, started, tmp_path)
    assert line_of(first) == b"ticket 1\n"
    second = run(farm, started, tmp_path)
    second_ticket = farm.state / "tickets" / "open" / "2.json"
    until(second_ticket.exists, what="the second ticket")
    os.killpg(second.pid, signal.SIGTERM)
    assert second.communicate(timeout=60) == (b"", b"")
    assert second.returncode == 143
    assert ticket(farm, 2)["state"] == "CLOSED"
    assert ticket(farm, 1)["state"] == "OPEN"


@pytest.mark.thorough
def test_a_command_whose_resource_dies_runs_to_its_end(
    farm: Farm, started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    farm.set_pools(POOLS)
    farm.start()
    shim = run(farm, started, tmp_path)
    assert line_of(shim) == b"ticket 1\n"
    subprocess.run([SHIM / "resalloc-maint", "--connection", farm.url, "resource-delete", "1"], check=True, timeout=60)
    until(lambda: ticket(farm, 1)["state"] == "FAILED", what="the ticket fails")
    shim.communicate(b"end\n", timeout=60)
    assert shim.returncode == 7
    assert ticket(farm, 1)["state"] == "CLOSED"
