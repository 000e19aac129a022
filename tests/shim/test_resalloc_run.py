"""`resalloc run`: what the command gets, how it all exits, and that the ticket is closed once."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.shim.client import SHIM, Client, every_shell
from tests.shim.server import ScriptedServer, reply

TAKEN = reply(201, b"42\n")
CLOSED = reply(200, b"closed\n")
RUN = ("run", "--tag", "a", "--")


def given(output: bytes = b"10.0.0.1\n") -> tuple[object, ...]:
    """The replies of a server that serves the ticket at once."""
    return TAKEN, reply(200, output, Ticket_State="OPEN"), CLOSED


def asked(server: ScriptedServer) -> list[str]:
    return [f"{request.method} {request.path}" for request in server.requests]


WHOLE = ["POST /tickets", "GET /tickets/42/wait", "DELETE /tickets/42"]


@every_shell
@pytest.mark.parametrize("status", [0, 1, 2, 7, 124, 125, 255])
def test_the_command_runs_while_the_ticket_is_held_and_its_status_is_ours(
    resalloc: Client, server: ScriptedServer, status: int
) -> None:
    server.script(*given())  # type: ignore[arg-type]
    command = f'echo "$RESALLOC_TICKET $RESALLOC_DATA"; echo oops >&2; exit {status}'
    done = resalloc.run("run", "--tag", "a", "--tag=b", "--sandbox", "s", "--", "sh", "-c", command)
    assert (done.returncode, done.stdout, done.stderr) == (status, b"42 10.0.0.1\n", b"oops\n")
    assert asked(server) == WHOLE
    assert server.requests[0].form == {"tag": ["a", "b"], "sandbox": ["s"]}


@every_shell
def test_arguments_arrive_as_they_are(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*given())  # type: ignore[arg-type]
    words = ["", " a  b ", "--tag", "--", "--help", "$(id)", "*", "\\n", "it's", '"', "x\ny", "--connection=x"]
    done = resalloc.run(*RUN, "printf", "[%s]", *words)
    assert done.stdout.decode() == "".join(f"[{word}]" for word in words)


OUTPUTS = {
    "text": b"10.0.0.1\n",
    "many newlines": b"\n\na b\n\n\n",
    "every byte but NUL": bytes(range(1, 256)) * 3,
    "empty": b"",
    "quotes": b"-n \\c %s $(date) `id` ' \"\n",
    "NUL": b"a\0b\n",
    "too large for a variable": b"x" * 100_001,
}


@every_shell
@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_the_output_is_in_a_private_file_and_in_a_variable(
    resalloc: Client, server: ScriptedServer, output: bytes
) -> None:
    """The file holds every byte; the variable what a variable can hold, without the newlines at the end."""
    server.script(*given(output))  # type: ignore[arg-type]
    command = 'cat "$RESALLOC_DATA_FILE"; printf "|%s" "$RESALLOC_DATA"; stat -c "|%a" "$RESALLOC_DATA_FILE"'
    done = resalloc.run(*RUN, "sh", "-c", command)
    in_variable = b"" if b"\0" in output or len(output) > 100_000 else output.rstrip(b"\n")
    assert done.stdout == output + b"|" + in_variable + b"|600\n"
    assert done.stderr == b""


@every_shell
def test_the_file_has_an_absolute_name(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*given())  # type: ignore[arg-type]
    relative = os.path.relpath(resalloc.temporary)
    done = resalloc.run(*RUN, "sh", "-c", 'cd / && cat "$RESALLOC_DATA_FILE"', env={"TMPDIR": relative})
    assert done.stdout == b"10.0.0.1\n"


@every_shell
def test_stdin_is_the_commands(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*given())  # type: ignore[arg-type]
    ours, theirs = os.pipe()
    os.write(theirs, b"the caller's own\0lines\n")
    os.close(theirs)
    assert resalloc.run(*RUN, "cat", stdin=ours).stdout == b"the caller's own\0lines\n"
    os.close(ours)


@every_shell
def test_a_closed_stdin_does_not_matter(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*given())  # type: ignore[arg-type]
    done = resalloc.run(*RUN, "cat", stdin=None, prepare=lambda: os.close(0))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@every_shell
def test_the_environment_of_the_command_is_the_callers(resalloc: Client, server: ScriptedServer) -> None:
    """Whatever variables the script itself uses, and whatever RESALLOC variables an outer run has set."""
    server.script(*given())  # type: ignore[arg-type]
    names = set(re.findall(r"\b([a-z_]+)=", (SHIM / "resalloc").read_text())) - {"env"}
    assert {"id", "text", "version", "environment", "value"} <= names
    theirs = {name: f"its {name}\n'$(x)\"" for name in names} | {"RESALLOC_TICKET": "7", "RESALLOC_DATA": "outer"}
    done = resalloc.run(*RUN, "env", "-0", env=theirs)
    got = dict(line.split("=", 1) for line in done.stdout.decode().rstrip("\0").split("\0"))
    assert {name: got[name] for name in names} == {name: theirs[name] for name in names}
    assert (got["RESALLOC_TICKET"], got["RESALLOC_DATA"]) == ("42", "10.0.0.1")
    assert set(got) - set(theirs) - {"_", "PWD", "OLDPWD", "SHLVL"} == {
        *("PATH", "HOME", "TMPDIR", "RESALLOC_URL", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "RESALLOC_DATA_FILE"),
        "RESALLOC_RETRY_DELAYS",
    }


def standard(mask: bytes) -> set[int]:
    """The signals in a mask of /proc, without those that libc keeps for itself and ignores in what it spawns."""
    return {number for number in range(1, 32) if int(mask, 16) & 1 << (number - 1)}


@every_shell
def test_signals_umask_and_descriptors_are_those_of_the_caller(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*given())  # type: ignore[arg-type]
    list_descriptors = "for fd in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$fd ] || echo $fd; done"
    command = f"umask; sed -n s/^SigIgn://p /proc/self/status; {list_descriptors}"

    def prepare() -> None:
        os.umask(0o027)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    done = resalloc.run(*RUN, "sh", "-c", command, prepare=prepare)
    mask, ignored, *descriptors = done.stdout.split()
    assert (mask, standard(ignored), descriptors) == (b"0027", set(), [b"0", b"1", b"2"])


@every_shell
def test_interrupts_that_the_caller_ignores_stay_ignored(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*given())  # type: ignore[arg-type]

    def prepare() -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)

    done = resalloc.run(*RUN, "sed", "-n", r"s/^SigIgn:\t//p", "/proc/self/status", prepare=prepare)
    assert standard(done.stdout) == {signal.SIGINT, signal.SIGQUIT}


@every_shell
@pytest.mark.parametrize(("command", "status"), [("no-such-command", 127), ("/etc/passwd", 126)])
def test_a_command_that_cannot_be_run(resalloc: Client, server: ScriptedServer, command: str, status: int) -> None:
    server.script(*given())  # type: ignore[arg-type]
    done = resalloc.run(*RUN, command)
    assert done.returncode == status
    assert command.encode() in done.stderr
    assert asked(server) == WHOLE


@every_shell
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV])
def test_a_command_that_a_signal_ends(resalloc: Client, server: ScriptedServer, number: signal.Signals) -> None:
    server.script(*given())  # type: ignore[arg-type]
    done = resalloc.run(*RUN, "sh", "-c", f"kill -{int(number)} $$")
    assert (done.returncode, done.stderr) == (128 + number, b"")
    assert asked(server) == WHOLE


@every_shell
@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (410, b"Ticket 42 has failed.\n", b"failed: Ticket 42 has failed."),
        (404, b"There is no ticket 42.\n", b"unknown: There is no ticket 42."),
    ],
)
def test_a_wait_that_fails_runs_nothing_and_closes(
    resalloc: Client, server: ScriptedServer, status: int, body: bytes, says: bytes
) -> None:
    server.script(TAKEN, reply(status, body, Ticket_State="FAILED"), CLOSED)
    done = resalloc.run(*RUN, "echo", "ran")
    assert (done.returncode, done.stdout, done.stderr) == (125, b"", b"resalloc: " + says + b"\n")
    assert asked(server) == WHOLE
    assert "closed" not in server.requests[1].query, "a ticket that is over has no resource to run with"


@every_shell
def test_a_refused_ticket_runs_nothing_and_closes_nothing(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(422, b"A tag must not be empty.\n"))
    done = resalloc.run(*RUN, "echo", "ran")
    assert (done.returncode, done.stdout, done.stderr) == (125, b"", b"resalloc: A tag must not be empty.\n")
    assert asked(server) == ["POST /tickets"]


@every_shell
def test_an_unreachable_server_is_reported_once(resalloc: Client, server: ScriptedServer) -> None:
    server.kill()
    done = resalloc.run(*RUN, "echo", "ran", env={"RESALLOC_RETRY_SECONDS": "0"})
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"resalloc: curl: (7) ")
    assert done.stderr.count(b"\n") == 1


@every_shell
def test_a_folder_that_takes_no_file(resalloc: Client, tmp_path: Path) -> None:
    done = resalloc.run(*RUN, "echo", "ran", env={"TMPDIR": str(tmp_path / "none")})
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"cannot write to" in done.stderr


@every_shell
def test_a_wait_that_lasts_too_long_is_given_up(resalloc: Client, server: ScriptedServer) -> None:
    waits, closes = reply(408, b"Ticket 42 still waits: nothing is free.\n"), CLOSED
    server.script(TAKEN, *[lambda handler: (closes if handler.command == "DELETE" else waits)(handler)] * 2000)
    done = resalloc.run("run", "--tag", "a", "--timeout", "1", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (124, b"")
    assert done.stderr == b"resalloc: still waiting after 1 s: Ticket 42 still waits: nothing is free.\n"
    assert asked(server)[-1] == "DELETE /tickets/42"
    assert server.requests[1].query["timeout"] == ["1"]


@every_shell
def test_a_close_is_repeated_until_it_is_done_and_changes_no_status(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*given()[:2], reply(503, b"Stopping.\n"), CLOSED)  # type: ignore[arg-type]
    done = resalloc.run(*RUN, "sh", "-c", "exit 3")
    assert (done.returncode, done.stderr) == (3, b"resalloc: Stopping.; trying again\n")
    assert asked(server) == [*WHOLE, "DELETE /tickets/42"]


@every_shell
def test_a_close_that_is_refused_is_reported_and_changes_no_status(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*given()[:2], reply(404, b"There is no ticket 42.\n"))  # type: ignore[arg-type]
    done = resalloc.run(*RUN, "sh", "-c", "exit 3")
    assert (done.returncode, done.stderr) == (3, b"resalloc: unknown: There is no ticket 42.\n")


@every_shell
def test_tags_that_no_pool_has_are_reported_unless_quiet(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(201, b"42\n", Resalloc_Notice="No pool has b."), *given()[1:])  # type: ignore[arg-type]
    server.script(reply(201, b"42\n", Resalloc_Notice="No pool has b."), *given()[1:])  # type: ignore[arg-type]
    assert resalloc.run(*RUN, "true").stderr == b"resalloc: No pool has b.\n"
    assert resalloc.run("run", "--quiet", *RUN[1:], "true").stderr == b""


@every_shell
def test_the_server_may_be_killed_while_the_command_runs(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*given())  # type: ignore[arg-type]
    shim = resalloc.start(*RUN, "sh", "-c", "echo ready; read line; exit 9", stdin=subprocess.PIPE)
    assert shim.stdout is not None
    assert shim.stdout.readline() == b"ready\n"
    server.kill()
    server.start()
    assert shim.communicate(b"end\n", timeout=20) == (b"", b"")
    assert shim.returncode == 9
    assert asked(server) == WHOLE
