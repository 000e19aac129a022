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
        """What hindered them: a piece that did not end, or did not come up again."""
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
        group = self._group(source)
        if group is None:
            return None
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return None
        return "killed hooks"

    def _kill_supervisor(self, source: random.Random) -> str | None:
        group = self._group(source)
        supervisor = supervisor_of(group) if group is not None else None
        if supervisor is None:
            return None
        _kill(supervisor)
        return "killed hook supervisors"

    def _group(self, source: random.Random) -> int | None:
        """The process group of a hook that runs now, waited for up to a second."""
        runs = self._server.state / "runs"
        for _ in range(200):
            groups = sorted(runs.glob("*.group"))
            if groups:
                try:
                    return int(source.choice(groups).read_text())
                except (FileNotFoundError, ValueError):
                    continue
            if self._stop.wait(0.005):
                return None
        return None


def supervisor_of(hook: int) -> int | None:
    """The process id of the supervisor of this hook, None when one of them is gone."""
    try:
        parent = int(Path(f"/proc/{hook}/stat").read_text().rpartition(")")[2].split()[1])
        return parent if b"run-hook.sh" in Path(f"/proc/{parent}/cmdline").read_bytes() else None
    except (FileNotFoundError, ProcessLookupError):
        return None


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
