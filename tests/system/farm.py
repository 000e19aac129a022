"""A whole farm for tests: real gunicorn, real scheduler, real hooks, started through xprocess."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xprocess import ProcessStarter, XProcess

from state.host import locks
from tests.waiting import until

PROJECT = Path(__file__).resolve().parent.parent.parent
SHIM = PROJECT / "shim"


class Farm:
    """One server: `config/`, `state/` and `log/` below `folder`, a web and a scheduler process."""

    def __init__(self, xprocess: XProcess, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config"
        self.state = folder / "state"
        self.logs = folder / "log"
        self.config.mkdir(parents=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._xprocess = xprocess
        self._name = uuid.uuid4().hex[:12]
        self._started: set[str] = set()
        self.set_server("")

    # Configuration

    def set_server(self, text: str) -> None:
        """Write server.yaml with short pauses, and `text` after them."""
        (self.config / "server.yaml").write_text(f"hostname: 127.0.0.1\nsleeptime: 5\n{text}")

    def set_pools(self, text: str) -> None:
        """Replace pools.yaml as an editor does."""
        staged = self.config / ".pools.yaml.new"
        staged.write_text(text)
        staged.rename(self.config / "pools.yaml")

    @property
    def environment(self) -> dict[str, str]:
        return environment_of(self.config, self.state, self.logs, self.port)

    # Processes

    def start(self) -> None:
        """Start both processes and wait until they work."""
        self.start_scheduler()
        self.start_web()

    def start_web(self) -> int:
        """Start gunicorn; returns the master's process id once it answers."""
        config = PROJECT / "functions" / "web" / "gunicorn.py"
        command = [sys.executable, "-m", "gunicorn", "-c", config, "functions.app:create_app()"]
        return self._start("web", command, self._answers)

    def start_scheduler(self) -> int:
        """Start the scheduler; returns its process id once it leads."""
        leader = self.state / "locks" / "leader"
        view = self.state / "view" / "pools.json"

        def leads() -> bool:
            return view.exists() and locks.is_held(leader)

        view.unlink(missing_ok=True)
        return self._start("scheduler", [sys.executable, "-m", "scheduler"], leads)

    def _start(self, name: str, command: list[Any], ready: Callable[[], bool]) -> int:
        environment = self.environment

        class Starter(ProcessStarter):
            args = command
            env = environment
            timeout = 30
            terminate_on_interrupt = True

            def startup_check(self) -> bool:
                return ready()

        self._started.add(name)
        pid: int = self._xprocess.ensure(f"{name}-{self._name}", Starter)[0]
        return pid

    def pid(self, name: str) -> int:
        """The process id of `web` (gunicorn's master) or `scheduler`."""
        pid: int = self._xprocess.getinfo(f"{name}-{self._name}").pid
        return pid

    def output(self, name: str) -> list[str]:
        """The lines that `web` or `scheduler` wrote to its standard output and error since its start."""
        path = Path(str(self._xprocess.getinfo(f"{name}-{self._name}").logpath))
        return [line for line in path.read_text().splitlines() if not line.startswith("@@__xproc")]

    def kill(self, name: str) -> None:
        """Kill one process (-9), and for the web its workers too."""
        pid = self.pid(name)
        victims = [pid, *(children_of(pid) if name == "web" else [])]
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        info = self._xprocess.getinfo(f"{name}-{self._name}")
        until(lambda: not info.isrunning(), what=f"the end of {name}")
        # While its last threads end, hooks still count as its children, and the next start would end them.
        Path(str(info.pidpath)).unlink()

    def terminate(self, name: str) -> None:
        """Ask one process to stop (SIGTERM) and wait until it did."""
        os.kill(self.pid(name), signal.SIGTERM)
        until(lambda: not self._xprocess.getinfo(f"{name}-{self._name}").isrunning(), what=f"the end of {name}")

    def stop(self) -> None:
        """Stop everything, hooks included, and remove what xprocess keeps."""
        for name in self._started:
            info = self._xprocess.getinfo(f"{name}-{self._name}")
            info.terminate(timeout=10)
            shutil.rmtree(str(info.controldir), ignore_errors=True)
        for path in (self.state / "runs").glob("*.group"):
            try:
                os.killpg(int(path.read_text()), signal.SIGKILL)
            except (ValueError, ProcessLookupError):
                pass

    def clear(self) -> None:
        """Close all tickets and delete all resources: what one test leaves behind must not serve the next one."""
        self.set_pools("none: {max: 0, cmd_new: 'true', cmd_delete: 'true'}")
        for ticket in self.get("/tickets")["tickets"]:
            self.close(ticket["id"])

        def is_empty() -> bool:
            return not self.resources() or not self.curl("-d", "all=1", "/resources/delete")

        until(is_empty, what="a server without resources")

    def last_id(self) -> int:
        """The highest id of a resource so far, 0 before the first one."""
        found = self._documents(self.state / "resources" / "live") + self.ended()
        return max([int(document["id"]) for document in found], default=0)

    def requests_read(self) -> int:
        """The number of connections that the web has accepted and from which it has read all that was sent so far."""
        found = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, _, state, queues, *_, inode = line.split()[:10]
            is_open = state == "01" and int(local.partition(":")[2], 16) == self.port
            found += is_open and inode != "0" and int(queues.partition(":")[2], 16) == 0
        return found

    def _answers(self) -> bool:
        return (
            subprocess.run(
                ["curl", "-fsS", "-o", os.devnull, f"{self.url}/healthz"], check=False, capture_output=True
            ).returncode
            == 0
        )

    # Clients

    def curl(self, *arguments: str, check: bool = True) -> bytes:
        """The body that curl prints; a status of 400 and above fails unless `check` is off."""
        options = ["-fsS"] if check else ["-sS"]
        command = ["curl", *options, *arguments[:-1], self.url + arguments[-1]]
        return subprocess.run(command, check=check, capture_output=True, timeout=60).stdout

    def status(self, *arguments: str) -> int:
        """The HTTP status of a request made with curl."""
        return int(self.curl("-o", os.devnull, "-w", "%{http_code}", *arguments, check=False))

    def get(self, path: str) -> Any:
        """A JSON reply."""
        return json.loads(self.curl("-H", "Accept: application/json", path))

    def take(self, *tags: str, sandbox: str | None = None) -> int:
        """Take a ticket with curl."""
        fields = [f"tag={tag}" for tag in tags] + ([f"sandbox={sandbox}"] if sandbox else [])
        return int(self.curl(*(word for field in fields for word in ("--data-urlencode", field)), "/tickets"))

    def wait(self, ticket: int, seconds: float = 20) -> bytes:
        """Wait with curl until the ticket has a resource; returns its output."""
        return self.curl(f"/tickets/{ticket}/wait?timeout={seconds}")

    def close(self, ticket: int) -> None:
        self.curl("-X", "DELETE", f"/tickets/{ticket}")

    def shim(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run shim/resalloc against this farm."""
        command = [SHIM / "resalloc", "--connection", self.url, *arguments]
        return subprocess.run(command, check=check, capture_output=True, timeout=60)

    # Documents on disk

    def resources(self) -> list[dict[str, Any]]:
        """The documents of all living resources, by id."""
        return [found for found in self._documents(self.state / "resources" / "live") if found["state"] != "ENDED"]

    def up(self, pool: str | None = None) -> list[dict[str, Any]]:
        """The documents of UP resources, of one pool if it is named."""
        return [found for found in self.resources() if found["state"] == "UP" and pool in (None, found["pool"])]

    def ended(self) -> list[dict[str, Any]]:
        """The documents of archived resources, by id."""
        return sorted(
            (
                document
                for folder in (self.state / "resources" / "ended").glob("*")
                for document in self._documents(folder)
            ),
            key=lambda document: int(document["id"]),
        )

    def ticket(self, number: int) -> dict[str, Any]:
        """A ticket's document, finished or not."""
        for path in (
            self.state / "tickets" / "open" / f"{number}.json",
            self.state / "tickets" / "done" / str(number // 1000) / f"{number}.json",
        ):
            try:
                document: dict[str, Any] = json.loads(path.read_bytes())
                return document
            except FileNotFoundError:
                continue
        raise AssertionError(f"ticket {number} does not exist")

    def _documents(self, folder: Path) -> list[dict[str, Any]]:
        documents = []
        for path in folder.glob("*.json"):
            try:
                documents.append(json.loads(path.read_bytes()))
            except FileNotFoundError:
                continue
        return sorted(documents, key=lambda document: int(document["id"]))


def environment_of(config: Path, state: Path, logs: Path, port: int) -> dict[str, str]:
    """The environment of a server's processes, with what the Procfile sets for the C library."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RESALLOC_", "COV_"))}
    words = (PROJECT / "Procfile").read_text().split()
    return {
        **kept,
        **dict(word.split("=", 1) for word in words if word.startswith("MALLOC_")),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "CONFIG_DIR": str(config),
        "RESALLOC_STATE_DIR": str(state),
        "RESALLOC_LOG_DIR": str(logs),
        "PORT": str(port),
    }


def children_of(pid: int) -> list[int]:
    """The process ids of a process's children."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def free_port() -> int:
    """A free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
