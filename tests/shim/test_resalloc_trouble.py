"""Lost replies, dead servers and signals."""

import os
import select
import signal
import subprocess
import time

import pytest

from tests.shim.client import Client, every_shell, one_shell, processes_of
from tests.shim.server import ScriptedServer, Step, cut, empty, reply, reset
from tests.waiting import until

COMMANDS = [("ticket", "--tag", "a"), ("ticket-check", "42"), ("ticket-wait", "42"), ("ticket-close", "42")]
TROUBLES = {
    "empty reply": empty,
    "reset": reset,
    "503": reply(503, b"The server is stopping.\n"),
    "500": reply(500, b"<h1>oops</h1>", Content_Type="text/html"),
    "cut body": cut,
}


def good(command: str) -> Step:
    return reply(201, b"42\n") if command == "ticket" else reply(200, b"ip\n", Ticket_State="OPEN")


def prints(command: str) -> bytes:
    return {"ticket": b"42\n", "ticket-close": b""}.get(command, b"ip\n")


def read_line(shim: subprocess.Popen[bytes]) -> bytes:
    """The next line of stderr, which must come soon."""
    stderr = shim.stderr
    assert stderr is not None
    until(lambda: select.select([stderr], [], [], 0)[0], what="a line on stderr")
    return stderr.readline()


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_temporary_error_is_retried(resalloc: Client, server: ScriptedServer, trouble: Step) -> None:
    server.script(trouble, good("ticket-wait"))
    done = resalloc.run("ticket-wait", "42")
    assert (done.returncode, done.stdout) == (0, b"ip\n")
    assert done.stderr.endswith(b"; trying again\n")
    assert len(server.requests) == 2


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_every_command_tries_again(resalloc: Client, server: ScriptedServer, arguments: tuple[str, ...]) -> None:
    server.script(empty, good(arguments[0]))
    done = resalloc.run(*arguments)
    assert (done.returncode, done.stdout) == (0, prints(arguments[0]))


def test_the_notice_is_the_servers_own_sentence(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(503, b"The disk is full.\n"), good("ticket"))
    assert resalloc.run("ticket", "--tag", "a").stderr == b"resalloc: The disk is full.; trying again\n"


@every_shell
def test_no_control_sequence_of_a_server_reaches_the_terminal(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(409, b"Ticket 42 still waits: \x1b]0;owned\x07\x1b[2Jthe last start said \tno.\n"))
    done = resalloc.run("ticket-check", "42")
    assert done.stderr == b"resalloc: still waiting: Ticket 42 still waits: ]0;owned[2Jthe last start said no.\n"


def test_a_create_is_repeated_with_the_same_key_and_form(resalloc: Client, server: ScriptedServer) -> None:
    server.script(empty, reply(503), reply(201, b"42\n"))
    assert resalloc.run("ticket", "--tag", "a", "--sandbox", "s").stdout == b"42\n"
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1
    assert [request.form for request in server.requests] == [{"tag": ["a"], "sandbox": ["s"]}] * 3


@one_shell
def test_pauses_grow_and_an_error_is_reported_once(resalloc: Client, server: ScriptedServer) -> None:
    server.script(empty, reply(503), empty, good("ticket-close"))
    done = resalloc.run("ticket-close", "42", env={"RESALLOC_RETRY_DELAYS": ""})
    assert done.returncode == 0
    assert done.stderr.count(b"\n") == 1
    gaps = [b.at - a.at for a, b in zip(server.requests, server.requests[1:], strict=False)]
    assert [gap >= least for gap, least in zip(gaps, (0.15, 0.45, 0.95), strict=True)] == [True] * 3


def test_the_last_of_the_given_pauses_is_repeated(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*[reply(503)] * 4, good("ticket-close"))
    assert resalloc.run("ticket-close", "42", env={"RESALLOC_RETRY_DELAYS": "0 0.3"}).returncode == 0
    gaps = [b.at - a.at for a, b in zip(server.requests, server.requests[1:], strict=False)]
    assert [gap >= 0.25 for gap in gaps[1:]] == [True] * 3


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_no_retry_when_the_limit_is_0(resalloc: Client, server: ScriptedServer, arguments: tuple[str, ...]) -> None:
    server.kill()
    done = resalloc.run(*arguments, env={"RESALLOC_RETRY_SECONDS": "0"})
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"resalloc: curl: (7) ")
    assert done.stderr.count(b"\n") == 1


def test_the_limit_ends_retries_with_the_last_reason(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*[reply(503, b"Starting.\n")] * 2000)
    begin = time.monotonic()
    done = resalloc.run("ticket-wait", "42", env={"RESALLOC_RETRY_SECONDS": "1"})
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"resalloc: Starting.; trying again\nresalloc: Starting.\n"
    assert len(server.requests) >= 2
    assert time.monotonic() - begin < 10


def test_a_wait_survives_a_killed_server(resalloc: Client, server: ScriptedServer, hold: Step) -> None:
    server.script(hold, reply(408), hold, reply(200, b"ip\n"))
    shim = resalloc.start("ticket-wait", "42")
    server.await_requests(1)
    server.kill()
    assert read_line(shim).endswith(b"; trying again\n")
    server.start()
    server.await_requests(3)
    server.kill()
    assert read_line(shim).endswith(b"; trying again\n"), "the second outage is reported, too"
    server.start()
    stdout, stderr = shim.communicate(timeout=20)
    assert (shim.returncode, stdout, stderr) == (0, b"ip\n", b"")


def test_a_ticket_is_taken_as_soon_as_the_server_comes_up(resalloc: Client, server: ScriptedServer) -> None:
    server.kill()
    shim = resalloc.start("ticket", "--tag", "a")
    assert b"curl: (7)" in read_line(shim)
    server.script(reply(201, b"42\n"))
    server.start()
    assert shim.communicate(timeout=20)[0] == b"42\n"


def test_a_permanent_error_is_not_retried(resalloc: Client) -> None:
    done = resalloc.run("--connection", "http://a b", "ticket-check", "1")
    assert done.returncode == 1
    assert done.stderr.startswith(b"resalloc: curl: (3) ")


SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@every_shell
@pytest.mark.parametrize(("number", "status"), SIGNALS)
@pytest.mark.parametrize("to", ["the shim alone", "its whole group, as a terminal does"])
def test_a_signal_ends_a_wait_at_once(
    resalloc: Client, server: ScriptedServer, hold: Step, number: signal.Signals, status: int, to: str
) -> None:
    server.script(hold)
    shim = resalloc.start("ticket-wait", "42")
    server.await_requests(1)
    begin = time.monotonic()
    (os.kill if to == "the shim alone" else os.killpg)(shim.pid, number)
    stdout, stderr = shim.communicate(timeout=20)
    assert time.monotonic() - begin < 30, "the server held the request for longer"
    assert (shim.returncode, stdout, stderr) == (status, b"", b"")
    assert processes_of(shim.pid) == []


@every_shell
@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_signal_ends_a_pause_at_once(
    resalloc: Client, server: ScriptedServer, number: signal.Signals, status: int
) -> None:
    server.script(*[reply(503)] * 2000)
    shim = resalloc.start("ticket", "--tag", "a", env={"RESALLOC_RETRY_DELAYS": "0.02 0.02 60"})
    server.await_requests(3)
    until(lambda: any("sleep 60" in line for line in processes_of(shim.pid)), what="a long pause")
    os.kill(shim.pid, number)
    assert shim.wait(20) == status
    assert len(server.requests) == 3
    assert processes_of(shim.pid) == []


@every_shell
def test_a_signal_ends_an_output_that_is_not_read(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(200, b"x" * 1_000_000))
    shim = resalloc.start("ticket-wait", "42")
    until(lambda: any("cat" in line for line in processes_of(shim.pid)), what="the output is being written")
    os.kill(shim.pid, signal.SIGTERM)
    assert shim.wait(20) == 143
