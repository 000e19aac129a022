"""Keeps the processes of a Procfile running: restarts those that end, and stops all of them in time.

honcho reads the Procfile, starts each process and prints its output. Its own Manager is not used, because it stops all
processes when one of them ends.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TextIO

from honcho.colour import get_colours
from honcho.environ import parse_procfile
from honcho.printer import Message, Printer
from honcho.process import Popen

RESTART_PAUSE = 0.5
"""Seconds from the end of a process to its restart; doubled each time that it fails soon after a start."""
LONGEST_RESTART_PAUSE = 10.0
STOP_TIME = 7.0
"""Seconds from SIGTERM to SIGKILL."""
_SOON = 5.0
_LEFTOVERS_TIME = 0.5
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Processes:
    """The processes of `procfile`, run in its folder with the environment `environ`.

    `run` blocks until `stop` was called and all have ended. `stop` may be called from a signal handler or another
    thread, and more than once. Output goes to `output` line by line.
    """

    def __init__(self, procfile: Path, environ: Mapping[str, str], output: TextIO = sys.stdout) -> None:
        self._commands: dict[str, str] = dict(parse_procfile(procfile.read_text()).processes)
        self._folder = procfile.parent
        self._environ = dict(environ)
        self._output = output
        self._printer = Printer(output, width=max(map(len, [*self._commands, "system"])))
        self._printing = threading.Lock()
        self._colours = dict(zip(self._commands, get_colours(), strict=False))
        self._running: dict[str, Popen] = {}
        self._forwards: dict[str, threading.Thread] = {}
        self._started_at: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._ended: SimpleQueue[str | None] = SimpleQueue()  # None: stop was called

    def run(self) -> None:
        """Start all processes, and restart those that end, until `stop`."""
        due = dict.fromkeys(self._commands, 0.0)
        while True:
            for name in [name for name, at in due.items() if at <= time.monotonic()]:
                del due[name]
                self._start(name)
            wait = max(0.0, min(due.values()) - time.monotonic()) if due else None
            try:
                ended = self._ended.get(timeout=wait)
            except Empty:
                continue
            if ended is None:
                break
            process = self._running.pop(ended)
            pause = self._restart_pause(ended, process.returncode)
            self._say(f"{ended} ended ({_outcome(process.returncode)}); restart in {pause:g} s")
            due[ended] = time.monotonic() + pause
            _end_group(process.pid)
        self._stop_all()
        for forward in self._forwards.values():
            # Wait for the last output, but not for long: a child that is still running may keep the output open.
            forward.join(1)

    def stop(self) -> None:
        """Make `run` stop all processes. A second call changes nothing: make sends the signal of its group again."""
        self._ended.put(None)

    def show(self, text: str) -> None:
        """Print `text` unchanged, between the lines of the processes."""
        with self._printing, contextlib.suppress(OSError):
            self._output.write(text)
            self._output.flush()

    def _restart_pause(self, name: str, returncode: int) -> float:
        """Seconds until a restart: short for a process that was killed, growing for one that fails at its start."""
        failed_soon = returncode >= 0 and time.monotonic() - self._started_at[name] < _SOON
        pause = self._pauses.get(name, RESTART_PAUSE) if failed_soon else RESTART_PAUSE
        self._pauses[name] = min(2 * pause, LONGEST_RESTART_PAUSE) if failed_soon else RESTART_PAUSE
        return pause

    def _start(self, name: str) -> None:
        # exec replaces the shell, so that signals reach the command itself.
        process = Popen(
            "exec " + self._commands[name],
            env=self._environ,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        )
        self._running[name] = process
        self._started_at[name] = time.monotonic()
        self._say(f"{name} started (pid {process.pid})")
        forward = threading.Thread(target=self._forward, args=(name, process), daemon=True)
        self._forwards[name] = forward
        forward.start()
        threading.Thread(target=self._await_end, args=(name, process), daemon=True).start()

    def _stop_all(self) -> None:
        self._say("stopping")
        for process in self._running.values():
            process.terminate()
        kill_at = time.monotonic() + STOP_TIME
        while self._running:
            try:
                ended = self._ended.get(timeout=max(0.0, kill_at - time.monotonic()))
            except Empty:
                for name, process in self._running.items():
                    self._say(f"killing {name}")
                    _send_group(process.pid, signal.SIGKILL)
                kill_at = time.monotonic() + STOP_TIME
                continue
            if ended is not None:
                process = self._running.pop(ended)
                self._say(f"{ended} stopped ({_outcome(process.returncode)})")
                _end_group(process.pid)

    def _await_end(self, name: str, process: Popen) -> None:
        process.wait()
        self._ended.put(name)

    def _forward(self, name: str, process: Popen) -> None:
        """Print the output of the process. Keep reading even if printing fails, so that the process never blocks."""
        for line in process.stdout:
            self._print(name, line)

    def _say(self, text: str) -> None:
        self._print("system", text + "\n")

    def _print(self, name: str, line: str | bytes) -> None:
        message = Message("line", line, datetime.now(), name, self._colours.get(name))
        with self._printing, contextlib.suppress(OSError):
            self._printer.write(message)


def _die_with_parent() -> None:
    """In the new process: receive SIGTERM when the parent process ends, even if it is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _outcome(returncode: int) -> str:
    if returncode < 0:
        return f"killed by signal {-returncode}"
    return f"exit status {returncode}"


def _end_group(group: int) -> None:
    """End the remaining processes of a group: workers of a killed gunicorn would keep the port."""
    deadline = time.monotonic() + _LEFTOVERS_TIME
    left = _send_group(group, signal.SIGTERM)
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = _send_group(group, 0)
    _send_group(group, signal.SIGKILL)


def _send_group(group: int, number: int) -> bool:
    """Send a signal to a process group; returns False if it has no more processes."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
