"""Workers of a real web server share the templates that were compiled for them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functions.web_server import Server
from tests.system.farm import children_of
from tests.waiting import until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.end()


def premade(process: int) -> list[os.stat_result]:
    """The files in memory that a process has."""
    folder = Path(f"/proc/{process}/fd")
    return [path.stat() for path in folder.iterdir() if os.readlink(path).startswith("/memfd:premade")]


def test_workers_share_compiled_templates_and_a_reload_brings_new_ones(server):
    """Given a web server, when it has started, then its worker and its master have the same file, which is made soon;
    after a reload there is another one, and the pages come.
    """
    (worker,) = children_of(server.process.pid)
    until(lambda: [file.st_size > 100_000 for file in premade(worker)] == [True], what="compiled templates")
    (before,) = premade(server.process.pid)
    assert [file.st_ino for file in premade(worker)] == [before.st_ino]

    server.process.send_signal(signal.SIGHUP)
    (worker,) = until(
        lambda: (now := children_of(server.process.pid)) and worker not in now and len(now) == 1 and now,
        what="another worker",
    )
    until(lambda: [file.st_size > 100_000 for file in premade(worker)] == [True], what="compiled templates")
    assert [file.st_ino for file in premade(worker)] != [before.st_ino]
    connection = server.connect()
    connection.request("GET", "/", headers={"Accept": "text/html"})
    assert "</html>" in connection.getresponse().read().decode()
    assert "Traceback" not in server.log.read_text()
