"""`resalloc-maint events` and `history`: what they ask for, what they print, and how the first goes on."""

import os
import signal
import subprocess

import pytest

from tests.shim.client import SECONDS, Client, every_shell
from tests.shim.server import ScriptedServer, Step, cut, reply
from tests.waiting import until

LINES = b"2026-03-01T10:00:00.000Z ticket 7 taken, OPEN, by client: wants A\n2026-03-01T10:00:01.000Z ticket 7 closed\n"
MORE = b"2026-03-01T10:00:02.000Z leader leads, by leader: 100% \\n \\0101 'quoted'\n"


MISUSE: list[tuple[list[str], str]] = [
    (["events", "1"], "unexpected argument: 1"),
    (["events", "--pool"], "--pool needs a value"),
    (["events", "--follow=1"], "--follow takes no value"),
    (["events", "--at", "1"], "unknown option: --at"),
    (["history"], "the id or name of a resource is needed"),
    (["history", "1", "2"], "unexpected argument: 2"),
    (["history", "1", "--follow"], "unknown option: --follow"),
]
"""Arguments, and what is said of them."""


def events(body: bytes, following: str, **headers: str) -> Step:
    return reply(200, body, Events_Next=following, **headers)


def read(client: subprocess.Popen[bytes], size: int) -> bytes:
    """So many bytes of what it prints."""
    assert client.stdout is not None
    content = b""
    while len(content) < size:
        chunk = os.read(client.stdout.fileno(), size - len(content))
        assert chunk, f"it ended after {content!r}"
        content += chunk
    return content


def interrupt(client: subprocess.Popen[bytes]) -> None:
    os.killpg(client.pid, signal.SIGINT)
    assert client.wait(SECONDS) in (130, -signal.SIGINT)


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ([], {}),
        (["--pool", "vm", "--ticket=7"], {"pool": ["vm"], "ticket": ["7"]}),
        (["--resource", "a b&c=d#ž", "--limit", "5"], {"resource": ["a b&c=d#ž"], "limit": ["5"]}),
        (["--since", "Tuesday 14:05"], {"since": ["Tuesday 14:05"]}),
        (["--until", "2026-03-01T10:00+01:00"], {"until": ["2026-03-01T10:00+01:00"]}),
    ],
)
def test_events_prints_the_servers_lines(
    maint: Client, server: ScriptedServer, arguments: list[str], query: dict[str, list[str]]
) -> None:
    server.script(events(LINES, "2026-03-01:200"))
    done = maint.run("events", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, LINES, b"")
    (request,) = server.requests
    assert (request.method, request.path, request.query) == ("GET", "/events", query)


def test_json_is_printed_as_it_comes(maint: Client, server: ScriptedServer) -> None:
    body = b'{"events":[],"next":"2026-03-01:0","earlier":null}\n'
    server.script(events(body, "2026-03-01:0", Content_Type="application/json"))
    assert maint.run("events", "--json").stdout == body
    assert server.requests[0].headers["accept"] == "application/json"


def test_follow_prints_what_happens_and_asks_from_where_it_was(
    maint: Client, server: ScriptedServer, hold: Step
) -> None:
    """Given what was, a wait without news and one with, then all is printed once, as it is."""
    server.script(events(LINES, "2026-03-01:200"), events(b"", "2026-03-01:300"), events(MORE, "2026-03-01:400"), hold)
    following = maint.start("events", "--follow", "--pool", "vm")
    assert read(following, len(LINES + MORE)) == LINES + MORE
    server.await_requests(4)
    assert [request.query.get("after") for request in server.requests] == [
        None, ["2026-03-01:200"], ["2026-03-01:300"], ["2026-03-01:400"],
    ]  # fmt: skip
    assert [request.query["pool"] for request in server.requests] == [["vm"]] * 4
    assert all(request.query["wait"] == ["30"] for request in server.requests[1:])
    interrupt(following)


def test_follow_waits_while_the_server_is_away(maint: Client, server: ScriptedServer, hold: Step) -> None:
    """Given a server that is killed and comes back, when it has news, then they come, and nothing twice."""
    server.script(events(LINES, "2026-03-01:200"), hold)
    following = maint.start("events", "--follow", env={"RESALLOC_RETRY_SECONDS": "0"})
    assert read(following, len(LINES)) == LINES
    server.await_requests(2)
    server.kill()
    server.script(cut, reply(503, b"away\n"), events(MORE, "2026-03-01:400"), hold)
    server.released.clear()
    server.start()
    assert read(following, len(MORE)) == MORE
    until(lambda: server.requests[-1].query.get("after") == ["2026-03-01:400"], what="the next wait")
    interrupt(following)


def test_follow_in_json_is_a_line_for_each_news(maint: Client, server: ScriptedServer, hold: Step) -> None:
    """Given waits without news, when asked for JSON, then only those with news are printed."""
    none = b'{"events":[],"next":"2026-03-01:300","earlier":null}\n'
    some = b'{"events":[{"id":"2026-03-01:400","reason":"\\\\n"}],"next":"2026-03-01:400","earlier":null}\n'
    json = {"Content_Type": "application/json"}
    server.script(
        events(none, "2026-03-01:200", **json),
        events(none, "2026-03-01:300", **json),
        events(some, "2026-03-01:400", **json),
        hold,
    )
    following = maint.start("events", "--follow", "--json")
    assert read(following, len(none + some)) == none + some
    interrupt(following)


def test_a_server_without_events_is_reported(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(404, b"There is nothing at '/events'.\n"))
    done = maint.run("events", "--follow")
    assert (done.returncode, done.stderr) == (1, b"resalloc-maint: There is nothing at '/events'.\n")


def test_a_reply_without_a_place_ends_it(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(200, LINES))
    done = maint.run("events", "--follow")
    assert (done.returncode, done.stdout) == (1, LINES)
    assert b"unexpected reply: no events from " in done.stderr


@pytest.mark.parametrize("name", ["17", "a b/c?d#e%20&f"])
def test_history_asks_for_this_very_resource(maint: Client, server: ScriptedServer, name: str) -> None:
    server.script(reply(200, LINES), reply(200, b"ticket 7 had it\n"), reply(200, b"{}\n"))
    assert maint.run("history", name).stdout == LINES
    done = maint.run("history", name, "--at", "Tuesday 14:05")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ticket 7 had it\n", b"")
    maint.run("history", "--limit=3", name, "--json")
    assert [request.query for request in server.requests] == [{}, {"at": ["Tuesday 14:05"]}, {"limit": ["3"]}]
    assert len({request.path for request in server.requests}) == 1
    assert server.requests[0].path.endswith("/history")


def test_a_refusal_is_reported(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(400, b"The at must be a time.\n"))
    done = maint.run("history", "17", "--at", "x")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"resalloc-maint: The at must be a time.\n")


@every_shell
def test_a_usage_error_exits_2_before_any_request(maint: Client, server: ScriptedServer) -> None:
    for arguments, says in MISUSE:
        done = maint.run(*arguments)
        assert (arguments, done.returncode, done.stdout) == (arguments, 2, b"")
        assert f"\nresalloc-maint: {says}" in done.stderr.decode()
    assert server.requests == []
