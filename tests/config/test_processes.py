"""The processes of a Procfile: kept running, and stopped in time. All of them are real."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SERVE = """
import os, signal, sys
from pathlib import Path
from config.run import processes
processes.STOP_TIME = float(sys.argv[2])
running = processes.Processes(Path(sys.argv[1]), os.environ)
signal.signal(signal.SIGTERM, lambda *_: running.stop())
running.run()
"""

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("stubborn", flush=True)
time.sleep(1000)
"""

# Like gunicorn: a worker in the group of its master, both with the same standard output.
MASTER = """
import os, time
worker = os.fork()
if worker:
    print("worker", worker, flush=True)
time.sleep(1000)
"""


class Running:
    """Processes of a Procfile, run by a process of their own; `lines` are what it printed so far."""

    def __init__(self, folder: Path, procfile: str, stop_time: float) -> None:
        (folder / "Procfile").write_text(procfile)
        self._output = (folder / "output").open("w+")
        command = [sys.executable, "-c", SERVE, str(folder / "Procfile"), str(stop_time)]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(command, stdout=self._output, stderr=subprocess.STDOUT, env=environ)

    @property
    def lines(self) -> list[str]:
        self._output.seek(0)
        return self._output.read().splitlines()

    def pids(self, name: str) -> list[int]:
        found = (re.search(rf"\| {name} started \(pid (\d+)\)", line) for line in self.lines)
        return [int(match[1]) for match in found if match]

    def printed(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def stop(self) -> None:
        """Stop it like a service manager does."""
        self.process.terminate()
        assert self.process.wait(20) == 0, self.lines


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Running]]:
    started = []

    def start(procfile: str, stop_time: float = 7) -> Running:
        started.append(Running(tmp_path, procfile, stop_time))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()


def until(condition: Callable[[], object], seconds: float = 10) -> object:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
    return value


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_lines_of_all_processes_are_printed_with_their_names(start):
    running = start("one: echo first; sleep 1000\ntwo: echo second >&2; sleep 1000\n")

    until(lambda: running.printed("one    | first"))
    until(lambda: running.printed("two    | second"))
    running.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_is_back_within_two_seconds_and_a_line_says_so(start, number):
    running = start("one: sleep 1000\ntwo: sleep 1000\n")
    (first,) = until(lambda: running.pids("one"))
    (other,) = until(lambda: running.pids("two"))

    os.kill(first, number)

    second = until(lambda: running.pids("one")[1:], 2)[0]
    assert alive(second)
    assert alive(other)
    assert running.printed(f"one ended (killed by signal {number:d}); restart in 0.5 s")
    running.stop()


def test_a_process_that_cannot_run_is_tried_again_after_growing_pauses(start):
    running = start("one: sh -c 'exit 3'\n")

    until(lambda: running.printed("one ended (exit status 3); restart in 0.5 s"))
    until(lambda: running.printed("one ended (exit status 3); restart in 1 s"))
    until(lambda: running.printed("one ended (exit status 3); restart in 2 s"))
    running.stop()


def test_workers_that_a_killed_master_leaves_behind_are_ended_before_it_is_back(start, tmp_path):
    (tmp_path / "master.py").write_text(MASTER)
    running = start(f"web: {sys.executable} master.py\n")
    until(lambda: running.printed("| worker"))
    (master,) = running.pids("web")
    worker = int(re.search(r"\| worker (\d+)", "\n".join(running.lines))[1])

    os.kill(master, signal.SIGKILL)

    until(lambda: running.pids("web")[1:], 2)
    assert not alive(worker)
    running.stop()


def test_stopping_ends_all_at_once(start):
    running = start("one: sleep 1000\ntwo: sleep 1000\n")
    pids = until(lambda: running.pids("one")) + until(lambda: running.pids("two"))

    running.stop()

    assert not [pid for pid in pids if alive(pid)]
    assert running.printed("one stopped (killed by signal 15)")
    assert not running.printed("killing")


def test_stopping_does_not_start_what_just_ended(start):
    running = start("one: sh -c 'exit 1'\n")
    until(lambda: running.printed("in 2 s"))
    before = running.pids("one")

    running.stop()

    assert running.pids("one") == before


def test_a_process_that_does_not_stop_is_killed(start, tmp_path):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    running = start(f"one: {sys.executable} stubborn.py\n", stop_time=1)
    until(lambda: running.printed("| stubborn"))

    running.stop()

    assert running.printed("killing one")
    assert running.printed("one stopped (killed by signal 9)")


def test_a_second_signal_does_not_cut_the_stopping_short(start, tmp_path):
    (tmp_path / "slow.sh").write_text("trap 'sleep 1; echo done; exit' TERM\necho ready\nwhile :; do sleep 0.1; done\n")
    running = start("one: sh slow.sh\n")
    until(lambda: running.printed("| ready"))

    running.process.terminate()
    until(lambda: running.printed("| stopping"))
    running.stop()

    assert running.printed("| done")


def test_processes_end_with_the_one_that_started_them_even_when_it_is_killed(start):
    running = start("one: sleep 1000\n")
    (pid,) = until(lambda: running.pids("one"))

    running.process.kill()

    until(lambda: not alive(pid))


def test_what_runs_in_a_session_of_its_own_is_left_alone(start, tmp_path):
    running = start("one: sh -c 'setsid sleep 1000 >/dev/null & echo $! > hook; wait'\n")
    hook = int(until(lambda: (tmp_path / "hook").exists() and (tmp_path / "hook").read_text()))
    try:
        until(lambda: os.getsid(hook) == hook)
        running.stop()

        assert alive(hook)
    finally:
        os.kill(hook, signal.SIGKILL)
