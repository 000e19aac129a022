"""Following logs with `resalloc-maint resource-logs`."""

import os
import select
import signal
import subprocess
import time

import pytest

from tests.shim.client import Client, every_shell, processes_of
from tests.shim.server import ScriptedServer, Step, empty, reply
from tests.waiting import until

RESOURCE_1 = reply(200, b'{\n    "id": 1,\n    "name": "a"\n}\n', Content_Type="application/json")
RESOURCE_2 = reply(200, b'{"id":2,"name":"b"}\n', Content_Type="application/json")


def part(content: bytes, following: int) -> Step:
    """A piece of a log; what comes next begins at `following`."""
    return reply(200, content, Log_Next=str(following), Content_Type="application/octet-stream")


def read_until(shim: subprocess.Popen[bytes], end: bytes) -> bytes:
    """All that comes on stdout until it ends with `end`, which must come soon."""
    stdout = shim.stdout
    assert stdout is not None
    got = b""
    while not got.endswith(end):
        until(lambda: select.select([stdout], [], [], 0)[0], what=f"{end!r} after {got!r}")
        more = os.read(stdout.fileno(), 65536)
        assert more, f"it ended after {got!r}: {shim.stderr.read() if shim.stderr else b''!r}"
        got += more
    return got


def end(shim: subprocess.Popen[bytes]) -> None:
    os.killpg(shim.pid, signal.SIGTERM)
    assert shim.wait(20) == 143


def asked(server: ScriptedServer) -> list[tuple[str, dict[str, list[str]]]]:
    return [(request.path.replace("%31", "1").replace("%62", "b"), request.query) for request in server.requests]


def test_each_log_is_printed_whole_and_then_followed(maint: Client, server: ScriptedServer, hold: Step) -> None:
    server.script(
        RESOURCE_1,
        RESOURCE_2,
        reply(200, b"1 alloc 10 /log dir/000001_alloc\n1 watch 0 /log dir/000001_watch\n2 alloc 3 /l/000002_alloc\n"),
        part(b"\0\xff\n", 3),
        part(b"-n %s\\n", 10),
        part(b"two", 3),
        reply(200, b"1 alloc 10 /log dir/000001_alloc\n1 watch 2 /log dir/000001_watch\n2 alloc 5 /l/000002_alloc\n"),
        part(b"w\n", 2),
        part(b"\n+", 5),
        reply(200, b"1 alloc 10 /log dir/000001_alloc\n1 watch 2 /log dir/000001_watch\n2 alloc 6 /l/000002_alloc\n"),
        part(b"!", 6),
        hold,
    )
    shim = maint.start("resource-logs", "1", "b")
    assert read_until(shim, b"!") == (
        b"==> /log dir/000001_alloc <==\n\0\xff\n-n %s\\n"
        b"\n==> /log dir/000001_watch <==\n"
        b"\n==> /l/000002_alloc <==\ntwo"
        b"\n==> /log dir/000001_watch <==\nw\n"
        b"\n==> /l/000002_alloc <==\n\n+!"
    )
    server.await_requests(12)
    both = {"resource": ["1", "2"]}
    assert asked(server) == [
        ("/resources/1", {}),
        ("/resources/b", {}),
        ("/logs", {"wait": ["0"], "seen": ["0"], **both}),
        ("/resources/1/logs/alloc", {"offset": ["0"]}),
        ("/resources/1/logs/alloc", {"offset": ["3"]}),
        ("/resources/2/logs/alloc", {"offset": ["0"]}),
        ("/logs", {"wait": ["30"], "seen": ["16"], **both}),
        ("/resources/1/logs/watch", {"offset": ["0"]}),
        ("/resources/2/logs/alloc", {"offset": ["3"]}),
        ("/logs", {"wait": ["30"], "seen": ["20"], **both}),
        ("/resources/2/logs/alloc", {"offset": ["5"]}),
        ("/logs", {"wait": ["30"], "seen": ["21"], **both}),
    ]
    end(shim)


def test_nothing_yet_is_waited_for(maint: Client, server: ScriptedServer, hold: Step) -> None:
    server.script(RESOURCE_1, reply(200), reply(200), reply(200, b"1 alloc 1 /l/f\n"), part(b"x", 1), hold)
    shim = maint.start("resource-logs", "1")
    assert read_until(shim, b"x") == b"==> /l/f <==\nx"
    end(shim)


@pytest.mark.parametrize("between", [b"1 alloc 2 /l/f\n", b""], ids=["shorter", "gone for a while"])
def test_a_log_that_began_anew_is_printed_from_its_start(
    maint: Client, server: ScriptedServer, hold: Step, between: bytes
) -> None:
    server.script(RESOURCE_1, reply(200, b"1 alloc 4 /l/f\n"), part(b"old\n", 4), reply(200, between))
    server.script(*([part(b"n", 2)] if between else []), reply(200, b"1 alloc 5 /l/f\n"), part(b"new.\n", 5), hold)
    shim = maint.start("resource-logs", "1")
    printed = read_until(shim, b"new.\n")
    assert printed == (b"==> /l/f <==\nold\n" + (b"nnew.\n" if between else b"new.\n"))
    offsets = [query["offset"] for _, query in asked(server) if "offset" in query]
    assert offsets == ([["0"], ["0"], ["2"]] if between else [["0"], ["0"]])
    end(shim)


def test_an_unknown_resource_ends_it_before_anything_is_printed(maint: Client, server: ScriptedServer) -> None:
    server.script(RESOURCE_1, reply(404, b"There is no resource 'b'.\n"))
    done = maint.run("resource-logs", "1", "b")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"resalloc-maint: There is no resource 'b'.\n"


def test_a_reply_without_a_resource_is_reported(maint: Client, server: ScriptedServer) -> None:
    server.script(reply(200, b"<html>\n", Content_Type="text/html"))
    done = maint.run("resource-logs", "1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"unexpected reply: no resource" in done.stderr


def test_it_goes_on_where_it_was_when_the_server_comes_back(maint: Client, server: ScriptedServer, hold: Step) -> None:
    server.script(RESOURCE_1, reply(200, b"1 alloc 1 /l/f\n"), part(b"a", 1), hold)
    shim = maint.start("resource-logs", "1", env={"RESALLOC_RETRY_SECONDS": "0"})
    server.await_requests(4)
    server.kill()
    assert shim.stderr is not None
    assert shim.stderr.readline().endswith(b"; trying again\n")
    server.script(empty, reply(503), reply(200, b"1 alloc 2 /l/f\n"), empty, part(b"b", 2), hold)
    server.start()
    assert read_until(shim, b"b") == b"==> /l/f <==\nab"
    end(shim)


@every_shell
@pytest.mark.parametrize("to", ["the shim alone", "its whole group, as a terminal does"])
def test_ctrl_c_ends_it_at_once(maint: Client, server: ScriptedServer, hold: Step, to: str) -> None:
    server.script(RESOURCE_1, reply(200, b"1 alloc 1 /l/f\n"), part(b"a", 1), hold)
    shim = maint.start("resource-logs", "1")
    server.await_requests(4)
    begin = time.monotonic()
    (os.kill if to == "the shim alone" else os.killpg)(shim.pid, signal.SIGINT)
    assert shim.communicate(timeout=20) == (b"==> /l/f <==\na", b"")
    assert time.monotonic() - begin < 30
    assert shim.returncode == 130
    assert processes_of(shim.pid) == []


@every_shell
def test_a_reader_who_has_enough_ends_it_with_the_next_output(
    maint: Client, server: ScriptedServer, hold: Step
) -> None:
    large = b"x" * 1_000_000
    server.script(RESOURCE_1, reply(200, b"1 alloc 1000000 /l/f\n"), part(large, len(large)), hold)
    shim = maint.start("resource-logs", "1")
    read_until(shim, b"x")
    assert shim.stdout is not None
    shim.stdout.close()
    assert shim.wait(20) == 141
