"""Starts a real web server without a scheduler, and writes what a scheduler would write."""

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import xmlrpc.client
from pathlib import Path

from state.documents import Ticket
from state.files.store import FileStore
from tests.waiting import until

ROOT = Path(__file__).parents[2]


class Server:
    """A gunicorn of this application, with one worker."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = folder / "web.log"
        config = folder / "config"
        config.mkdir()
        (config / "server.yaml").write_text(f"workers: 1\nlogdir: {folder}/log\n")
        environment = os.environ | {
            "PORT": str(self.port),
            "CONFIG_DIR": str(config),
            "RESALLOC_STATE_DIR": str(folder / "state"),
        }
        command = [sys.executable, "-m", "gunicorn", "-c", "functions/web/gunicorn.py", *options]
        command.append("functions.app:create_app()")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            until(self.answers, 60, f"an answer from the web server, see {self.log},")
        except AssertionError:
            self.end()
            raise

    def answers(self) -> bool:
        try:
            return self.get("/healthz").status == 200
        except OSError:
            return False

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def get(self, path: str) -> http.client.HTTPResponse:
        connection = self.connect()
        connection.request("GET", path)
        return connection.getresponse()

    def proxy(self, **options: bool) -> xmlrpc.client.ServerProxy:
        return xmlrpc.client.ServerProxy(f"http://127.0.0.1:{self.port}/RPC2", **options)

    def connections(self) -> int:
        """How many connections the server has open, by the kernel's table: states ESTABLISHED and CLOSE_WAIT."""
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(int(row[1].split(":")[1], 16) == self.port and row[3] in ("01", "08") for row in rows)

    def stop(self, patience: float = 20) -> None:
        """Stop as an operator would."""
        self.process.terminate()
        self.process.wait(patience)

    def end(self) -> None:
        """Stop at once, with SIGKILL if nothing else helps."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def park(server: Server, path: str, count: int = 1) -> list[http.client.HTTPConnection]:
    """Send requests that will wait; returns once the server has read them."""
    connections = [server.connect() for _ in range(count)]
    for connection in connections:
        connection.request("GET", path)
    assert server.get("/healthz").status == 200
    return connections


def new_ticket(store: FileStore) -> int:
    return store.tickets.create(lambda number: Ticket(id=number, tags=("A",))).id


def assign(store: FileStore, number: int, output: bytes) -> None:
    store.tickets.update(number, lambda ticket: ticket.replace(resource=1, resource_name="r", output=output))


def answered(connections: list[http.client.HTTPConnection]) -> list[socket.socket]:
    """The connections on which a reply has arrived."""
    readable, _, _ = select.select([connection.sock for connection in connections], [], [], 0)
    return readable
