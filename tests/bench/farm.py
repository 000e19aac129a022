"""A real farm to measure: gunicorn with functions/web/gunicorn.py and `python -m scheduler` in their own folder."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from state.host import locks
from tests.bench import processes
from tests.system.farm import children_of, environment_of, free_port
from tests.waiting import until

PROJECT = Path(__file__).resolve().parent.parent.parent
GUNICORN = ("-m", "gunicorn", "-c", str(PROJECT / "functions" / "web" / "gunicorn.py"))


class Server:
    """Processes with one configuration folder and one port; their output goes to files below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config"
        self.config.mkdir(parents=True, exist_ok=True)
        (self.config / "server.yaml").write_text("hostname: 127.0.0.1\n")
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.url = f"http://127.0.0.1:{self.port}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        return environment_of(self.config, self.folder / "state", self.folder / "log", self.port)

    def spawn(self, name: str, *arguments: str) -> None:
        """Start `python ARGUMENTS`; what it prints goes to NAME.out."""
        with open(self.folder / f"{name}.out", "ab") as output:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def pids(self, *names: str) -> list[int]:
        """Ids of these processes (of all by default) and of gunicorn's workers; hooks are not among them."""
        found = []
        for name in names or tuple(self._processes):
            pid = self._processes[name].pid
            found += [pid, *(children_of(pid) if name == "web" else ())]
        return found

    def start_web(self, application: str) -> None:
        self.spawn("web", *GUNICORN, application)

    def answers(self, path: str) -> bool:
        """Whether the web answers 200."""
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except OSError:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended: {(self.folder / f'{name}.out').read_text()[-2000:]}") from None
            return False
        finally:
            connection.close()

    def rest(self) -> None:
        """Wait until no worker has anything to do: while one still starts, another one gets all connections."""
        pids = self.pids("web")
        used = processes.processor_seconds(pids)
        while True:
            time.sleep(0.5)
            before, used = used, processes.processor_seconds(pids)
            if used - before < 0.03:
                return

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Hello(Server):
    """The same gunicorn with an application that only says hello."""

    def start(self) -> None:
        self.start_web("tests.bench.hello:application")
        until(lambda: self.answers("/"), 30, "the hello application")
        self.rest()


class Farm(Server):
    """One farm; `state` is its state folder, which may be prepared before it starts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state = folder / "state"

    def set_pools(self, pools: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace pools.yaml as an editor does. `cmd_new` and `cmd_delete` do next to nothing unless given."""
        usual = {"cmd_new": "echo", "cmd_delete": "true"}
        staged = self.config / ".pools.yaml.new"
        staged.write_text(json.dumps({name: {**usual, **options} for name, options in pools.items()}))
        staged.rename(self.config / "pools.yaml")

    def launch(self) -> None:
        """Start both processes and wait for nothing."""
        self.spawn("scheduler", "-m", "scheduler")
        self.start_web("functions.app:create_app()")

    def start(self) -> None:
        """Start both processes and wait until they work."""
        self.launch()
        until(self._leads, 60, "a leading scheduler")
        until(lambda: self.answers("/healthz"), 30, "the web")
        self.rest()

    def memory(self) -> float:
        """Proportional set size of all processes but the hooks and the resources, in MB."""
        return processes.memory(self.pids())

    def stop(self) -> None:
        """Stop both processes, and the hooks under way with all that they started."""
        super().stop()
        for path in (self.state / "runs").glob("*.group"):
            try:
                os.killpg(int(path.read_text()), signal.SIGKILL)
            except (ValueError, ProcessLookupError, FileNotFoundError):
                pass

    def _leads(self) -> bool:
        if self._processes["scheduler"].poll() is not None:
            raise AssertionError(f"the scheduler ended: {(self.folder / 'scheduler.out').read_text()[-2000:]}")
        return (self.state / "view" / "pools.json").exists() and locks.is_held(self.state / "locks" / "leader")
