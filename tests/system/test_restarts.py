"""Processes are killed, restarted, reconfigured; nothing is lost, and clients notice no more than a pause."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.system.farm import PROJECT, SHIM, Farm
from tests.waiting import until

SLOW = """
slow:
  max: 1
  max_prealloc: 1
  cmd_new: 'while [ ! -e {folder}/go ]; do sleep 0.05; done; echo $RESALLOC_ID'
  cmd_delete: 'true'
  tags: [A]
"""
ECHO = "echo: {max: 2, max_prealloc: 1, cmd_new: echo $RESALLOC_ID, cmd_delete: 'true', tags: [A]}"


def test_a_start_goes_on_while_the_scheduler_is_dead(farm: Farm) -> None:
    farm.set_pools(SLOW.format(folder=farm.folder))
    farm.start()
    ticket = farm.take("A")
    until(lambda: list((farm.state / "runs").glob("*.group")), what="the start")
    farm.kill("scheduler")
    farm.start_scheduler()
    assert [document["state"] for document in farm.resources()] == ["STARTING"]
    (farm.folder / "go").touch()
    assert farm.wait(ticket) == b"1\n"


@pytest.mark.thorough
def test_a_start_that_ends_while_no_scheduler_runs_is_found(farm: Farm) -> None:
    farm.set_pools(SLOW.format(folder=farm.folder))
    farm.start()
    ticket = farm.take("A")
    until(lambda: list((farm.state / "runs").glob("*.group")), what="the start")
    farm.kill("scheduler")
    (farm.folder / "go").touch()
    result = farm.state / "runs" / "000001_alloc_1.result"
    until(lambda: result.exists() and result.read_text() == "0\n", what="the end of the start")
    farm.start_scheduler()
    assert farm.wait(ticket) == b"1\n"


@pytest.mark.thorough
def test_a_start_whose_supervisor_is_killed_is_deleted_and_made_again(farm: Farm) -> None:
    farm.set_pools(SLOW.format(folder=farm.folder))
    farm.start()
    groups = until(lambda: list((farm.state / "runs").glob("*.group")), what="the start")
    supervisor = int(until(groups[0].read_text, what="the process group"))
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: [document["id"] for document in farm.ended()] == [1], what="the end of resource 1")
    assert "supervisor" in farm.ended()[0]["reason"]
    (farm.folder / "go").touch()
    assert farm.wait(farm.take("A")) == b"2\n"


def test_the_shim_survives_a_killed_web_in_the_middle_of_a_wait(farm: Farm) -> None:
    farm.set_pools(SLOW.format(folder=farm.folder))
    farm.start()
    ticket = farm.take("A")
    command = [SHIM / "resalloc", "--connection", farm.url, "ticket-wait", str(ticket)]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert waiting.stderr is not None
    farm.kill("web")
    assert waiting.stderr.readline()
    farm.start_web()
    (farm.folder / "go").touch()
    assert waiting.communicate(timeout=30)[0] == b"1\n"
    assert waiting.returncode == 0


@pytest.mark.thorough
def test_a_stopping_web_releases_parked_waits(farm: Farm) -> None:
    farm.set_pools("none: {max: 0, cmd_new: 'true', cmd_delete: 'true', tags: [A]}")
    farm.start()
    ticket = farm.take("A")
    statuses: list[int] = []
    waiting = threading.Thread(target=lambda: statuses.append(farm.status(f"/tickets/{ticket}/wait?timeout=50")))
    waiting.start()
    until(lambda: farm.requests_read() == 1, what="the parked wait")
    began = time.monotonic()
    farm.terminate("web")
    waiting.join(20)
    assert statuses == [408]
    assert time.monotonic() - began < 10


@pytest.mark.thorough
def test_tickets_are_taken_and_closed_while_no_scheduler_runs(farm: Farm) -> None:
    farm.set_pools(ECHO)
    farm.start_web()
    closed, kept = farm.take("A"), farm.take("A")
    farm.close(closed)
    farm.start_scheduler()
    assert farm.wait(kept) == b"1\n"
    assert farm.ticket(closed)["resource"] is None


@pytest.mark.thorough
def test_a_second_scheduler_waits_and_takes_over(farm: Farm) -> None:
    farm.set_pools(ECHO)
    farm.start()
    second = subprocess.Popen([sys.executable, "-m", "scheduler"], env=farm.environment, cwd=PROJECT)
    try:
        log = farm.logs / "main.log"
        until(lambda: "standing by" in log.read_text(), what="the second scheduler")
        until(farm.up, what="the first spare")
        farm.kill("scheduler")
        assert farm.wait(farm.take("A")) == b"1\n"
        assert log.read_text().count("leading in") == 2
    finally:
        second.terminate()
        assert second.wait(10) == 0


@pytest.mark.thorough
def test_once_calls_a_timed_function_by_hand_but_not_beside_a_leader(farm: Farm) -> None:
    farm.set_pools(ECHO)
    farm.start_web()
    ticket = farm.take("A")

    def once() -> int:
        command = [sys.executable, "-m", "scheduler", "once", "reconcile"]
        return subprocess.run(command, check=False, env=farm.environment, cwd=PROJECT, capture_output=True).returncode

    def is_served() -> bool:
        assert once() == 0
        return farm.status(f"/tickets/{ticket}/output") == 200

    until(is_served, what="the resource, by reconciling by hand")
    farm.start_scheduler()
    assert once() == 75


@pytest.mark.thorough
def test_a_changed_configuration_is_taken_without_a_restart(farm: Farm) -> None:
    farm.set_pools(ECHO)
    farm.start()
    farm.set_pools(ECHO + "\nnew: {max_prealloc: 1, cmd_new: echo new, cmd_delete: 'true', tags: [B]}")
    assert farm.wait(farm.take("B")) == b"new\n"


def test_a_broken_configuration_is_reported_and_keeps_the_last_good_one(farm: Farm) -> None:
    farm.set_pools(ECHO)
    farm.start()
    farm.set_pools(ECHO + "\nnew: {max: ten, cmd_new: echo new, cmd_delete: 'true'}")
    fault = until(lambda: farm.get("/healthz")["faults"], what="the report")[0]
    assert "pools.yaml:2" in fault
    assert "max" in fault
    assert farm.wait(farm.take("A")) == b"1\n"
    until(lambda: len(farm.up()) == 2, what="the next spare, before the kill may cut off its start")
    farm.kill("scheduler")
    farm.start_scheduler()
    assert farm.wait(farm.take("A")) == b"2\n"


@pytest.mark.thorough
def test_without_any_good_configuration_nothing_starts_and_the_reason_is_reported(farm: Farm) -> None:
    farm.set_pools("echo: [")
    farm.start()
    assert "pools.yaml" in until(lambda: farm.get("/healthz")["faults"], what="the report")[0]
    ticket = farm.take("A")
    assert farm.status(f"/tickets/{ticket}/wait?timeout=0.3") == 408


@pytest.mark.thorough
def test_a_pool_that_left_the_file_still_deletes_by_the_hooks_it_had(farm: Farm) -> None:
    farm.set_pools(ECHO.replace("cmd_delete: 'true'", f"cmd_delete: touch {farm.folder}/deleted-$RESALLOC_ID"))
    farm.start()
    ticket = farm.take("A")
    assert farm.wait(ticket) == b"1\n"
    farm.set_pools("other: {max: 0, cmd_new: 'true', cmd_delete: 'true', tags: [B]}")
    until((farm.state / "pools" / "other.json").exists, what="the other pool")
    farm.close(ticket)
    until((farm.folder / "deleted-1").exists, what="the delete")


@pytest.mark.thorough
def test_the_state_folder_is_made_anew_when_it_is_missing(farm: Farm) -> None:
    farm.set_pools(ECHO)
    assert not farm.state.exists()
    farm.start()
    assert (farm.state / "FORMAT").read_text() == "1\n"
