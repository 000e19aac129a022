"""Lost replies, dead servers, refusals, signals and closed pipes, as `resalloc-maint` takes them."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.shim.client import SECONDS, Client, every_shell, one_shell, processes_of
from tests.shim.server import ScriptedServer, Step, cut, empty, reply, reset

COMMANDS = [
    ("resource-list",),
    ("ticket-list", "--json"),
    ("resource-info", "1"),
    ("resource-delete", "1"),
    ("resource-logs", "1"),
    ("foreach-resource",),
]
TROUBLES = {
    "empty reply": empty,
    "reset": reset,
    "503": reply(503, b"The server is stopping.\n"),
    "500": reply(500, b"<h1>oops</h1>", Content_Type="text/html"),
    "cut body": cut,
}


def named(arguments: tuple[str, ...]) -> str:
    return arguments[0]


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_temporary_error_is_only_reported(maint: Client, server: ScriptedServer, trouble: Step) -> None:
    server.script(trouble, reply(200, b"1 - a\n"))
    done = maint.run("resource-list")
    assert (done.returncode, done.stdout) == (0, b"1 - a\n")
    assert done.stderr.endswith(b"; trying again\n")
    assert done.stderr.count(b"\n") == 1


def test_every_command_tries_again_and_then_gives_up(maint: Client, server: ScriptedServer) -> None:
    """All commands at once: each one takes a whole second."""
    server.kill()
    for shim in [maint.start(*arguments, env={"RESALLOC_RETRY_SECONDS": "1"}) for arguments in COMMANDS]:
        stdout, stderr = shim.communicate(timeout=SECONDS)
        assert (shim.args, shim.returncode, stdout) == (shim.args, 1, b"")
        first, last = stderr.decode().splitlines()
        assert first.startswith("resalloc-maint: curl: (7) ")
        assert first.endswith("; trying again")
        assert last.startswith("resalloc-maint: curl: (7) ")


@one_shell
def test_it_tries_for_about_three_seconds_by_default(maint: Client, server: ScriptedServer) -> None:
    server.script(*[reply(503, b"The state folder cannot be used.\n")] * 2000)
    begin = time.monotonic()
    done = maint.run("resource-delete", "--unused")
    assert time.monotonic() - begin >= 2
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.endswith(b"\nresalloc-maint: The state folder cannot be used.\n")


@pytest.mark.parametrize("arguments", COMMANDS, ids=named)
def test_once_only_when_the_limit_is_0(maint: Client, server: ScriptedServer, arguments: tuple[str, ...]) -> None:
    server.script(reply(503, b"Starting.\n"))
    done = maint.run(*arguments, env={"RESALLOC_RETRY_SECONDS": "0"})
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"resalloc-maint: Starting.\n")


@pytest.mark.parametrize("arguments", COMMANDS, ids=named)
@pytest.mark.parametrize("status", [401, 404, 429])
def test_a_refusal_is_printed_and_not_repeated(
    maint: Client, server: ScriptedServer, arguments: tuple[str, ...], status: int
) -> None:
    server.script(reply(status, b"There is no resource 1.\n"))
    done = maint.run(*arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"resalloc-maint: There is no resource 1.\n"
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [201, 204, 302])
def test_a_reply_of_something_else_prints_nothing(maint: Client, server: ScriptedServer, status: int) -> None:
    server.script(reply(status, b"" if status == 204 else b"<html>\n", Content_Type="text/html"))
    done = maint.run("resource-list")
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"HTTP {status} from {server.url}\n".encode() in done.stderr


@every_shell
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_at_once(
    maint: Client, server: ScriptedServer, hold: Step, number: signal.Signals, status: int
) -> None:
    server.script(hold)
    shim = maint.start("resource-list")
    server.await_requests(1)
    begin = time.monotonic()
    os.killpg(shim.pid, number)
    assert shim.communicate(timeout=20) == (b"", b"")
    assert time.monotonic() - begin < 30
    assert shim.returncode == status
    assert processes_of(shim.pid) == []


@every_shell
def test_a_child_that_a_signal_ends_at_once_removes_nothing(maint: Client, server: ScriptedServer) -> None:
    """Given a shell that only now becomes curl, when TERM comes, then the file for the reply is still there."""
    server.kill()
    for _ in range(20):
        shim = maint.start("resource-list", env={"RESALLOC_RETRY_SECONDS": "0"})
        children: list[str] = []
        while not children and shim.poll() is None:  # without a pause: it is no shell for long
            if list(maint.temporary.iterdir()):
                children = Path(f"/proc/{shim.pid}/task/{shim.pid}/children").read_text().split()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGTERM)
        assert b"No such file" not in shim.communicate(timeout=20)[1]


@every_shell
def test_a_signal_ends_the_command_that_runs_and_all_that_would_follow(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(200, b"1\ta\tUP\t\n2\tb\tUP\t\n"))
    shim = maint.start("foreach-resource", "--command", "echo {name}; exec sleep 60")
    assert shim.stdout is not None
    assert shim.stdout.readline() == b"a\n"
    os.killpg(shim.pid, signal.SIGINT)
    assert shim.communicate(timeout=20) == (b"", b"")
    assert shim.returncode == 130


@every_shell
@pytest.mark.parametrize("arguments", [("resource-list",), ("resource-info", "1")])
def test_a_reader_who_has_enough_ends_it_without_a_word(
    maint: Client, server: ScriptedServer, arguments: tuple[str, ...]
) -> None:
    server.script(reply(200, b"line\n" * 100_000))
    shim = maint.start(*arguments)
    assert shim.stdout is not None
    assert shim.stdout.read(5) == b"line\n"
    shim.stdout.close()
    assert shim.wait(20) == 141
    assert shim.stderr is not None
    assert shim.stderr.read() == b""


@every_shell
def test_a_full_disk_is_a_failure(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(200, b"1 - a\n"))
    with Path("/dev/full").open("wb") as full:
        done = maint.run("resource-list", stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr.endswith(b"resalloc-maint: cannot write\n")
