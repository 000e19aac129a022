"""Starts the supervisor of a hook run, `run-hook.sh`, in a session of its own.

With posix_spawn: it keeps the scheduler waiting for a third of the time that subprocess.Popen does.
"""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

SCRIPT = Path(__file__).with_name("run-hook.sh")
# Python ignores these; programs count on them.
_USUAL_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)


class Supervisor:
    """A supervisor that this process started; `pid` is also the process group of its hook."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = False

    @classmethod
    def start(
        cls,
        run: Path,
        output: Path,
        run_log: Path,
        command: str,
        lock: int,
        folder: Path,
        environment: Mapping[str, str],
    ) -> "Supervisor":
        """Run `command` in `folder`; the descriptor `lock` becomes the supervisor's standard input. Raises OSError."""
        if not folder.is_dir():
            raise FileNotFoundError(None, "there is no such folder", str(folder))
        silence = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
        pid = os.posix_spawn(
            "/bin/sh",
            ["/bin/sh", str(SCRIPT), str(run), str(output), str(run_log), command, str(folder)],
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, lock, 0), silence, (os.POSIX_SPAWN_DUP2, 1, 2)],
            setsid=True,
            setsigdef=_USUAL_SIGNALS,
        )
        return cls(pid)

    def ended(self) -> bool:
        """Whether it has ended; asks until it has."""
        if not self._ended:
            try:
                self._ended = os.waitpid(self.pid, os.WNOHANG)[0] == self.pid
            except ChildProcessError:
                self._ended = True
        return self._ended


def keep_descriptors() -> None:
    """Let nothing that is started from here on inherit what this process has inherited."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):
                os.set_inheritable(int(name), False)
