"""`/readyz` of a real server goes red when a piece is down, and green again."""

import os
import signal

import pytest

from tests.system.farm import Farm
from tests.waiting import until

POOL = "p: {max: 1, max_prealloc: 1, cmd_new: echo 1, cmd_delete: 'true', tags: [x]}"


def readyz(farm: Farm) -> str:
    return farm.curl("/readyz", check=False).decode()


def becomes(farm: Farm, *lines: str) -> None:
    """Wait until /readyz shows these lines and this status; each worker checks the disk once a second."""
    status = 200 if lines[0] == "ready" else 503
    until(
        lambda: readyz(farm).splitlines() == list(lines) and farm.status("/readyz") == status,
        what=f"{lines}, not {readyz(farm)!r},",
    )


def test_a_scheduler_that_is_killed_is_missed_until_it_is_back(farm: Farm) -> None:
    farm.set_pools(POOL)
    farm.start()
    becomes(farm, "ready")
    farm.kill("scheduler")
    becomes(farm, "not ready", "problem: No scheduler is running, so nothing is assigned, started or deleted.")
    farm.start_scheduler()
    becomes(farm, "ready")


@pytest.mark.thorough
def test_a_scheduler_that_hangs_is_missed_although_it_leads(farm: Farm) -> None:
    farm.set_pools(POOL)
    farm.start()
    becomes(farm, "ready")
    os.kill(farm.pid("scheduler"), signal.SIGSTOP)
    try:
        # As if it had been so for long.
        (farm.state / "view" / "metrics.json").write_text('{"last_pass": 5.0}')
        assert "problem: The scheduler completed its last pass" in readyz(farm)
        assert farm.status("/readyz") == 503
    finally:
        os.kill(farm.pid("scheduler"), signal.SIGCONT)
    becomes(farm, "ready")


@pytest.mark.thorough
def test_a_broken_file_is_a_warning_while_there_are_last_good_pools(farm: Farm) -> None:
    farm.set_pools("p: {max: none}")
    farm.start()
    until(lambda: "there are no earlier valid pools" in readyz(farm), what="the fault")
    assert farm.status("/readyz") == 503
    farm.set_pools(POOL)
    becomes(farm, "ready")
    farm.set_pools("p: {max: none}")
    sentence = "the last valid pools stay in force"
    until(lambda: "warning: " in (now := readyz(farm)) and sentence in now, what="the warning")
    assert farm.status("/readyz") == 200


@pytest.mark.thorough
def test_a_state_folder_that_cannot_be_written_is_reported(farm: Farm) -> None:
    farm.set_pools(POOL)
    farm.start()
    becomes(farm, "ready")
    staging = farm.state / "tmp"
    staging.rename(farm.state / "tmp-away")
    staging.write_text("in the way")
    try:
        becomes(farm, "not ready", "problem: The state folder cannot be written: Not a directory.")
    finally:
        staging.unlink()
        (farm.state / "tmp-away").rename(staging)
    becomes(farm, "ready")


@pytest.mark.thorough
def test_a_scheduler_at_rest_shows_that_it_lives(farm: Farm) -> None:
    (farm.config / "server.yaml").write_text("hostname: 127.0.0.1\nsleeptime: 1\n")
    farm.set_pools(POOL)
    farm.start()
    metrics = farm.state / "view" / "metrics.json"
    before = until(lambda: farm.up() and metrics.exists() and metrics.read_bytes(), what="rest")
    until(lambda: metrics.read_bytes() != before, what="a sign of life")
    again = metrics.read_bytes()
    until(lambda: metrics.read_bytes() != again, what="another one")
