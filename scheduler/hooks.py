"""Starts and adopts hook runs: the only subprocess of the server.

Each run has files in `runs/`: ID.run (what was started; locked while its supervisor lives), ID.group (its process
group), ID.out (captured standard output), ID.cut (why the server ended it), ID.result (its exit status).
"""

import logging
import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from functions.logfields import of_run, of_run_id
from functions.policy.outcomes import Outcome
from functions.timed.hooks import HookRun
from state import locks
from state.boot import boot_id, uptime
from state.documents import HookKind
from state.errors import StoreUnavailable

log = logging.getLogger(__name__)

SUPERVISOR = Path(__file__).with_name("run-hook.sh")
KILL_AFTER = 5.0
"""Seconds between asking a process group to end and killing it."""
STARTS_IN_A_ROW = 4
_ENDINGS = (".out", ".cut", ".group", ".result")
LOG_LIMIT = 256 * 1024 * 1024
"""Bytes that one run may write to its log, so that a hook that prints without end fills no disk."""
PROBE_PERIOD = 1.0
"""Seconds between two looks at whether supervisors live, limits hold and outputs stay small."""


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """What ID.run holds. `uptime` is the machine's at the start: wall clocks jump. `log_size` is what others wrote."""

    run: HookRun
    started_at: float
    boot: str
    uptime: float
    log_size: int = 0


class Hooks:
    """Runs hooks below `runs`, logging to `log_dir`/hooks, in the folder `directory`, with `environment` as a base."""

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
        self._runs = runs
        self._logs = log_dir / "hooks"
        self._directory = directory
        self._environment = {name: value for name, value in environment.items() if not name.startswith("RESALLOC_")}
        self._clock = clock
        self._at_once = at_once
        self._on_end = on_end
        self._waiting: deque[HookRun] = deque()
        self._waiting_checks: deque[HookRun] = deque()
        self._active: dict[str, RunFile] = {}
        self._ended: dict[str, Outcome] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._cuts: dict[str, tuple[float, str]] = {}
        """Runs that this process ended: when (uptime) and why."""
        self._logs.mkdir(parents=True, exist_ok=True)

    def adopt(self) -> None:
        """Take over the runs that an earlier scheduler left; those without a living supervisor count as ended.

        Raises StoreUnavailable.
        """
        for name in sorted(self._names()):
            if not name.endswith(".run"):
                continue
            run_id = name.removesuffix(".run")
            try:
                self._active[run_id] = msgspec.json.decode((self._runs / name).read_bytes(), type=RunFile)
            except OSError as error:
                self._give_up(run_id, error)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                # Killed before it wrote what it was about to start: the document that names the run tells the rest.
                log.warning("run %s: unreadable (%s), ended and dropped", run_id, error, extra=of_run_id(run_id))
                self._kill_group(run_id)
                self._remove_files(run_id)
        self._drop_strays()
        self.probe()

    def _give_up(self, run_id: str, error: OSError) -> None:
        """End a run whose first file the system refuses to read. It did start, so it must not be started again."""
        log.error("run %s: cannot be read (%s), so it is ended", run_id, error, extra=of_run_id(run_id))
        self._kill_group(run_id)
        word = run_id.split("_")[1] if run_id[:1].isdigit() else ""
        kind = HookKind(word) if word in list(HookKind) else None
        run = HookRun(id=run_id, kind=kind, pool="", command="", environment={"RESALLOC_NAME": run_id}, limit=0, log="")
        self._active[run_id] = RunFile(run=run, started_at=self._clock(), boot=boot_id(), uptime=uptime())
        self._end(run_id, exit_status=None, cut_off=f"cannot be read: {error.strerror or error}", lost=True)

    def _names(self) -> list[str]:
        try:
            return os.listdir(self._runs)
        except OSError as error:
            raise StoreUnavailable(self._runs, error) from error

    def _drop_strays(self) -> None:
        """End and remove what is left of runs whose first file is gone, so that nobody will ever ask for them."""
        runs = {name.rpartition(".")[0] for name in self._names() if name.endswith(_ENDINGS)}
        for run_id in sorted(runs - self._active.keys()):
            if not os.path.lexists(self._path(run_id, "run")):
                log.warning("run %s: its first file is gone, so it is ended", run_id, extra=of_run_id(run_id))
                self._kill_group(run_id)
                self._remove_files(run_id)

    def start(self, run: HookRun) -> None:
        """Take a run that is to be started by the next calls of `launch`."""
        (self._waiting_checks if run.kind is HookKind.WATCH else self._waiting).append(run)

    def launch(self, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Start a few waiting runs, within the bound on runs at once; tells whether there is more to do now.

        A few only, fewer when it is `interrupted`: each costs a fork, and grants must not wait for a hundred of them.
        Livechecks have a bound of their own, kept by who asks for them.
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
        """Start a run, detached. What keeps it from starting becomes its outcome."""
        file = RunFile(run=run, started_at=self._clock(), boot=boot_id(), uptime=uptime())
        self._active[run.id] = file
        try:
            file = msgspec.structs.replace(file, log_size=self._make_log(run.log))
            self._active[run.id] = file
            lock = locks.take(self._path(run.id, "run"))
            try:
                os.write(lock, msgspec.json.encode(file))
                self._children[run.id] = subprocess.Popen(
                    [
                        "/bin/sh",
                        str(SUPERVISOR),
                        str(self._runs / run.id),
                        str(self._logs / run.log if run.output_limit is None else self._path(run.id, "out")),
                        str(self._logs / run.log),
                        run.command,
                    ],
                    stdin=lock,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=self._directory,
                    env={**self._environment, **run.environment},
                    start_new_session=True,
                )
            finally:
                os.close(lock)
        except OSError as error:
            log.error("run %s: cannot be started: %s", run.id, error, extra=of_run(run))
            self._end(run.id, exit_status=None, cut_off=f"cannot be started: {error.strerror or error}", lost=True)

    def _make_log(self, name: str) -> int:
        """Make the log if it is not there, and its folder; returns its size (bytes).

        A hook without a log would fail before it ran.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._logs / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def finished(self) -> list[tuple[HookRun, Outcome]]:
        """Runs that ended, each told until it is forgotten."""
        return [(self._active[run_id].run, outcome) for run_id, outcome in self._ended.items()]

    def forget(self, run: str) -> None:
        """Remove a run's files: its outcome has been written down."""
        self._active.pop(run, None)
        self._ended.pop(run, None)
        self._cuts.pop(run, None)
        child = self._children.pop(run, None)
        if child is not None and child.poll() is None:
            # Its result is there, so the supervisor is in its last instant.
            child.wait()
        self._remove_files(run)

    def under_way(self, kind: HookKind | None = None) -> Collection[str]:
        """Ids of the runs (of a kind) that were started and not forgotten."""
        waiting = [run.id for run in (*self._waiting, *self._waiting_checks) if kind in (None, run.kind)]
        return waiting + [run_id for run_id, file in self._active.items() if kind in (None, file.run.kind)]

    def notice(self, names: Collection[str]) -> None:
        """Look at the results among these changed names."""
        for name in names:
            run_id, dot, ending = name.rpartition(".")
            if dot and ending == "result" and run_id in self._active and run_id not in self._ended:
                self._look_for_result(run_id)

    def probe(self) -> None:
        """Look at every run: ended, its supervisor gone, over its time or its output limit."""
        for run_id in [run_id for run_id in self._active if run_id not in self._ended]:
            file = self._active[run_id]
            child = self._children.get(run_id)
            if child is not None:
                child.poll()
            held = self._is_supervised(run_id)
            if self._look_for_result(run_id):
                continue
            if not held:
                self._kill(run_id, signal.SIGKILL)
                restarted = file.boot != boot_id()
                # A supervisor goes with its group when this server kills that.
                cut = None if restarted else self._why_cut(run_id)
                why = cut or ("the machine was restarted" if restarted else "its supervisor was killed")
                self._end(run_id, exit_status=None, cut_off=why, lost=cut is None)
            else:
                self._enforce_limits(run_id, file)

    def needs_probe(self) -> bool:
        """Whether something runs that has to be looked at now and then."""
        return len(self._active) > len(self._ended)

    def _enforce_limits(self, run_id: str, file: RunFile) -> None:
        cut = self._cuts.get(run_id)
        if cut is not None:
            if uptime() - cut[0] > KILL_AFTER:
                self._kill(run_id, signal.SIGKILL)
            return
        run = file.run
        if uptime() - file.uptime > run.limit:
            self._cut(run_id, f"ended after its time limit of {run.limit:g} s", signal.SIGTERM)
        elif run.output_limit is not None and self._output_size(run_id) > run.output_limit:
            self._cut(run_id, f"printed more than {run.output_limit} bytes", signal.SIGKILL)
        elif _size(self._logs / run.log) - file.log_size > LOG_LIMIT:
            self._cut(run_id, f"wrote more than {LOG_LIMIT} bytes to its log", signal.SIGKILL)

    def _cut(self, run_id: str, why: str, how: signal.Signals) -> None:
        log.warning("run %s: %s", run_id, why, extra=of_run(self._active[run_id].run))
        self._cuts[run_id] = (uptime(), why)
        try:
            self._path(run_id, "cut").write_text(why)
            with open(self._logs / self._active[run_id].run.log, "ab+") as run_log:
                run_log.seek(max(0, run_log.seek(0, os.SEEK_END) - 1))
                line = f"{why}\n".encode()
                run_log.write(line if run_log.read() in (b"", b"\n") else b"\n" + line)
        except OSError as error:
            log.error("run %s: why it was ended cannot be written down: %s", run_id, error, extra=of_run_id(run_id))
        self._kill(run_id, how)

    def _why_cut(self, run_id: str) -> str | None:
        """Why the run was ended, by this process or by an earlier one."""
        if run_id in self._cuts:
            return self._cuts[run_id][1]
        path = self._path(run_id, "cut")
        if not os.path.lexists(path):
            return None
        try:
            return path.read_text(errors="replace") or "ended by the server"
        except OSError:
            return "ended by the server"

    def _look_for_result(self, run_id: str) -> bool:
        try:
            content = self._path(run_id, "result").read_text(errors="replace")
        except OSError:
            return False
        status = content.removesuffix("\n")
        if not content.endswith("\n") or not (status.isascii() and status.isdigit()):
            return False
        if self._active[run_id].boot != boot_id():
            # Nothing of it was synced, so after a power cut its output may be half there.
            self._end(run_id, exit_status=None, cut_off="the machine was restarted", lost=True)
            return True
        exit_status = int(status)
        limit = self._active[run_id].run.output_limit
        why = self._why_cut(run_id)
        if why is not None:
            self._kill(run_id, signal.SIGKILL)
        elif limit is not None and self._output_size(run_id) > limit:
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
                with open(self._path(run_id, "out"), "rb") as out:
                    printed = out.read(file.run.output_limit)
            except OSError as error:
                cut_off = cut_off or f"what it printed cannot be read: {error.strerror or error}"
            else:
                output = printed if cut_off is None else None
                self._log_output(file.run, printed)
        self._ended[run_id] = outcome = Outcome(
            run=run_id,
            kind=file.run.kind,
            started_at=file.started_at,
            ended_at=max(self._clock(), file.started_at),
            exit=exit_status,
            cut_off=cut_off,
            lost=lost,
            output=output,
            last_line="" if exit_status == 0 else self._last_line(file.run.log),
            seconds=uptime() - file.uptime if file.boot == boot_id() else None,
        )
        self._on_end(file.run, outcome)

    def _log_output(self, run: HookRun, printed: bytes) -> None:
        """Add what a hook printed to its log, once: a scheduler that was killed may have done so."""
        try:
            with open(self._logs / run.log, "ab+") as run_log:
                run_log.seek(max(0, run_log.seek(0, os.SEEK_END) - len(printed)))
                if run_log.read() != printed:
                    run_log.write(printed)
        except OSError as error:
            log.warning("run %s: what it printed cannot be logged: %s", run.id, error, extra=of_run(run))

    def _kill(self, run_id: str, how: signal.Signals) -> None:
        if self._active[run_id].boot == boot_id():
            self._kill_group(run_id, how)

    def _kill_group(self, run_id: str, how: signal.Signals = signal.SIGKILL) -> None:
        try:
            group = int(self._path(run_id, "group").read_text())
        except (OSError, ValueError):
            return
        try:
            if group > 1:
                os.killpg(group, how)
        except ProcessLookupError:
            pass
        except OSError as error:
            log.warning("run %s: its process group cannot be ended: %s", run_id, error, extra=of_run_id(run_id))

    def _is_supervised(self, run_id: str) -> bool:
        """Whether its supervisor lives, as far as its first file tells."""
        try:
            return locks.is_held(self._path(run_id, "run"))
        except OSError:
            return False

    def _last_line(self, log_name: str) -> str:
        try:
            with open(self._logs / log_name, "rb") as run_log:
                run_log.seek(max(0, run_log.seek(0, os.SEEK_END) - 2000))
                lines = run_log.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        words = ("".join(filter(str.isprintable, line)).strip() for line in reversed(lines))
        return next((word[:200] for word in words if word), "")

    def _output_size(self, run_id: str) -> int:
        return _size(self._path(run_id, "out"))

    def _remove_files(self, run_id: str) -> None:
        for ending in (*_ENDINGS, ".run"):
            path = self._runs / f"{run_id}{ending}"
            try:
                path.unlink(missing_ok=True)
            except OSError:
                shutil.rmtree(path, ignore_errors=True)

    def _path(self, run_id: str, ending: str) -> Path:
        return self._runs / f"{run_id}.{ending}"


def _size(path: Path) -> int:
    """In bytes, 0 when there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
