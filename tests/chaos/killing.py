"""Kills the pieces of a farm at random instants and starts them again, as a supervisor would."""

import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from tests.chaos.report import Report
from tests.chaos.server import Server
from tests.system.farm import children_of


class Killers(AbstractContextManager["Killers"]):
    """One thread each for the web, the scheduler and the hooks, so that more than one may be down. `seed` decides
    what they do and after which pauses; what runs at that instant, the machine does.
    """

    def __init__(self, server: Server, seed: int, report: Report, web: float, scheduler: float, hooks: float) -> None:
        """`web`, `scheduler`, `hooks` are the mean pauses (seconds) between two deeds; each is counted in `report`."""
        self._server = server
        self._report = report
        self._stop = threading.Event()
        self.troubles: list[str] = []
        """Problems of the kills: a process that did not end, or did not come up again."""
        plans: tuple[tuple[float, tuple[Callable[[random.Random], str | None], ...]], ...] = (
            (web, (self._kill_worker, self._kill_worker, self._kill_web, self._restart_web, self._reload_web)),
            (scheduler, (self._kill_scheduler, self._kill_scheduler, self._restart_scheduler)),
            (hooks, (self._kill_hook, self._kill_supervisor)),
        )
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{seed} {number}"), pause, deeds))
            for number, (pause, deeds) in enumerate(plans)
        ]

    def __enter__(self) -> "Killers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Returns when everything runs again."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(
        self, source: random.Random, pause: float, deeds: tuple[Callable[[random.Random], str | None], ...]
    ) -> None:
        while not self._stop.wait(source.uniform(0.2, 1.8) * pause):
            try:
                done = source.choice(deeds)(source)
            except AssertionError as error:
                self.troubles.append(str(error))
                return
            if done is not None:
                self._report.count(done)

    def _kill_worker(self, source: random.Random) -> str | None:
        workers = self._server.workers()
        if not workers:
            return None
        _kill(source.choice(workers))
        return "killed web workers"

    def _kill_web(self, source: random.Random) -> str:
        self._server.end("web", signal.SIGKILL)
        self._server.begin_ready("web")
        return "killed webs"

    def _restart_web(self, source: random.Random) -> str:
        self._server.end("web")
        self._server.begin_ready("web")
        return "restarted webs"

    def _reload_web(self, source: random.Random) -> str:
        self._server.send("web", signal.SIGHUP)
        return "reloaded webs"

    def _kill_scheduler(self, source: random.Random) -> str:
        self._server.end("scheduler", signal.SIGKILL)
        self._server.begin_ready("scheduler")
        return "killed schedulers"

    def _restart_scheduler(self, source: random.Random) -> str:
        self._server.end("scheduler")
        self._server.begin_ready("scheduler")
        return "restarted schedulers"

    def _kill_hook(self, source: random.Random) -> str | None:
        supervisor = self._supervisor(source)
        hooks = _children(supervisor) if supervisor is not None else []
        for hook in hooks:
            _kill(hook)
        return "killed hooks" if hooks else None

    def _kill_supervisor(self, source: random.Random) -> str | None:
        supervisor = self._supervisor(source)
        if supervisor is None:
            return None
        _kill(supervisor)
        return "killed hook supervisors"

    def _supervisor(self, source: random.Random) -> int | None:
        """The supervisor of a hook that runs now, waited for up to a second: it leads the hook's process group."""
        runs = self._server.state / "runs"
        for _ in range(200):
            groups = sorted(runs.glob("*.group"))
            if groups:
                try:
                    supervisor = int(source.choice(groups).read_text())
                    if b"run-hook.sh" in Path(f"/proc/{supervisor}/cmdline").read_bytes():
                        return supervisor
                except (FileNotFoundError, ProcessLookupError, ValueError):
                    continue
            if self._stop.wait(0.005):
                return None
        return None


def _children(process: int) -> list[int]:
    try:
        return children_of(process)
    except (FileNotFoundError, ProcessLookupError):
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
