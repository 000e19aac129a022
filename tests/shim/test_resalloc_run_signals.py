"""Signals at each moment of `resalloc run`: the command gets each once, and the ticket is closed once."""

import fcntl
import os
import signal
import subprocess
import termios
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.shim.client import Client, every_shell, processes_of
from tests.shim.server import ScriptedServer, Step, reply
from tests.shim.test_resalloc_run import CLOSED, RUN, TAKEN, WHOLE, asked
from tests.shim.test_resalloc_trouble import read_line
from tests.waiting import until

SIGNALS = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM]
SERVED = reply(200, b"ip\n", Ticket_State="OPEN")
TO = {"the shim alone": os.kill, "its whole group": os.killpg}
COUNTS = """
trap 'echo HUP' HUP; trap 'echo INT' INT; trap 'echo QUIT' QUIT; trap 'echo TERM' TERM
exec 2>/dev/null # of the sleep that a signal may end
echo ready
until [ -e "$0" ]; do sleep 0.05; done
exit 9
"""
"""A command that prints each signal, until the file in its $0 exists."""


def line_of(shim: subprocess.Popen[bytes]) -> bytes:
    assert shim.stdout is not None
    return shim.stdout.readline()


def settle(shim: subprocess.Popen[bytes]) -> None:
    """Wait until the shim waits for its command, with its sentinel started."""

    def rests() -> bool:
        lines = processes_of(shim.pid)
        state = Path(f"/proc/{shim.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "S" and "sleep 999999 " in lines and "sleep 0.01 " not in lines

    # More than one look: between two of its short sleeps the shim may seem to rest.
    until(lambda: all(rests() for _ in range(5)), what="a shim that waits")


@every_shell
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("send", TO.values(), ids=TO)
def test_a_running_command_receives_each_signal_once_and_is_waited_for(
    resalloc: Client,
    server: ScriptedServer,
    tmp_path: Path,
    number: signal.Signals,
    send: Callable[[int, int], None],
) -> None:
    """Given a command that survives signals, when one comes, then it sees one, and its status is ours at the end."""
    server.script(TAKEN, SERVED, CLOSED)
    shim = resalloc.start(*RUN, "sh", "-c", COUNTS, str(tmp_path / "end"))
    assert line_of(shim) == b"ready\n"
    name = number.name.removeprefix("SIG").encode() + b"\n"
    for _ in range(2 if send is os.kill else 1):
        settle(shim)
        send(shim.pid, number)
        assert line_of(shim) == name
    assert asked(server) == WHOLE[:2], "the ticket is held as long as the command runs"
    (tmp_path / "end").touch()
    assert shim.communicate(timeout=20) == (b"", b"")
    assert shim.returncode == 9
    assert asked(server) == WHOLE


@every_shell
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("send", TO.values(), ids=TO)
def test_a_command_that_dies_of_a_signal(
    resalloc: Client, server: ScriptedServer, number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    server.script(TAKEN, SERVED, CLOSED)
    shim = resalloc.start(*RUN, "sh", "-c", "echo ready; exec sleep 60")
    assert line_of(shim) == b"ready\n"
    until(lambda: any(line.startswith("sleep 60 ") for line in processes_of(shim.pid)), what="the sleep")
    send(shim.pid, number)
    assert shim.communicate(timeout=20) == (b"", b"")
    assert shim.returncode == 128 + number
    assert asked(server) == WHOLE


@every_shell
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("send", TO.values(), ids=TO)
def test_a_signal_right_after_the_start_is_not_lost(
    resalloc: Client, server: ScriptedServer, number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    """Given a shell that only now becomes the command, when a signal comes, then it ends the command all the same."""
    for _ in range(5):
        server.script(TAKEN, SERVED, CLOSED)
        before = len(server.requests)
        shim = resalloc.start(*RUN, "sleep", "60")
        server.await_requests(before + 2)
        send(shim.pid, number)
        assert shim.communicate(timeout=20) == (b"", b"")
        assert shim.returncode == 128 + number
        assert asked(server)[before:] == WHOLE


@every_shell
def test_an_interrupt_from_the_terminal_comes_once(resalloc: Client, server: ScriptedServer, tmp_path: Path) -> None:
    server.script(TAKEN, SERVED, CLOSED)
    ours, theirs = os.openpty()

    def on_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    command = ("sh", "-c", COUNTS, str(tmp_path / "end"))
    shim = resalloc.start(*RUN, *command, stdin=theirs, stderr=theirs, prepare=on_terminal)
    assert line_of(shim) == b"ready\n"
    settle(shim)
    os.write(ours, b"\x03")
    assert line_of(shim) == b"INT\n"
    (tmp_path / "end").touch()
    assert line_of(shim) == b""
    assert shim.wait(20) == 9
    os.close(ours)
    os.close(theirs)
    assert asked(server) == WHOLE


@every_shell
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_ticket_is_taken_learns_its_id_and_closes_it(
    resalloc: Client, server: ScriptedServer, hold: Step, number: signal.Signals
) -> None:
    """Given a take whose reply has not come, when a signal ends it, then the same key returns the ticket to close."""
    server.script(hold, TAKEN, CLOSED)
    shim = resalloc.start(*RUN, "echo", "ran")
    server.await_requests(1)
    os.kill(shim.pid, number)
    assert shim.communicate(timeout=20) == (b"", b"")
    assert shim.returncode == 128 + number
    assert asked(server) == ["POST /tickets", "POST /tickets", "DELETE /tickets/42"]
    first, second = server.requests[:2]
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.form == second.form


@every_shell
def test_a_signal_before_the_server_was_ever_reached_ends_it_at_once(resalloc: Client, server: ScriptedServer) -> None:
    server.kill()
    shim = resalloc.start(*RUN, "echo", "ran")
    assert read_line(shim).endswith(b"; trying again\n")
    os.kill(shim.pid, signal.SIGTERM)
    assert shim.communicate(timeout=20) == (b"", b"")
    assert shim.returncode == 143


@every_shell
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("send", TO.values(), ids=TO)
def test_a_signal_during_the_wait_closes(
    resalloc: Client,
    server: ScriptedServer,
    hold: Step,
    number: signal.Signals,
    send: Callable[[int, int], None],
) -> None:
    server.script(TAKEN, hold, CLOSED)
    shim = resalloc.start(*RUN, "echo", "ran")
    server.await_requests(2)
    send(shim.pid, number)
    assert shim.communicate(timeout=20) == (b"", b"")
    assert shim.returncode == 128 + number
    assert asked(server) == WHOLE


@every_shell
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("send", TO.values(), ids=TO)
def test_a_signal_during_the_close_changes_nothing(
    resalloc: Client, server: ScriptedServer, number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def disturbed(handler: BaseHTTPRequestHandler) -> None:
        send(started[0].pid, number)
        CLOSED(handler)

    server.script(TAKEN, SERVED, disturbed)
    started.append(resalloc.start(*RUN, "sh", "-c", "read line; exit 9", stdin=subprocess.PIPE))
    assert started[0].communicate(b"end\n", timeout=20) == (b"", b"")
    assert started[0].returncode == 9
    assert asked(server) == WHOLE


@every_shell
def test_a_signal_gives_up_a_close_that_the_server_does_not_answer(resalloc: Client, server: ScriptedServer) -> None:
    server.script(TAKEN, SERVED)
    shim = resalloc.start(*RUN, "sh", "-c", "echo ready; read line; exit 9", stdin=subprocess.PIPE)
    assert line_of(shim) == b"ready\n"
    server.kill()
    assert shim.stdin is not None
    shim.stdin.write(b"end\n")
    shim.stdin.flush()
    assert read_line(shim).endswith(b"; trying again\n")
    until(lambda: os.kill(shim.pid, signal.SIGTERM) or shim.poll() is not None, what="its end")
    assert shim.returncode == 9
    assert read_line(shim) == b"resalloc: gave up: ticket 42 is not closed\n"


@every_shell
def test_where_env_cannot_help_an_interrupt_is_passed_on_as_term(
    resalloc: Client, server: ScriptedServer, tmp_path: Path
) -> None:
    """Given an env without --default-signal, when INT comes, then the command ends and the ticket is closed."""
    (tmp_path / "env").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "env").chmod(0o755)
    server.script(TAKEN, SERVED, CLOSED)
    path = f"{tmp_path}:{os.environ['PATH']}"
    shim = resalloc.start(*RUN, "sh", "-c", "echo ready; exec sleep 60", env={"PATH": path})
    assert line_of(shim) == b"ready\n"
    os.kill(shim.pid, signal.SIGINT)
    assert shim.communicate(timeout=20) == (b"", b"")
    assert shim.returncode == 143
    assert asked(server) == WHOLE
