"""The steps of a newcomer: one command for the server, and the commands of the README in a second terminal."""

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.farm import PROJECT, free_port
from tests.waiting import until

INHERITED = ("RESALLOC_", "MAKE", "MFLAGS")


class Server:
    """`make run` with the demo pools, in a state folder and with loopback ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.output = folder / "output"
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("RESALLOC_", "MAKE", "MFLAGS"))
            },
            "PORT": str(self.port),
            "RESALLOC_STATE_DIR": str(folder / "state"),
            "LOCAL_POOL_DIR": str(folder / "local"),
        }

    def start(self) -> None:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                ["make", "run"],
                cwd=PROJECT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(lambda: f"ready at {self.url}" in self.output.read_text(), 60, "the ready server")

    def stop(self, number: signal.Signals) -> float:
        """Send a signal to make as a terminal or a service manager does; returns how long the end took."""
        began = time.monotonic()
        os.killpg(self.process.pid, number)
        self.process.wait(30)
        return time.monotonic() - began

    def pid_of(self, name: str) -> int:
        """The process id that the output showed last for `web` or `scheduler`."""
        return int(re.findall(rf"{name} started \(pid (\d+)\)", self.output.read_text())[-1])

    def shell(self, script: str) -> str:
        return subprocess.run(
            ["sh", "-euc", script], cwd=PROJECT, env=self.environment, check=True, capture_output=True, timeout=60
        ).stdout.decode()

    def file_servers(self) -> dict[str, int]:
        """The running file servers of the pool: name of the resource to process id."""
        found = {}
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = process.read_bytes().decode(errors="replace").split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            folder = next((word for word in words if word.startswith(f"{self.folder}/local/")), None)
            if folder and "http.server" in words:
                found[Path(folder).parent.name] = int(process.parent.name)
        return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop(signal.SIGTERM)
        for pid in server.file_servers().values():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(tmp_path / "local", ignore_errors=True)


def commands_of_the_readme() -> list[str]:
    """The blocks of commands that the README shows for a first try, without the one that starts the server."""
    text = (PROJECT / "README.md").read_text().split("## Try it")[1].split("## Where to go")[0]
    return [block for block in re.findall(r"(?:^    .*\n)+", text, re.M) if "make run" not in block]


def test_the_commands_of_the_readme_run(server: Server) -> None:
    curl, ticket, run, maint = commands_of_the_readme()
    assert "resource-name.txt" in server.shell(curl.replace("http://localhost:49100", server.url))
    address = server.shell(ticket.replace("shim/resalloc", f"shim/resalloc --connection {server.url}"))
    assert re.fullmatch(r"127\.0\.0\.1:\d+", address.splitlines()[-1])
    listing = server.shell(run.replace("shim/resalloc", f"shim/resalloc --connection {server.url}"))
    assert "resource-name.txt" in listing
    server.shell(maint.replace("shim/resalloc-maint", f"shim/resalloc-maint --connection {server.url}"))


@pytest.mark.thorough
def test_both_demo_pools_give_what_they_promise(server: Server) -> None:
    resalloc = f"shim/resalloc --connection {server.url}"
    address = server.shell(f"id=$({resalloc} ticket --tag local) && {resalloc} ticket-wait $id").strip()
    with urllib.request.urlopen(f"http://{address}/resource-name.txt", timeout=5) as reply:
        assert reply.read().strip().decode() in server.file_servers()
    number = server.shell(f"id=$({resalloc} ticket --tag address) && {resalloc} ticket-wait $id").strip()
    assert re.fullmatch(r"192\.0\.2\.\d+", number)


@pytest.mark.thorough
def test_a_file_server_killed_by_hand_is_replaced(server: Server) -> None:
    before = until(lambda: len(server.file_servers()) == 2 and server.file_servers(), 30, "two spares")
    assert isinstance(before, dict)
    name, pid = sorted(before.items())[0]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not (server.folder / "local" / name).exists(), 60, "the delete of what was killed")
    until(lambda: len(server.file_servers()) == 2, 30, "another spare")
    assert name not in server.file_servers()


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["web", "scheduler"])
def test_a_killed_process_is_restarted(server: Server, name: str) -> None:
    pid = server.pid_of(name)
    os.kill(pid, signal.SIGKILL)
    until(lambda: server.pid_of(name) != pid, 20, f"the new {name}")
    resalloc = f"shim/resalloc --connection {server.url}"
    assert server.shell(f"id=$({resalloc} ticket --tag local) && {resalloc} ticket-wait $id").startswith("127.0.0.1:")


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_resources_alone_and_the_next_start_finds_them(server: Server, number: signal.Signals) -> None:
    before = until(lambda: len(server.file_servers()) == 2 and server.file_servers(), 30, "two spares")
    assert server.stop(number) < 10
    assert "Resources and running hooks continue" in server.output.read_text()
    assert server.file_servers() == before
    server.start()
    resalloc = f"shim/resalloc --connection {server.url}"
    server.shell(f"id=$({resalloc} ticket --tag local) && {resalloc} ticket-wait $id")
    assert before.items() <= server.file_servers().items()
