"""What people see of a wait on a terminal, `ticket-explain`, and `ticket-close --bad`."""

import os
import re
import signal

import pytest

from tests.shim.client import Client, every_shell
from tests.shim.server import ScriptedServer, Step, reply

WAITS = reply(408, b"Ticket 42 still waits: 3rd in line; pool vms is at its max of 10; about 4 min.\n")
LINE = "Ticket 42 still waits: 3rd in line; pool vms is at its max of 10; about 4 min (00:0"
SERVED = reply(200, b"\0ip\n", Ticket_State="OPEN")


class Terminal:
    """A terminal for stderr that keeps what was written to it."""

    def __init__(self) -> None:
        self.ours, self.theirs = os.openpty()

    def shown(self) -> str:
        """All that was written; then it is gone."""
        os.close(self.theirs)
        text = b""
        while True:
            try:
                text += os.read(self.ours, 65536)
            except OSError:  # the other end is closed
                break
        os.close(self.ours)
        return text.decode()


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_a_wait_on_a_terminal_shows_why_and_how_long_in_place(
    resalloc: Client, server: ScriptedServer, terminal: Terminal
) -> None:
    """Given stderr is a terminal, when the ticket waits, then one line is renewed in place, and gone at the end."""
    server.script(WAITS, WAITS, SERVED)
    done = resalloc.run("ticket-wait", "42", stderr=terminal.theirs, env={"TERM": "xterm"})
    assert (done.returncode, done.stdout) == (0, b"\0ip\n")
    shown = terminal.shown()
    assert shown.count(LINE) == 2
    assert "\n" not in shown
    assert shown.endswith("\r\x1b[K")
    assert re.sub(r"\x1b\[(K|\?7[lh])", "", shown).split("\r")[-1] == ""
    assert [request.query["timeout"] for request in server.requests] == [["1"]] * 3, "renewed about every second"


def test_an_error_is_on_its_own_line(resalloc: Client, server: ScriptedServer, terminal: Terminal) -> None:
    server.script(WAITS, reply(503, b"Stopping.\n"), SERVED)
    resalloc.run("ticket-wait", "42", stderr=terminal.theirs, env={"TERM": "xterm"})
    assert "\r\x1b[Kresalloc: Stopping.; trying again\r\n" in terminal.shown()


@every_shell
@pytest.mark.parametrize("end", ["signal", "refusal"])
def test_every_end_erases_the_line(
    resalloc: Client, server: ScriptedServer, hold: Step, terminal: Terminal, end: str
) -> None:
    server.script(WAITS, hold if end == "signal" else reply(404, b"There is no ticket 42.\n"))
    shim = resalloc.start("ticket-wait", "42", stderr=terminal.theirs, env={"TERM": "xterm"})
    server.await_requests(2)
    if end == "signal":
        os.kill(shim.pid, signal.SIGINT)
    assert shim.wait(20) == (130 if end == "signal" else 1)
    after_line = terminal.shown().rpartition(LINE)[2]
    assert "\r\x1b[K" in after_line
    assert after_line.partition("\r\x1b[K")[2] == (
        "" if end == "signal" else "resalloc: unknown: There is no ticket 42.\r\n"
    )


@pytest.mark.parametrize(
    ("arguments", "term"), [(["ticket-wait", "42"], "dumb"), (["ticket-wait", "--quiet", "42"], "xterm")]
)
def test_a_dumb_terminal_and_a_quiet_wait_show_nothing(
    resalloc: Client, server: ScriptedServer, terminal: Terminal, arguments: list[str], term: str
) -> None:
    server.script(WAITS, SERVED)
    done = resalloc.run(*arguments, stderr=terminal.theirs, env={"TERM": term})
    assert done.stdout == b"\0ip\n"
    assert terminal.shown() == ""
    assert server.requests[0].query["timeout"] == ["50"]


def test_a_piped_wait_shows_nothing(resalloc: Client, server: ScriptedServer) -> None:
    server.script(WAITS, SERVED)
    assert resalloc.run("ticket-wait", "42", env={"TERM": "xterm"}).stderr == b""


def test_run_shows_the_line_until_its_command_starts(
    resalloc: Client, server: ScriptedServer, terminal: Terminal
) -> None:
    server.script(reply(201, b"42\n"), WAITS, SERVED, reply(200, b"closed\n"))
    command = ("sh", "-c", "echo from the command >&2")
    done = resalloc.run("run", "--tag", "a", "--", *command, stderr=terminal.theirs, env={"TERM": "xterm"})
    assert (done.returncode, done.stdout) == (0, b"")
    shown = terminal.shown()
    assert LINE in shown
    assert shown.endswith("\r\x1b[Kfrom the command\r\n")


def test_a_wait_with_a_time_limit(resalloc: Client, server: ScriptedServer) -> None:
    """Given a server that answers too early, when the limit has passed, then the wait ends with the reason."""
    server.script(*[WAITS] * 2000)
    done = resalloc.run("ticket-wait", "--timeout=01", "42")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"resalloc: still waiting after 1 s: Ticket 42 still waits: 3rd in line; ")
    assert server.requests[0].query["timeout"] == ["1"]


def test_a_time_limit_holds_while_the_server_is_away(resalloc: Client, server: ScriptedServer) -> None:
    server.kill()
    done = resalloc.run("ticket-wait", "--timeout", "1", "42")
    assert done.returncode == 1
    assert b"\nresalloc: still waiting after 1 s: curl: (7) " in done.stderr


def test_explain_prints_what_the_server_explains(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(200, b"Ticket 42 has waited for 4 min.\nIt is 3rd in line.\n"))
    done = resalloc.run("ticket-explain", "42")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"Ticket 42 has waited for 4 min.\nIt is 3rd in line.\n"
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/tickets/42/explain")


def test_explain_of_an_unknown_ticket(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(404, b"There is no ticket 42.\n"))
    done = resalloc.run("ticket-explain", "42")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"resalloc: unknown: There is no ticket 42.\n")


@pytest.mark.parametrize(
    "arguments", [["--bad", "no disk & no = network", "42"], ["42", "--bad=no disk & no = network"]]
)
def test_a_bad_resource_is_reported_with_the_close(
    resalloc: Client, server: ScriptedServer, arguments: list[str]
) -> None:
    server.script(reply(200, b"closed\n"))
    done = resalloc.run("ticket-close", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/tickets/42/close")
    assert request.form == {"bad": ["no disk & no = network"]}
