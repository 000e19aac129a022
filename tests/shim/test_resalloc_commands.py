"""What each command of `resalloc` prints and how it exits, for each answer of the server."""

import os

import pytest

from tests.shim.client import Client, every_shell
from tests.shim.server import ScriptedServer, after_hints, reply

BYTES = {
    "text": b"10.0.0.1\n",
    "no newline": b"10.0.0.1",
    "many newlines": b"\n\na\n\n\n",
    "binary": bytes(range(256)) * 3,
    "empty": b"",
    "large": b"\0x\n" * 50_000,
    "looks like options": b"-n \\c %s $(date) `id`\n",
}


def test_ticket_sends_tags_and_sandbox_and_prints_the_id(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(201, b"42\n"))
    done = resalloc.run("ticket", "--tag", "arch_x86_64", "--tag=beaker", "--sandbox", "user/project")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"42\n", b"")
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/tickets")
    assert request.form == {"tag": ["arch_x86_64", "beaker"], "sandbox": ["user/project"]}


@every_shell
@pytest.mark.parametrize("value", ["@/etc/passwd", "a=b", "=", "a b&c+d%20", "žluť", "-x", "'\"$(id)`id`\\n*"])
def test_values_of_options_arrive_as_they_are(resalloc: Client, server: ScriptedServer, value: str) -> None:
    server.script(reply(201, b"7"))
    done = resalloc.run("ticket", "--tag", value, "--sandbox", value, f"--tag={value}")
    assert done.stdout == b"7\n"
    assert server.requests[0].form == {"tag": [value, value], "sandbox": [value]}


def test_interim_replies_are_skipped(resalloc: Client, server: ScriptedServer) -> None:
    server.script(after_hints(reply(201, b"42\n")), after_hints(reply(200, b"\nip", Ticket_State="OPEN")))
    assert resalloc.run("ticket", "--tag", "a").stdout == b"42\n"
    assert resalloc.run("ticket-check", "42").stdout == b"\nip"


def test_ticket_without_sandbox_sends_none(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(201, b"7"))
    resalloc.run("ticket", "--tag", "a")
    assert server.requests[0].form == {"tag": ["a"]}


def test_ticket_says_at_once_what_no_pool_can_provide(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(201, b"42\n", Resalloc_Notice="No pool has the tag solaris: the ticket waits for one."))
    done = resalloc.run("ticket", "--tag", "solaris")
    assert (done.returncode, done.stdout) == (0, b"42\n")
    assert done.stderr == b"resalloc: No pool has the tag solaris: the ticket waits for one.\n"


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"42\n"), (201, b""), (201, b"<html>\n"), (201, b"-1\n"), (302, b"42\n"), (204, b"")]
)
def test_ticket_prints_no_id_unless_one_was_created(
    resalloc: Client, server: ScriptedServer, status: int, body: bytes
) -> None:
    server.script(reply(status, body))
    done = resalloc.run("ticket", "--tag", "a")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"unexpected reply" in done.stderr


def test_each_ticket_has_its_own_idempotency_key(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*[reply(201, b"1\n")] * 3)
    for _ in range(3):
        resalloc.run("ticket", "--tag", "a")
    keys = {request.headers["idempotency-key"] for request in server.requests}
    assert len(keys) == 3
    assert all(len(key) >= 32 for key in keys)


@pytest.mark.parametrize("status", [400, 401, 403, 408, 422, 429])
def test_a_refusal_is_printed_once_and_not_repeated(resalloc: Client, server: ScriptedServer, status: int) -> None:
    server.script(reply(status, b"A tag must not be empty.\n"))
    done = resalloc.run("ticket", "--tag", "a")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"resalloc: A tag must not be empty.\n"
    assert len(server.requests) == 1


def test_a_refusal_by_another_server_shows_no_page_but_its_status(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(403, b"<html>\n<h1>Forbidden</h1>", Content_Type="text/html"))
    done = resalloc.run("ticket", "--tag", "a")
    assert done.stderr == f"resalloc: HTTP 403 from {server.url}\n".encode()


@every_shell
@pytest.mark.parametrize("body", BYTES.values(), ids=BYTES)
def test_check_prints_the_output_byte_for_byte(resalloc: Client, server: ScriptedServer, body: bytes) -> None:
    server.script(reply(200, body, Ticket_State="OPEN", Content_Type="application/octet-stream"))
    done = resalloc.run("ticket-check", "42")
    assert (done.returncode, done.stdout, done.stderr) == (0, body, b"")
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/tickets/42/output")


@pytest.mark.parametrize("state", ["CLOSED", "FAILED"])
def test_check_prints_the_output_of_a_ticket_that_is_over_and_exits_1(
    resalloc: Client, server: ScriptedServer, state: str
) -> None:
    server.script(reply(200, b"\0ip", Ticket_State=state))
    done = resalloc.run("ticket-check", "42")
    assert (done.returncode, done.stdout) == (1, b"\0ip")
    assert state.lower().encode() in done.stderr
    assert server.requests[0].query == {"closed": ["1"]}


@pytest.mark.parametrize("command", ["ticket-check", "ticket-wait"])
@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (reply(404, b"There is no ticket 42.\n"), b"unknown: There is no ticket 42."),
        (reply(410, b"It is over.\n", Ticket_State="CLOSED"), b"closed: It is over."),
        (reply(410, b"It is over.\n", ticket_state="FAILED"), b"failed: It is over."),
        (reply(410, b"It is over.\n"), b"closed or failed: It is over."),
    ],
)
def test_a_ticket_without_output_ends_with_a_word(
    resalloc: Client, server: ScriptedServer, command: str, answer: object, word: bytes
) -> None:
    server.script(answer)  # type: ignore[arg-type]
    done = resalloc.run(command, "42")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"resalloc: " + word + b"\n")
    assert len(server.requests) == 1


def test_check_of_a_waiting_ticket(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(409, b"Ticket 42 has no resource yet."))
    done = resalloc.run("ticket-check", "42")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"resalloc: still waiting: Ticket 42 has no resource yet.\n"


def test_check_trusts_no_success_without_a_ticket_state(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(200, b"<html>Welcome to our network</html>", Content_Type="text/html"))
    done = resalloc.run("ticket-check", "42")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"unexpected reply" in done.stderr


@pytest.mark.parametrize("body", BYTES.values(), ids=BYTES)
def test_wait_prints_the_output_byte_for_byte(resalloc: Client, server: ScriptedServer, body: bytes) -> None:
    server.script(reply(200, body, Ticket_State="CLOSED"))
    done = resalloc.run("ticket-wait", "42")
    assert (done.returncode, done.stdout, done.stderr) == (0, body, b"")
    assert server.requests[0].path == "/tickets/42/wait"
    assert server.requests[0].query == {"timeout": ["50"], "closed": ["1"]}


def test_wait_waits_on_when_its_time_is_over(resalloc: Client, server: ScriptedServer) -> None:
    server.script(*[reply(408, b"Still waiting.\n", Retry_After="1")] * 3, reply(200, b"ip\n"))
    done = resalloc.run("ticket-wait", "42", env={"RESALLOC_RETRY_DELAYS": ""})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ip\n", b"")
    gaps = [b.at - a.at for a, b in zip(server.requests, server.requests[1:], strict=False)]
    assert len(gaps) == 3
    assert all(gap >= 0.1 for gap in gaps), "a server that answers 408 at once must not be hammered"


def test_close_prints_nothing(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(200, b"closed\n"))
    done = resalloc.run("ticket-close", "42")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (server.requests[0].method, server.requests[0].path) == ("DELETE", "/tickets/42")


def test_close_of_an_unknown_ticket(resalloc: Client, server: ScriptedServer) -> None:
    server.script(reply(404, b"There is no ticket 42.\n"))
    done = resalloc.run("ticket-close", "42")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"resalloc: unknown: There is no ticket 42.\n")


@every_shell
@pytest.mark.parametrize("arguments", [("ticket", "--tag", "a"), ("ticket-check", "42"), ("ticket-wait", "42")])
@pytest.mark.parametrize("kind", ["full device", "closed pipe"])
def test_a_stdout_that_takes_nothing_is_an_error(
    resalloc: Client, server: ScriptedServer, arguments: tuple[str, ...], kind: str
) -> None:
    server.script(reply(201 if arguments[0] == "ticket" else 200, b"42\n", Ticket_State="OPEN"))
    if kind == "closed pipe":
        reader, stdout = os.pipe()
        os.close(reader)
    else:
        stdout = os.open("/dev/full", os.O_WRONLY)
    done = resalloc.run(*arguments, stdout=stdout)
    os.close(stdout)
    assert done.returncode == 1
    assert b"resalloc: cannot write the" in done.stderr
    assert b"ticket 42" in done.stderr
