"""The files and logs of hook runs; `hooks.py` decides when a run starts and ends.

Each run has files in `runs/`: ID.run (what was started; locked while its supervisor lives), ID.group (the process group
of both), ID.out (captured standard output), ID.cut (why the server ended the run), ID.result (its exit status).
"""

import logging
import os
import shutil
import signal
from pathlib import Path

import msgspec

from functions.logfields import of_run, of_run_id
from functions.timed.hook_runs import HookRun
from state.errors import StoreUnavailable
from state.host import locks
from state.host.machine import boot_id

log = logging.getLogger(__name__)

ENDINGS = ("out", "cut", "group", "result")
"""Of the files of a run, except for its first."""


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """What ID.run holds. `uptime` is the machine's at the start (wall clocks jump), `log_size` that before the run."""

    run: HookRun
    started_at: float
    boot: str
    uptime: float
    log_size: int = 0


class RunFiles:
    """The files of the runs in the folder `runs`, whose logs are in `logs`."""

    def __init__(self, runs: Path, logs: Path) -> None:
        self.folder = runs
        # Strings, not Paths: each run takes about a dozen names.
        self._prefix = f"{runs}/"
        self._logs = logs
        logs.mkdir(parents=True, exist_ok=True)

    def stem(self, run_id: str) -> str:
        """The path of the run's files without their endings."""
        return f"{self._prefix}{run_id}"

    def path(self, run_id: str, ending: str) -> str:
        return f"{self._prefix}{run_id}.{ending}"

    def log_path(self, name: str) -> Path:
        return self._logs / name

    def place(self) -> str:
        """A text that differs for each folder of runs, also for a copy of it, and after each boot of the machine."""
        status = self.folder.stat()
        return f"{boot_id()} {status.st_dev} {status.st_ino}"

    def names(self) -> list[str]:
        """The names of all files. Raises StoreUnavailable."""
        try:
            return os.listdir(self.folder)
        except OSError as error:
            raise StoreUnavailable(str(self.folder), error.strerror or str(error)) from error

    def read(self, run_id: str) -> RunFile:
        """What was started. Raises OSError, msgspec.DecodeError and UnicodeDecodeError."""
        return msgspec.json.decode(_content(self.path(run_id, "run")), type=RunFile)

    def begin(self, file: RunFile) -> int:
        """Write a run's first file; returns its descriptor, which holds the run's lock. Raises OSError."""
        lock = locks.take(self.path(file.run.id, "run"))
        try:
            os.write(lock, msgspec.json.encode(file))
        except OSError:
            os.close(lock)
            raise
        return lock

    def make_log(self, name: str) -> int:
        """Create the log and its folder if they are missing; returns its size (bytes). Raises OSError.

        Without a log the hook would fail before it ran.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._logs / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def result(self, run_id: str) -> int | None:
        """The exit status that the supervisor wrote; None before that."""
        try:
            content = _content(self.path(run_id, "result"))
        except OSError:
            return None
        status = content.removesuffix(b"\n")
        return int(status) if content.endswith(b"\n") and status.isdigit() else None

    def output(self, run_id: str, limit: int) -> bytes:
        """What the hook printed, up to `limit` bytes. Raises OSError."""
        with open(self.path(run_id, "out"), "rb") as printed:
            return printed.read(limit)

    def log_output(self, file: RunFile, printed: bytes, unless_there: bool) -> None:
        """Append what a hook printed to its log; with `unless_there` only if the log does not end with it already."""
        try:
            with open(self._logs / file.run.log, "ab+") as run_log:
                run_log.seek(max(file.log_size, run_log.seek(0, os.SEEK_END) - len(printed)))
                if not (unless_there and run_log.read() == printed):
                    run_log.write(printed)
        except OSError as error:
            log.warning(
                "run %s: its output cannot be logged: %s",
                file.run.id,
                error,
                extra=of_run(file.run),
            )

    def output_size(self, run_id: str) -> int:
        return _size(self.path(run_id, "out"))

    def log_size(self, name: str) -> int:
        return _size(self._logs / name)

    def last_line(self, log_name: str) -> str:
        """The last non-empty line of a log, at most 200 characters, without control characters."""
        try:
            with open(self._logs / log_name, "rb") as run_log:
                run_log.seek(max(0, run_log.seek(0, os.SEEK_END) - 2000))
                lines = run_log.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        words = ("".join(filter(str.isprintable, line)).strip() for line in reversed(lines))
        return next((word[:200] for word in words if word), "")

    def note_cut(self, run: HookRun, why: str) -> None:
        """Record why the server ends this run, for a later scheduler and in the log."""
        try:
            with open(self.path(run.id, "cut"), "w") as cut:
                cut.write(why)
            with open(self._logs / run.log, "ab+") as run_log:
                run_log.seek(max(0, run_log.seek(0, os.SEEK_END) - 1))
                line = f"{why}\n".encode()
                run_log.write(line if run_log.read() in (b"", b"\n") else b"\n" + line)
        except OSError as error:
            log.error("run %s: the reason of its end cannot be written: %s", run.id, error, extra=of_run_id(run.id))

    def why_cut(self, run_id: str) -> str | None:
        """Why a server ended the run; None when none did."""
        path = self.path(run_id, "cut")
        if not os.path.lexists(path):
            return None
        try:
            return _content(path).decode(errors="replace") or "ended by the server"
        except OSError:
            return "ended by the server"

    def is_supervised(self, run_id: str) -> bool:
        """Whether its supervisor lives: it holds the lock of the first file."""
        try:
            return locks.is_held(self.path(run_id, "run"))
        except OSError:
            return False

    def kill_group(self, run_id: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the hook, its supervisor and their children, if they still run."""
        try:
            group = int(_content(self.path(run_id, "group")))
        except (OSError, ValueError):
            return
        try:
            if group > 1:
                os.killpg(group, how)
        except ProcessLookupError:
            pass
        except OSError as error:
            log.warning("run %s: its process group cannot be killed: %s", run_id, error, extra=of_run_id(run_id))

    def remove(self, run_id: str) -> None:
        """Delete all files of a run, its first file last: while that exists, a scheduler adopts the others."""
        for ending in (*ENDINGS, "run"):
            path = self.path(run_id, ending)
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            except OSError:
                shutil.rmtree(path, ignore_errors=True)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _size(path: str | Path) -> int:
    """In bytes, 0 when there is no such file."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
