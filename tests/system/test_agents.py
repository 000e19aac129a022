"""Agents on a whole farm: real gunicorn, real scheduler, real hooks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.farm import PROJECT, Farm
from tests.waiting import until

PAGE = (PROJECT / "docs" / "agents.md").read_text()
POOL = """
local:
  max: 3
  max_starting: 3
  max_prealloc: 0
  cmd_new: 'echo "machine $RESALLOC_ID"'
  cmd_delete: 'true'
  tags_on_demand: [local]
"""
SLOW = """
period: 0.2
agent_groups:
  slow:
    tags: [local]
    cmd_converge_to: cat ../wanted
    cmd_prepare: while [ ! -e ../prepared ]; do sleep 0.05; done; echo x >> ../prepares
    cmd_check_finished: test -e ../finished
    cmd_terminate: while [ ! -e ../over ]; do sleep 0.05; done; echo x >> ../terminates
"""


def run(farm: Farm, command: str) -> str:
    """The output of a shell command in the folder of the configuration."""
    done = subprocess.run(
        ["sh", "-c", command], cwd=farm.config, env=farm.environment, capture_output=True, text=True, check=False
    )
    return done.stdout


def states(farm: Farm) -> list[str]:
    return run(farm, 'jq -r .state "$RESALLOC_STATE_DIR"/agents/*.json').split()


def test_the_example_of_the_page_does_what_it_shows(farm: Farm) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (console,) = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    (farm.config / "agents.yaml").write_text(example)
    (farm.config / "jobs").mkdir()
    farm.set_pools(POOL)
    farm.start()
    commands = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", console, re.MULTILINE)
    assert len(commands) == 4
    for command, output in commands:
        until(lambda command=command, output=output: run(farm, command) == output, what=f"the output of {command}")
    assert sorted((farm.config / "runners").read_text().splitlines()) == ["machine 1", "machine 2"]
    until(lambda: farm.resources() == [], what="the end of the resources")
    assert {farm.ticket(number)["state"] for number in (1, 2)} == {"CLOSED"}


@pytest.mark.thorough
def test_agents_live_beside_clients_and_survive_the_kill_of_the_scheduler_in_every_state(farm: Farm) -> None:
    (farm.config / "agents.yaml").write_text(SLOW)
    (farm.folder / "wanted").write_text("1")
    farm.set_pools(POOL.replace("max: 3", "max: 0"))
    farm.start()

    def restart_in(state: str) -> None:
        until(lambda: states(farm) == [state], what=f"the agent in {state}")
        farm.kill("scheduler")
        farm.start_scheduler()
        assert states(farm) == [state]

    restart_in("NEW")
    farm.set_pools(POOL)
    restart_in("PREPARING")
    client = farm.take("local")
    farm.wait(client)
    (farm.folder / "prepared").touch()
    restart_in("WORKING")
    assert farm.ticket(1)["state"] == "OPEN"
    (farm.folder / "wanted").write_text("0")
    (farm.folder / "finished").touch()
    restart_in("TERMINATING")
    (farm.folder / "over").touch()
    until(lambda: states(farm) == [], what="the end of the agent")
    until(
        lambda: [found["id"] for found in farm.resources()] == [farm.ticket(client)["resource"]],
        what="the end of its resource",
    )
    assert farm.ticket(1)["state"] == "CLOSED"
    assert [len((farm.folder / name).read_text().split()) for name in ("prepares", "terminates")] == [1, 1]


@pytest.mark.thorough
def test_an_agents_resource_that_an_operator_deletes_is_replaced(farm: Farm) -> None:
    (farm.config / "agents.yaml").write_text("period: 0.2\nagent_groups: {runners: {tags: [local]}}")
    farm.set_pools(POOL)
    farm.start()
    until(lambda: states(farm) == ["WORKING"], what="an agent")
    assert farm.status("-X", "DELETE", "/resources/1") == 202
    until(lambda: (farm.state / "agents" / "2.json").exists() and states(farm) == ["WORKING"], what="another agent")
    assert farm.ticket(1)["state"] == "CLOSED"


@pytest.mark.parametrize("arguments", [[], ["once", "reconcile"]])
def test_the_scheduler_does_not_start_with_a_broken_agents_file(farm: Farm, arguments: list[str]) -> None:
    farm.set_pools(POOL)
    (farm.config / "agents.yaml").write_text("agent_groups: {runners: {}}")
    command = [sys.executable, "-m", "scheduler", *arguments]
    ended = subprocess.run(
        command, env=farm.environment, cwd=Path(PROJECT), capture_output=True, text=True, timeout=30, check=False
    )
    path = farm.config / "agents.yaml"
    assert ended.returncode == 78
    assert ended.stderr == (
        f'{path}:1: group "runners", option "tags": is missing: a ticket without tags would take any resource\n'
    )
    assert not farm.state.exists()
    assert not farm.logs.exists()
