"""Starts and adopts hook runs, ends them when they must end, and returns their outcomes.

This is the only file that starts subprocesses. `runfiles.py` knows the files of a run.
"""

import logging
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from functions.logfields import of_run, of_run_id
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.run_id import Consumer, find_run_id
from functions.timed.hook_runs import HookRun
from scheduler.runfiles import ENDINGS, RunFile, RunFiles
from state.documents import HookKind
from state.host.machine import boot_id, uptime

log = logging.getLogger(__name__)

SUPERVISOR = Path(__file__).with_name("run-hook.sh")
KILL_AFTER = 5.0
"""Seconds from SIGTERM to SIGKILL."""
STARTS_IN_A_ROW = 4
"""How many runs one call of `launch` starts."""
LOG_LIMIT = 256 * 1024 * 1024
"""Bytes that one run may write to its log, so that an endless hook cannot fill the disk."""
PROBE_PERIOD = 1.0
"""Seconds between two checks of supervisors, time limits and sizes of outputs."""


class Hooks:
    """Runs hooks: their files are in `runs`, their logs in `log_dir`/hooks, their working directory is `directory`.

    `environment` is the base of their variables, `clock` gives Unix seconds, `at_once` bounds the runs at one time
    except livechecks. `on_end` is called at the end of each run.
    """

    def __init__(
        self,
        runs: Path,
        log_dir: Path,
        directory: Path,
        environment: Mapping[str, str],
        clock: Callable[[], float],
        at_once: int,
        on_end: Callable[[HookRun, Outcome], None] = lambda _run, _outcome: None,
    ) -> None:
        self._files = RunFiles(runs, log_dir / "hooks")
        self._directory = directory
        self._environment = {
            name: value for name, value in environment.items() if not name.startswith(("RESALLOC_", "MALLOC_"))
        }
        self._clock = clock
        self._at_once = at_once
        self._on_end = on_end
        self._waiting: deque[HookRun] = deque()
        self._waiting_checks: deque[HookRun] = deque()
        self._active: dict[str, RunFile] = {}
        self._ended: dict[str, Outcome] = {}
        self._ended_by_consumer: dict[Consumer, dict[str, None]] = {consumer: {} for consumer in Consumer}
        """Ids of ended runs, in the order in which they ended."""
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._cuts: dict[str, tuple[float, str]] = {}
        """Runs that this process ended: when (uptime in seconds) and why."""
        self._ending: list[subprocess.Popen[bytes]] = []
        """Supervisors that are about to exit: the results of their runs are written."""

    def place(self) -> str:
        """A text that differs for each folder of runs, also for a copy of it, and after each boot of the machine."""
        return self._files.place()

    def adopt(self) -> None:
        """Adopt the runs that an earlier scheduler started; those without a living supervisor count as ended.

        Raises StoreUnavailable.
        """
        for name in sorted(self._files.names()):
            if not name.endswith(".run"):
                continue
            run_id = name.removesuffix(".run")
            try:
                self._active[run_id] = self._files.read(run_id)
            except OSError as error:
                self._give_up(run_id, error)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                # The scheduler was killed before it wrote the file. The document that names the run decides.
                log.warning(
                    "run %s: its file is unreadable (%s); it is killed and dropped",
                    run_id,
                    error,
                    extra=of_run_id(run_id),
                )
                self._files.kill_group(run_id)
                self._files.remove(run_id)
        self._drop_strays()
        self.probe()

    def _give_up(self, run_id: str, error: OSError) -> None:
        """Kill a run whose first file the system refuses to read. It did start, so it must not be started again."""
        log.error("run %s: its file cannot be read (%s); it is killed", run_id, error, extra=of_run_id(run_id))
        self._files.kill_group(run_id)
        found = find_run_id(run_id)
        kind = found.hook if found and isinstance(found.hook, HookKind) else None
        run = HookRun(id=run_id, kind=kind, pool="", command="", environment={"RESALLOC_NAME": run_id}, limit=0, log="")
        self._active[run_id] = RunFile(run=run, started_at=self._clock(), boot=boot_id(), uptime=uptime())
        self._end(run_id, exit_status=None, cut_off=f"cannot be read: {error.strerror or error}", lost=True)

    def _drop_strays(self) -> None:
        """Kill runs whose first file was deleted, and delete their other files: no function will ask for them."""
        parts = [name.rpartition(".") for name in self._files.names()]
        runs = {run_id for run_id, _, ending in parts if ending in ENDINGS}
        for run_id in sorted(runs - self._active.keys()):
            if not os.path.lexists(self._files.path(run_id, "run")):
                log.warning("run %s: its first file was deleted; it is killed", run_id, extra=of_run_id(run_id))
                self._files.kill_group(run_id)
                self._files.remove(run_id)

    def start(self, run: HookRun) -> None:
        """Queue a run; the next calls of `launch` start it."""
        (self._waiting_checks if run.kind is HookKind.WATCH else self._waiting).append(run)

    def launch(self, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Start a few queued runs, within the bound on runs at once; returns whether more can be started now.

        Only a few, and fewer when it is `interrupted`: each costs a fork, and grants must not wait for a hundred forks.
        The bound on livechecks is kept by `functions.timed.livecheck`.
        """
        for begun in range(STARTS_IN_A_ROW):
            if begun and interrupted():
                return True
            if self._waiting and self._running() < self._at_once:
                self._launch(self._waiting.popleft())
            elif self._waiting_checks:
                self._launch(self._waiting_checks.popleft())
            else:
                return False
        return bool(self._waiting_checks) or bool(self._waiting and self._running() < self._at_once)

    def _running(self) -> int:
        return sum(file.run.kind is not HookKind.WATCH for file in self._active.values()) - sum(
            outcome.kind is not HookKind.WATCH for outcome in self._ended.values()
        )

    def _launch(self, run: HookRun) -> None:
        """Start a run, detached. If it cannot be started, the reason becomes its outcome."""
        file = RunFile(run=run, started_at=self._clock(), boot=boot_id(), uptime=uptime())
        self._active[run.id] = file
        try:
            file = msgspec.structs.replace(file, log_size=self._files.make_log(run.log))
            self._active[run.id] = file
            lock = self._files.begin(file)
            try:
                self._children[run.id] = self._start_supervisor(run, lock)
            finally:
                os.close(lock)
        except OSError as error:
            log.error("run %s: cannot be started: %s", run.id, error, extra=of_run(run))
            self._end(run.id, exit_status=None, cut_off=f"cannot be started: {error.strerror or error}", lost=True)

    def _start_supervisor(self, run: HookRun, lock: int) -> subprocess.Popen[bytes]:
        run_log = self._files.log_path(run.log)
        output = run_log if run.output_limit is None else self._files.path(run.id, "out")
        return subprocess.Popen(
            ["/bin/sh", str(SUPERVISOR), self._files.stem(run.id), str(output), str(run_log), run.command],
            stdin=lock,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._directory,
            env={**self._environment, **run.environment},
            start_new_session=True,
        )

    def finished(self, consumer: Consumer | None = None) -> list[tuple[HookRun, Outcome]]:
        """Ended runs (of one consumer), each until it is forgotten."""
        ended = self._ended if consumer is None else self._ended_by_consumer[consumer]
        return [(self._active[run_id].run, self._ended[run_id]) for run_id in ended]

    def forget(self, run: str) -> None:
        """Delete a run's files: its outcome has been recorded."""
        self._active.pop(run, None)
        self._ended.pop(run, None)
        if (found := find_run_id(run)) is not None:
            self._ended_by_consumer[found.consumer].pop(run, None)
        self._cuts.pop(run, None)
        child = self._children.pop(run, None)
        if child is not None:
            self._ending.append(child)
        self._reap()
        self._files.remove(run)

    def _reap(self) -> None:
        self._ending = [child for child in self._ending if child.poll() is None]

    def under_way(self, kind: HookKind | None = None) -> Collection[str]:
        """Ids of the runs (of a kind) that were started and not forgotten."""
        waiting = [run.id for run in (*self._waiting, *self._waiting_checks) if kind in (None, run.kind)]
        return waiting + [run_id for run_id, file in self._active.items() if kind in (None, file.run.kind)]

    def notice(self, names: Collection[str]) -> None:
        """Read the results among these changed file names."""
        for name in names:
            run_id, dot, ending = name.rpartition(".")
            if dot and ending == "result" and run_id in self._active and run_id not in self._ended:
                self._read_result(run_id)

    def probe(self) -> None:
        """Check every run: whether it ended, lost its supervisor, or exceeded its time or output limit."""
        self._reap()
        for run_id in [run_id for run_id in self._active if run_id not in self._ended]:
            file = self._active[run_id]
            child = self._children.get(run_id)
            if child is not None:
                child.poll()
            held = self._files.is_supervised(run_id)
            if self._read_result(run_id):
                continue
            if not held:
                self._kill(run_id, signal.SIGKILL)
                restarted = file.boot != boot_id()
                # When this server kills a run, its supervisor dies with the group.
                cut = None if restarted else self._why_cut(run_id)
                why = cut or ("the machine was restarted" if restarted else "its supervisor was killed")
                self._end(run_id, exit_status=None, cut_off=why, lost=cut is None)
            else:
                self._enforce_limits(run_id, file)

    def needs_probe(self) -> bool:
        """Whether a run is active, so that `probe` must be called regularly."""
        return len(self._active) > len(self._ended) or bool(self._ending)

    def _enforce_limits(self, run_id: str, file: RunFile) -> None:
        cut = self._cuts.get(run_id)
        if cut is not None:
            if uptime() - cut[0] > KILL_AFTER:
                self._kill(run_id, signal.SIGKILL)
            return
        run = file.run
        if uptime() - file.uptime > run.limit:
            self._cut(run_id, f"ended after its time limit of {run.limit:g} s", signal.SIGTERM)
        elif run.output_limit is not None and self._files.output_size(run_id) > run.output_limit:
            self._cut(run_id, f"printed more than {run.output_limit} bytes", signal.SIGKILL)
        elif self._files.log_size(run.log) - file.log_size > LOG_LIMIT:
            self._cut(run_id, f"wrote more than {LOG_LIMIT} bytes to its log", signal.SIGKILL)

    def _cut(self, run_id: str, why: str, how: signal.Signals) -> None:
        log.warning("run %s: %s", run_id, why, extra=of_run(self._active[run_id].run))
        self._cuts[run_id] = (uptime(), why)
        self._files.note_cut(self._active[run_id].run, why)
        self._kill(run_id, how)

    def _why_cut(self, run_id: str) -> str | None:
        """Why this process or an earlier one ended the run; None when neither did."""
        return self._cuts[run_id][1] if run_id in self._cuts else self._files.why_cut(run_id)

    def _read_result(self, run_id: str) -> bool:
        exit_status = self._files.result(run_id)
        if exit_status is None:
            return False
        if self._active[run_id].boot != boot_id():
            # Its files were not synced: after a power cut its output may be incomplete.
            self._end(run_id, exit_status=None, cut_off="the machine was restarted", lost=True)
            return True
        limit = self._active[run_id].run.output_limit
        why = self._why_cut(run_id)
        if why is not None:
            self._kill(run_id, signal.SIGKILL)
        elif limit is not None and self._files.output_size(run_id) > limit:
            why = f"printed more than {limit} bytes"
        elif 128 < exit_status <= 128 + 64:
            why = f"killed by signal {exit_status - 128}"
        self._end(run_id, exit_status=exit_status, cut_off=why, lost=False)
        return True

    def _end(self, run_id: str, *, exit_status: int | None, cut_off: str | None, lost: bool) -> None:
        file = self._active[run_id]
        output = None
        if file.run.output_limit is not None:
            try:
                printed = self._files.output(run_id, file.run.output_limit)
            except OSError as error:
                cut_off = cut_off or f"what it printed cannot be read: {error.strerror or error}"
            else:
                output = printed if cut_off is None else None
                # An earlier scheduler, killed since, may have logged it already.
                self._files.log_output(file, printed, unless_there=run_id not in self._children)
        self._ended[run_id] = outcome = Outcome(
            run=run_id,
            kind=file.run.kind,
            started_at=file.started_at,
            ended_at=max(self._clock(), file.started_at),
            exit=exit_status,
            cut_off=cut_off,
            lost=lost,
            output=output,
            last_line="" if exit_status == 0 else self._files.last_line(file.run.log),
            seconds=uptime() - file.uptime if file.boot == boot_id() else None,
        )
        if (found := find_run_id(run_id)) is not None:
            self._ended_by_consumer[found.consumer][run_id] = None
        self._on_end(file.run, outcome)

    def _kill(self, run_id: str, how: signal.Signals) -> None:
        if self._active[run_id].boot == boot_id():
            self._files.kill_group(run_id, how)
