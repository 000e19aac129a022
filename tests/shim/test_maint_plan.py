"""`resalloc-maint plan`: what it sends, prints, and how it exits."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.shim.client import Client, every_shell
from tests.shim.server import ScriptedServer, Step, empty, reply
from tests.waiting import until

FILE = b"p: {cmd_new: 'echo \\0 %s', cmd_delete: x}\n# \xc5\xbelu\xc5\xa5 & ; \\n\n\n"
LINES = b"pool p is new; starts 1 at once instead of 0\n1 other pool stays as it is\n"
STRANDED = b"pool p is not in the file\nstranded: ticket 7 would wait in vain\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "a file=with & words.yaml"
    path.write_bytes(FILE)
    return str(path)


def test_the_file_is_sent_as_it_is(maint: Client, server: ScriptedServer, file: str) -> None:
    server.script(reply(200, LINES))
    done = maint.run("plan", file)
    assert (done.returncode, done.stdout, done.stderr) == (0, LINES, b"")
    (sent,) = server.requests
    assert (sent.method, sent.path, sent.body) == ("POST", "/plan", FILE)
    assert (sent.headers["content-type"], sent.headers["accept"]) == ("text/yaml", "*/*")


def test_stdin_is_read_when_it_is_asked_for(maint: Client, server: ScriptedServer, file: str) -> None:
    server.script(reply(200, LINES))
    with open(file, "rb") as stdin:
        done = maint.run("plan", "-", stdin=stdin.fileno())
    assert (done.returncode, done.stdout) == (0, LINES)
    assert server.requests[0].body == FILE


def test_a_pipe_can_be_sent_again(maint: Client, server: ScriptedServer, tmp_path: Path) -> None:
    server.script(empty, reply(503), reply(200, LINES))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    shim = maint.start("plan", str(fifo))
    fifo.write_bytes(FILE)
    assert shim.communicate(timeout=20)[0] == LINES
    assert [request.body for request in server.requests] == [FILE] * 3


def test_something_stranded_has_an_exit_status_of_its_own(maint: Client, server: ScriptedServer, file: str) -> None:
    whole = b'{"stranded":true,"pools":[]}\n'
    server.script(reply(200, STRANDED), reply(200, whole, Content_Type="application/json"))
    done = maint.run("plan", file)
    assert (done.returncode, done.stdout, done.stderr) == (3, STRANDED, b"")
    done = maint.run("plan", "--json", file)
    assert (done.returncode, done.stdout) == (3, whole)
    assert server.requests[1].headers["accept"] == "application/json"


def test_nothing_stranded_is_0_in_json_too(maint: Client, server: ScriptedServer, file: str) -> None:
    whole = b'{"stranded":false,"pools":[{"name":"stranded: "}]}\n'
    server.script(reply(200, whole, Content_Type="application/json"))
    done = maint.run("plan", file, "--json")
    assert (done.returncode, done.stdout) == (0, whole)


def test_all_faults_are_reported(maint: Client, server: ScriptedServer, file: str) -> None:
    faults = b"pools.yaml.new:1: a\npools.yaml.new:2: \\b %s\n"
    error = b'{"error":{"code":"faulty_pools"}}\n'
    server.script(reply(422, faults), reply(422, error, Content_Type="application/json"))
    done = maint.run("plan", file)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", faults)
    done = maint.run("plan", file, "--json")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", error)


def test_other_refusals_are_reported(maint: Client, server: ScriptedServer, file: str) -> None:
    server.script(reply(413, b"The body is over 1088 KiB.\n"))
    done = maint.run("plan", file)
    assert (done.returncode, done.stderr) == (1, b"resalloc-maint: The body is over 1088 KiB.\n")


def test_a_file_that_cannot_be_read_is_reported(maint: Client, server: ScriptedServer, tmp_path: Path) -> None:
    for name in (str(tmp_path / "nowhere"), str(tmp_path)):
        done = maint.run("plan", name)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.endswith(f"resalloc-maint: cannot read {name}\n".encode())
    assert server.requests == []


@every_shell
@pytest.mark.parametrize("while_it", ["reads", "waits"])
def test_a_signal_leaves_nothing_behind(
    maint: Client, server: ScriptedServer, hold: Step, file: str, while_it: str
) -> None:
    """Given a run that reads stdin or waits for the server, when SIGTERM comes, then it ends and cleans up."""
    server.script(hold)
    if while_it == "reads":
        shim = maint.start("plan", "-", stdin=subprocess.PIPE)
        until(lambda: [*maint.temporary.glob("*.sent")], what="its reading")
    else:
        shim = maint.start("plan", file)
        server.await_requests(1)
    shim.send_signal(signal.SIGTERM)
    assert shim.wait(20) == 143
