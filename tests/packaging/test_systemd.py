"""The installed server under a real systemd, booted in a container, by the commands of docs/deployment.md."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Installed, system_python
from tests.waiting import until

pytestmark = pytest.mark.thorough

WEB, SCHEDULER = "resalloc-functions-web.service", "resalloc-functions-scheduler.service"


def commands_of(section: str) -> str:
    """The commands that a section of docs/deployment.md shows."""
    page = (ROOT / "docs/deployment.md").read_text()
    text = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall("^    (.*)", text, re.MULTILINE))


class Machine:
    """A booted container: this machine's /usr with the installed server laid over it, an /etc and /var of its own."""

    def __init__(self, folder: Path, installed: Path) -> None:
        self.root = folder / "root"
        self.log = folder / "console"
        for name in ("proc", "sys", "dev", "run", "tmp", "usr", "root", "var/log/nginx", "var/lib/nginx"):
            (self.root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")
        shutil.copytree(installed / "etc", self.root / "etc")
        shutil.copy(ROOT / "config/pools.yaml", self.root / "etc/resallocserver/pools.yaml")
        for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache", "os-release"):
            shutil.copy(f"/etc/{name}", self.root / "etc")
        for name in ("nginx", "pam.d", "security"):
            if Path("/etc", name).exists():
                shutil.copytree(Path("/etc", name), self.root / "etc" / name, symlinks=True)
        (self.root / "etc/machine-id").touch()
        target = self.root / "etc/systemd/system/default.target"
        target.parent.mkdir(parents=True)
        target.symlink_to("/usr/lib/systemd/system/multi-user.target")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "systemd-nspawn",
                    f"--directory={self.root}",
                    f"--overlay-ro=/usr:{installed}/usr:/usr",
                    f"--machine=resalloc-{os.getpid()}",
                    "--private-network",
                    "--register=no",
                    "--keep-unit",
                    "--console=pipe",
                    "--boot",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def boots(self) -> bool:
        """Whether its systemd comes up; a container cannot be had everywhere."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, IndexError, subprocess.TimeoutExpired):
                if self.run("systemctl is-system-running").stdout.strip() in ("running", "degraded"):
                    return True
            time.sleep(0.2)
        return False

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script as the machine's root; it ends at the first command that fails."""
        nspawn = self.process.pid
        leader = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()[0]
        return subprocess.run(
            [
                "nsenter",
                f"--target={leader}",
                "--mount",
                "--uts",
                "--ipc",
                "--pid",
                "--net",
                "env",
                "--chdir=/",
                "sh",
                "-ec",
                script,
            ],
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_COLORS": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
            start_new_session=True,
        )

    def do(self, script: str) -> str:
        """Run a script that succeeds; gives what it printed."""
        done = self.run(script)
        assert done.returncode == 0, f"{done.stdout}\n{self.run('journalctl --no-pager --lines=40').stdout}"
        return done.stdout

    def main_process(self, unit: str) -> int:
        process = int(self.do(f"systemctl show --property=MainPID --value {unit}"))
        assert process > 1, f"{unit} does not run"
        return process

    def status_of(self, process: int) -> dict[str, str]:
        """The fields of /proc/PID/status."""
        lines = self.do(f"cat /proc/{process}/status").splitlines()
        return dict(line.split(":\t", 1) for line in lines)

    def file_servers(self) -> list[int]:
        """The processes that the hooks of the example pool left running."""
        return [int(process) for process in self.run("pgrep -f [h]ttp.server").stdout.split()]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module")
def booted(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if os.getuid() != 0 or shutil.which("systemd-nspawn") is None:
        pytest.skip("NOT ROOT, or systemd-nspawn IS NOT INSTALLED: the services are NOT run; install systemd-container")
    if not system_python().startswith("/usr/"):
        pytest.skip("NO PYTHON 3.11 WITH venv IN /usr: the services are NOT run; install python3-venv")
    machine = Machine(tmp_path_factory.mktemp("machine"), installed.root)
    try:
        if not machine.boots():
            pytest.skip(
                f"A CONTAINER CANNOT BE BOOTED HERE, the services are NOT run: {machine.log.read_text()[-300:]}"
            )
        yield machine
    finally:
        machine.stop()


@pytest.fixture(scope="module")
def started(booted: Machine) -> tuple[Machine, str]:
    """The machine after the commands that start the server, and what they printed."""
    return booted, booted.do(commands_of("Configure the pools") + "\n" + commands_of("Start"))


@pytest.fixture
def machine(started: tuple[Machine, str]) -> Machine:
    return started[0]


def test_commands_of_the_page_start_the_server_and_give_a_resource(started):
    machine, printed = started

    assert "local: at most 4" in printed
    assert re.search(r"^127\.0\.0\.1:\d+$", printed, re.MULTILINE)
    assert machine.do(f"systemctl is-active {WEB} {SCHEDULER}").split() == ["active", "active"]
    assert machine.do("systemctl is-enabled resalloc-functions.target").strip() == "enabled"
    assert machine.do("stat -c %U /var/lib/resallocserver/var /var/log/resallocserver/main.log").split() == [
        "resalloc",
        "resalloc",
    ]


def test_commands_of_the_page_put_nginx_in_front(machine):
    if machine.run("command -v nginx").returncode != 0:
        pytest.skip("nginx IS NOT INSTALLED: its part of docs/deployment.md is NOT tested; install nginx")

    assert "scheduler: ok" in machine.do(commands_of("Put nginx in front"))


def test_old_database_can_be_imported(machine):
    assert "usage: resalloc-import" in machine.do(
        "cd /var/lib/resallocserver; runuser -u resalloc -- resalloc-import --help"
    )


def test_web_is_confined_and_hooks_are_not(machine):
    web = machine.status_of(machine.main_process(WEB))
    hook = machine.status_of(machine.file_servers()[0])
    unconfined = machine.status_of(1)  # a container has some limits of its own

    assert (web["NoNewPrivs"], int(web["CapBnd"], 16)) == ("1", 0)
    assert int(web["Seccomp_filters"]) > int(unconfined["Seccomp_filters"])
    assert machine.run(f"nsenter -t {web['Pid']} -m touch /usr/x /etc/x /var/x").stdout.count("Read-only") == 3
    for name in ("NoNewPrivs", "Seccomp_filters", "CapBnd"):
        assert hook[name] == unconfined[name]
    assert machine.do(f"readlink /proc/{hook['Pid']}/ns/mnt") == machine.do("readlink /proc/1/ns/mnt")


def test_hooks_outlive_a_stop_of_everything(machine):
    resources = until(
        lambda: (text := machine.do("curl -fsS http://localhost:49100/resources")).count("UP") >= 2 and text,
        what="two resources are up",
    )
    running = machine.file_servers()

    began = time.monotonic()
    machine.do("systemctl stop resalloc-functions.target")
    until(
        lambda: machine.run(f"systemctl is-active {WEB} {SCHEDULER}").stdout.split() == ["inactive", "inactive"],
        what="both services are stopped",
    )

    assert time.monotonic() - began < 12
    assert running
    assert set(running) <= set(machine.file_servers())
    machine.do("systemctl start resalloc-functions.target")
    until(
        lambda: machine.run("curl -fsS http://localhost:49100/resources").stdout == resources,
        what=f"the resources are those of before: {resources}",
    )


@pytest.mark.parametrize("unit", [WEB, SCHEDULER])
def test_killed_service_comes_back(machine, unit):
    before = machine.main_process(unit)

    machine.do(f"kill -KILL {before}")

    show = f"systemctl show --property=MainPID --value {unit}"
    # Longer than TimeoutStopSec: with version 1 of cgroups systemd does not see in a container that workers ended.
    until(lambda: machine.do(show).strip() not in ("0", str(before)), seconds=30, what=f"{unit} runs again")
    until(lambda: machine.run("curl -fsS http://localhost:49100/healthz").returncode == 0, what="the server answers")


def test_reload_replaces_the_workers_only(machine):
    main = machine.main_process(WEB)
    workers = machine.do(f"pgrep -P {main}").split()

    machine.do(f"systemctl reload {WEB}")

    until(
        lambda: (now := machine.do(f"pgrep -P {main}").split()) and not set(now) & set(workers),
        what="all workers are new",
    )
    assert machine.main_process(WEB) == main
