"""The shims under the shells that are installed, and a server for them."""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.shim.client import PORTABLE, SHELLS, SHIM, Client, processes_of
from tests.shim.server import ScriptedServer, Step


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    scripted.start()
    yield scripted
    scripted.kill()


@pytest.fixture
def hold(server: ScriptedServer) -> Step:
    """A step that answers nothing until the server is killed."""

    def step(handler: BaseHTTPRequestHandler) -> None:
        server.released.wait(60)

    return step


@pytest.fixture(params=PORTABLE)
def resalloc(request: pytest.FixtureRequest, server: ScriptedServer, tmp_path: Path) -> Iterator[Client]:
    """The client under dash and busybox, or under the shells that a mark of `tests.shim.client` names.

    At the end it must have left no process and no temporary file.
    """
    shell = SHELLS[request.param]
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} IS NOT INSTALLED: the shims are NOT tested with it; install {shell[0]}")
    client = Client(shell, tmp_path, server.url)
    client.temporary.mkdir()
    (tmp_path / ".curlrc").write_text('output = "/dev/null"\n')
    yield client
    left = [line for shim in client.started for line in processes_of(shim.pid)]
    for shim in client.started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shim.pid, signal.SIGKILL)
        shim.__exit__(None, None, None)
    assert not left, "the shim left processes behind"
    assert not list(client.temporary.iterdir()), "the shim left temporary files behind"


@pytest.fixture
def maint(resalloc: Client) -> Client:
    """The operators' client, in the same surroundings."""
    resalloc.script = SHIM / "resalloc-maint"
    return resalloc
