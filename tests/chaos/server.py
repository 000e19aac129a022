"""A real farm whose pieces are ended and started again, with hooks that leave a trace of all that they do."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from state.documents import Resource, ResourceState, Ticket
from state.files.store import FileStore
from tests.bench.farm import GUNICORN, Farm
from tests.chaos.record import Operation
from tests.system.farm import children_of
from tests.waiting import until

NEW = (
    'echo "new $RESALLOC_ID $(date +%s.%N)" >>{trace} && : >{things}/$RESALLOC_NAME'
    " && sleep {work} && echo $RESALLOC_ID"
)
DELETE = 'echo "delete $RESALLOC_ID $(date +%s.%N)" >>{trace} && rm -f {things}/$RESALLOC_NAME'
RELEASE = 'echo "release $RESALLOC_ID $(date +%s.%N)" >>{trace}'
LIST = "ls {things}"
LEFT_AFTER = 25.0
"""Seconds after which a ticket that no client knows was certainly made by a request whose reply was lost."""


class Server(Farm):
    """One farm. `things` holds a file for each resource that exists, `trace` a line for each hook that began.

    `work` is how long `cmd_new` takes (seconds).
    """

    def __init__(self, folder: Path, work: float = 0) -> None:
        super().__init__(folder)
        self.work = work
        self.things = folder / "things"
        self.things.mkdir(exist_ok=True)
        self.trace = folder / "trace"
        self._starts = 0
        self._outputs: dict[str, Path] = {}

    def set_pools(self, pools: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace pools.yaml; `{things}` and `{trace}` in commands are filled in; new, delete and list are given."""
        places = {"things": str(self.things), "trace": str(self.trace), "work": f"{self.work:g}"}
        filled = {}
        for name, options in pools.items():
            given: dict[str, Any] = {"cmd_new": NEW, "cmd_delete": DELETE, "cmd_list": LIST, **options}
            for option, value in given.items():
                if option.startswith("cmd_") and isinstance(value, str):
                    for place, path in places.items():
                        value = value.replace(f"{{{place}}}", path)  # noqa: PLW2901
                    given[option] = value
            filled[name] = given
        super().set_pools(filled)

    # Processes

    def begin(self, name: str, **environment: str) -> None:
        """Start `web`, or a scheduler of any other name, and wait for nothing."""
        arguments = (*GUNICORN, "functions.app:create_app()") if name == "web" else ("-m", "scheduler")
        self._starts += 1
        self._outputs[name] = self.folder / f"{name}-{self._starts}.out"
        with open(self._outputs[name], "wb") as output:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def rename(self, name: str, other: str) -> None:
        """Call a piece by another name from now on."""
        self._processes[other] = self._processes.pop(name)
        self._outputs[other] = self._outputs.pop(name)

    def begin_ready(self, name: str) -> None:
        """Start a piece and wait until it works."""
        self.begin(name)
        until(lambda: self.is_ready(name), 60, f"the {name}")

    def start(self) -> None:
        self.begin("scheduler")
        self.begin("web")
        until(lambda: self.is_ready("scheduler") and self.is_ready("web"), 60, "the server")

    def is_ready(self, name: str) -> bool:
        """Whether the web answers, or this very scheduler leads and has checked everything."""
        if self._processes[name].poll() is not None:
            raise AssertionError(f"{name} ended: {self.printed(name)[-2000:]}")
        return self.well() if name == "web" else self.leader() == self._processes[name].pid

    def well(self) -> bool:
        """Whether the web answers."""
        connection = http.client.HTTPConnection(*self.address, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def leader(self) -> int | None:
        """The process id of the scheduler that was the last to show that it leads."""
        try:
            return int(json.loads((self.state / "view" / "pools.json").read_bytes())["leader"]["pid"])
        except FileNotFoundError:
            return None

    def send(self, name: str, number: int) -> None:
        os.kill(self._processes[name].pid, number)

    def workers(self) -> list[int]:
        """The process ids of the web's workers."""
        return children_of(self._processes["web"].pid)

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a piece, and as a supervisor does, what a killed web leaves behind."""
        process = self._processes[name]
        left = self.workers() if name == "web" else []
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{name} did not end within 20 s of signal {number}") from None
        for worker in left:
            try:
                os.kill(worker, signal.SIGKILL)
            except ProcessLookupError:
                continue
            until(lambda worker=worker: _has_ended(worker), 5, "the end of a worker")  # type: ignore[misc]

    def printed(self, name: str) -> str:
        """The output of a process since its last start."""
        return self._outputs[name].read_text(errors="replace")

    def tracebacks(self) -> list[str]:
        """The last line of each traceback that any piece ever printed: what the product did not expect."""
        found = []
        for path in sorted(self.folder.glob("*.out")):
            for text in path.read_text(errors="replace").split("Traceback (most recent call last):")[1:]:
                last = next((line for line in text.splitlines() if line and not line.startswith(" ")), "")
                found.append(f"{path.stem} printed a traceback: {last}")
        return found

    # Documents on disk

    def tickets(self) -> dict[int, Ticket]:
        """All tickets, finished or not."""
        tickets = FileStore(self.state).tickets
        return {key: tickets.read(key) for key in {*tickets.living(), *tickets.archived()}}

    def open_tickets(self) -> list[Ticket]:
        """The tickets that are not settled."""
        return FileStore(self.state).read_all().tickets

    def resources(self) -> list[Resource]:
        """The living resources."""
        return [found for found in FileStore(self.state).read_all().resources if found.state is not ResourceState.ENDED]

    def traced(self, what: str) -> list[tuple[str, float]]:
        """The resources for which a hook began, and when (Unix seconds)."""
        if not self.trace.exists():
            return []
        lines = [line.split() for line in self.trace.read_text().splitlines()]
        return [(resource, float(at)) for kind, resource, at in lines if kind == what]

    def close_lost(self, record: Sequence[Operation]) -> None:
        """Close tickets whose id was lost on its way to a client without a key: they would fill the pools in time."""
        known = {operation.ticket for operation in list(record)}
        for ticket in self.open_tickets():
            if ticket.id not in known and ticket.created_at < time.time() - LEFT_AFTER:
                self.close(ticket.id)

    # The end

    def come_to_rest(self, seconds: float = 60) -> list[str]:
        """Close what is open and wait until nothing moves; returns what does not come to rest, in words."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for ticket in self.open_tickets():
                if ticket.closed_at is None:
                    self.close(ticket.id)
            if not (moving := self.moving()):
                return []
            time.sleep(0.2)
        return [f"still so {seconds:g} s after the last client left: {what}" for what in moving]

    def moving(self) -> list[str]:
        """Sentences about everything that has not come to rest."""
        moving = [f"ticket {ticket.id} is {ticket.state} and not settled" for ticket in self.open_tickets()]
        for found in self.resources():
            if found.state is not ResourceState.UP:
                moving.append(f"resource {found.id} is {found.state}")
        return moving + [f"runs/{name}" for name in os.listdir(self.state / "runs")]

    def close(self, ticket: int) -> None:
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request("DELETE", f"/tickets/{ticket}")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()


def _has_ended(pid: int) -> bool:
    """Whether the process is gone, or only waits for its new parent to reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
