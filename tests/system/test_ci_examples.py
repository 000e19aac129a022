"""The examples in docs/ci: they are what their CI system reads, as far as can be checked without one, and their
commands work with a whole farm.
"""

import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.system.farm import PROJECT, SHIM, Farm
from tests.system.jenkinsfile import Block, pipeline
from tests.waiting import until

CI = PROJECT / "docs" / "ci"
POOLS = """
local:
  max: 2
  max_prealloc: 1
  cmd_new: echo 10.0.0.$RESALLOC_ID
  cmd_delete: 'true'
  tags: [local]
"""
TEST_MACHINE = """#!/bin/sh
curl -fsS "$RESALLOC_URL/tickets/$RESALLOC_TICKET" >ticket-then
printf %s "$RESALLOC_DATA" >data-then
exit "${FAIL:-0}"
"""
"""The project's own test: leaves behind what it was given, and what the server said of its ticket."""
ENDLESS = "#!/bin/sh\necho $RESALLOC_TICKET >started.new && mv started.new started\nexec sleep 600\n"
"""A test that does not end by itself."""
COOKIE = "JENKINS_SERVER_COOKIE"
"""Environment variable by whose value Jenkins finds the processes of a build."""


class Project:
    """A checkout of the project that is tested, with the environment of a job."""

    def __init__(self, folder: Path, farm: Farm, variables: dict[str, str]) -> None:
        (folder / "ci").mkdir(parents=True)
        (folder / "ci" / "test-machine").write_text(TEST_MACHINE)
        (folder / "ci" / "test-machine").chmod(0o755)
        self.folder, self.farm = folder, farm
        self.environment = {"PATH": f"{SHIM}:{os.environ['PATH']}", **variables, "RESALLOC_URL": farm.url}

    def run(self, script: str, by: tuple[str, ...] = ("bash", "-e", "-c"), **variables: str) -> int:
        """The status of one step."""
        done = subprocess.run(
            [*by, script],
            cwd=self.folder,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        return done.returncode

    def check(self, sandbox: str) -> None:
        """The test ran while its ticket was open, in the project's sandbox, with its data; now that is closed."""
        ticket = json.loads((self.folder / "ticket-then").read_text())
        assert (ticket["state"], ticket["tags"], ticket["sandbox"]) == ("OPEN", ["local"], sandbox)
        assert (self.folder / "data-then").read_text() == ticket["output"].strip()
        until(lambda: self.state_of(ticket["id"]) == "CLOSED", what="the close")

    def state_of(self, ticket: int) -> str:
        answer = subprocess.check_output(["curl", "-fsS", f"{self.farm.url}/tickets/{ticket}"], timeout=20)
        return str(json.loads(answer)["state"])


@pytest.fixture(scope="module")
def working(shared_farm: Farm) -> Farm:
    """A server that runs. Each test closes its tickets."""
    shared_farm.set_pools(POOLS)
    shared_farm.start()
    return shared_farm


@pytest.fixture
def build() -> str:
    """The id of a build. Jobs derive their idempotency key from it."""
    return uuid.uuid4().hex


@pytest.fixture
def cookie() -> str:
    """The value of the variable by which Jenkins finds the processes of a build."""
    return f"durable-{uuid.uuid4().hex}"


def load(name: str) -> Any:
    return yaml.safe_load((CI / name).read_text())


@pytest.mark.parametrize("job", ["with-resalloc-run", "with-curl"])
@pytest.mark.parametrize("fails", [False, True])
def test_github_actions(working: Farm, tmp_path: Path, build: str, job: str, fails: bool) -> None:
    """Given a test that passes or fails, when GitHub's steps have run, then the ticket is closed."""
    project = Project(
        tmp_path / "project",
        working,
        {
            **{"GITHUB_REPOSITORY": "us/it", "GITHUB_RUN_ID": build, "GITHUB_RUN_ATTEMPT": "1", "GITHUB_JOB": job},
            **{"GITHUB_OUTPUT": str(tmp_path / "output"), "FAIL": "1" if fails else "0"},
        },
    )
    workflow = load("github-actions.yml")
    assert {"name", "env", "jobs"} < set(workflow)
    outputs: dict[str, str] = {}
    failed = False
    for step in workflow["jobs"][job]["steps"]:
        if "run" not in step or (failed and "always()" not in step.get("if", "")):
            continue
        values = {name: evaluated(value, outputs) for name, value in step.get("env", {}).items()}
        failed = project.run(step["run"], **values) != 0 or failed
        if "id" in step:
            assert step["id"] == "take"
            outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert failed is fails
    project.check("us/it")


def evaluated(value: str, outputs: dict[str, str]) -> str:
    """A value with the outputs of the step `take` in place of their names."""
    return re.sub(r"\$\{\{ steps\.take\.outputs\.(\w+) \}\}", lambda match: outputs[match[1]], value)


@pytest.mark.parametrize("job", ["with-resalloc-run", "with-curl"])
@pytest.mark.parametrize("fails", [False, True])
def test_gitlab(working: Farm, tmp_path: Path, build: str, job: str, fails: bool) -> None:
    variables = {"CI_PROJECT_PATH": "us/it", "CI_JOB_ID": build, "FAIL": "1" if fails else "0"}
    project = Project(tmp_path / "project", working, variables)
    steps = load("gitlab-ci.yml")[job]
    status = project.run("\n".join(steps["script"]), by=("sh", "-e", "-c"))
    for line in steps.get("after_script", []):
        assert project.run(line, by=("sh", "-c")) == 0
    assert status == (1 if fails else 0)
    project.check("us/it")


@pytest.mark.parametrize("stage", ["With resalloc run", "With curl"])
@pytest.mark.parametrize("fails", [False, True])
def test_the_shell_steps_of_jenkins(working: Farm, tmp_path: Path, build: str, stage: str, fails: bool) -> None:
    """Given a test that passes or fails, when a stage's shell steps have run as Jenkins runs them, then its ticket is
    closed.
    """
    variables = {"JOB_NAME": "us/it", "BUILD_TAG": build, "FAIL": "1" if fails else "0"}
    project = Project(tmp_path / "project", working, variables)
    steps, post = jenkins_stage(stage)
    failed = False
    assert steps
    for script in steps:
        failed = failed or project.run(script, by=("sh", "-xe", "-c")) != 0
    for script in post:
        assert project.run(script, by=("sh", "-xe", "-c")) == 0
    assert failed is fails
    project.check("us/it")


def jenkins_stage(name: str) -> tuple[list[str], list[str]]:
    """The scripts of a stage: those that it is made of, and those that run whatever happened."""
    (stage,) = (stage for stage in pipeline().all("stage") if stage.arguments == (name,))
    steps = [script for part in stage.all("steps") for script in shell_steps(part)]
    return steps, [script for part in stage.all("post") for script in shell_steps(part)]


def shell_steps(block: Block) -> list[str]:
    return [script for step in block.all("sh") for script in step.arguments]


def _processes_with(variable: str) -> list[int]:
    """The processes that have this in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def interrupt_first(process: subprocess.Popen[bytes], cookie: str) -> None:
    """As GitHub does."""
    process.send_signal(signal.SIGINT)


def terminate_group(process: subprocess.Popen[bytes], cookie: str) -> None:
    """As GitLab's shell executor does."""
    os.killpg(process.pid, signal.SIGTERM)


def terminate_by_cookie(process: subprocess.Popen[bytes], cookie: str) -> None:
    """As Jenkins does."""
    for pid in sorted(_processes_with(f"{COOKIE}={cookie}"), reverse=True):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue


def github_script() -> str:
    (step,) = (step for step in load("github-actions.yml")["jobs"]["with-resalloc-run"]["steps"] if "run" in step)
    return str(step["run"])


def gitlab_script() -> str:
    return "\n".join(load("gitlab-ci.yml")["with-resalloc-run"]["script"])


def jenkins_script() -> str:
    (script,), _ = jenkins_stage("With resalloc run")
    return script


@pytest.mark.parametrize(
    ("script", "shell", "cancel"),
    [
        (github_script, ("bash", "-e", "-c"), interrupt_first),
        (gitlab_script, ("bash", "-c"), terminate_group),
        (jenkins_script, ("sh", "-xe", "-c"), terminate_by_cookie),
    ],
)
def test_a_cancelled_resalloc_run_closes_its_ticket(
    working: Farm,
    tmp_path: Path,
    script: Callable[[], str],
    shell: tuple[str, ...],
    cancel: Callable[[subprocess.Popen[bytes], str], None],
    cookie: str,
) -> None:
    """Given a test that would go on for long, when the job gets the signals of its CI system, then its ticket is closed
    and the test has ended.
    """
    variables = dict.fromkeys(("GITHUB_REPOSITORY", "CI_PROJECT_PATH", "JOB_NAME"), "us/it")
    project = Project(tmp_path / "project", working, {**variables, COOKIE: cookie})
    (project.folder / "ci" / "test-machine").write_text(ENDLESS)
    with subprocess.Popen(
        [*shell, script()],
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        started = project.folder / "started"
        until(started.exists, what="the test")
        ticket = int(started.read_text())
        assert project.state_of(ticket) == "OPEN"
        cancel(process, cookie)
        assert process.wait(timeout=20) != 0
        until(lambda: project.state_of(ticket) == "CLOSED", what="the close")
        until(lambda: _processes_with(f"{COOKIE}={cookie}") == [], what="the end of all its processes")


def github_close(project: Project, key: str) -> None:
    (step,) = (
        step
        for step in load("github-actions.yml")["jobs"]["with-curl"]["steps"]
        if step.get("name") == "Close the ticket"
    )
    outputs = {"key": key, "ticket": ""}
    values = {name: evaluated(value, outputs) for name, value in step["env"].items()}
    assert project.run(step["run"], **values) == 0


def gitlab_close(project: Project, key: str) -> None:
    for line in load("gitlab-ci.yml")["with-curl"]["after_script"]:
        assert project.run(line, by=("sh", "-c")) == 0


def jenkins_close(project: Project, key: str) -> None:
    (always,) = pipeline().all("always")
    (script,) = shell_steps(always)
    assert project.run(script, by=("sh", "-xe", "-c")) == 0


@pytest.mark.parametrize(
    ("close", "key"), [(github_close, "us/it/{}/1/test"), (gitlab_close, "us/it/{}"), (jenkins_close, "{}")]
)
def test_a_job_that_was_cancelled_before_it_knew_its_ticket_closes_it(
    working: Farm, tmp_path: Path, build: str, close: Callable[[Project, str], None], key: str
) -> None:
    """Given a request whose reply was lost, when the step that always runs has run, then that ticket is closed."""
    names = ("GITHUB_REPOSITORY", "CI_PROJECT_PATH", "JOB_NAME")
    variables = dict.fromkeys(names, "us/it") | {"CI_JOB_ID": build, "BUILD_TAG": build}
    project = Project(tmp_path / "project", working, variables)
    key = key.format(build)
    lost = int(working.curl("-H", f"Idempotency-Key: {key}", "-d", "tag=local&sandbox=us/it", "/tickets"))
    close(project, key)
    assert project.state_of(lost) == "CLOSED"
    after = working.take("local")
    working.close(after)
    assert after == lost + 1


def test_every_file_is_named_in_the_readme() -> None:
    readme = (CI / "README.md").read_text()
    assert {path.name for path in CI.iterdir()} - {"README.md"} == set(re.findall(r"\]\(([\w.-]+)\)", readme))
