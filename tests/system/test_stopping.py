"""SIGTERM: everything of the server ends within ten seconds, parked waits included; resources and hooks stay."""

import os
import signal
import socket
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.farm import Farm, children_of
from tests.waiting import until

SLOW = """
slow:
  max: 2
  max_prealloc: 1
  cmd_new: 'while [ ! -e {folder}/go ]; do sleep 0.05; done; echo $RESALLOC_ID'
  cmd_delete: 'true'
  tags: [A]
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(autouse=True)
def _no_endless_waits() -> Iterator[None]:
    socket.setdefaulttimeout(60)
    yield
    socket.setdefaulttimeout(None)


@pytest.fixture
def slow(farm: Farm) -> Farm:
    """A farm whose start lasts until the file `go` exists."""
    farm.set_pools(SLOW.format(folder=farm.folder))
    farm.start()
    return farm


def hook_of(farm: Farm) -> int:
    """The process group of the only hook that runs."""
    return int(
        until(lambda: "".join(path.read_text() for path in (farm.state / "runs").glob("*.group")), what="a hook")
    )


def test_all_processes_end_within_ten_seconds_and_the_next_server_goes_on(slow: Farm) -> None:
    ticket = slow.take("A")
    hook = hook_of(slow)
    web, scheduler = slow.pid("web"), slow.pid("scheduler")
    processes = [web, scheduler, *children_of(web)]
    calls = ThreadPoolExecutor(4)
    waits: list[Future[object]] = [calls.submit(slow.status, f"/tickets/{ticket}/wait?timeout=3600") for _ in range(2)]
    waits += [calls.submit(xmlrpc.client.ServerProxy(slow.url).waitTicket, ticket) for _ in range(2)]
    until(lambda: slow.requests_read() == 4, what="the parked waits")

    began = time.monotonic()
    for pid in (web, scheduler):
        os.kill(pid, signal.SIGTERM)
    until(lambda: not any(map(is_running, processes)), seconds=20, what="the end of all processes")
    assert time.monotonic() - began < 10

    assert [wait.result(10) for wait in waits[:2]] == [408, 408]
    for wait in waits[2:]:
        error = wait.exception(10)
        assert isinstance(error, xmlrpc.client.ProtocolError)
        assert error.errcode == 503
    calls.shutdown()
    assert is_running(hook)
    assert [document["state"] for document in slow.resources()] == ["STARTING"]

    slow.start()
    (slow.folder / "go").touch()
    assert slow.wait(ticket) == b"1\n"


@pytest.mark.thorough
def test_an_old_client_that_repeats_its_wait_survives_a_restart_of_the_web(slow: Farm) -> None:
    ticket = slow.take("A")
    troubles: list[str] = []
    outputs: list[bytes] = []

    def wait_as_the_old_client_does() -> None:
        while not outputs:
            try:
                answer = xmlrpc.client.ServerProxy(slow.url + "/RPC2", allow_none=True).waitTicket(ticket)
                assert isinstance(answer, xmlrpc.client.Binary)
                outputs.append(answer.data)
            except (xmlrpc.client.Error, OSError) as error:
                troubles.append(type(error).__name__)
                time.sleep(0.2)

    waiting = threading.Thread(target=wait_as_the_old_client_does)
    waiting.start()
    until(lambda: slow.requests_read() == 1, what="the parked wait")
    slow.terminate("web")
    slow.start_web()
    (slow.folder / "go").touch()
    waiting.join(30)
    assert outputs == [b"1\n"]
    assert troubles[0] == "ProtocolError"


def test_old_clients_walk_the_whole_way(farm: Farm) -> None:
    farm.set_pools(r"""p: {max: 2, cmd_new: "printf '\\0\\377'", cmd_delete: 'true', tags: [A, B]}""")
    farm.start()
    for allow_none, path in ((True, "/RPC2"), (False, "/"), (True, "")):
        with xmlrpc.client.ServerProxy(farm.url + path, allow_none=allow_none) as server:
            ticket = server.takeTicket(["A", "B", "A"], "mine")
            output = server.waitTicket(str(ticket))
            assert isinstance(output, xmlrpc.client.Binary)
            assert output.data.startswith(b"\0\xff")
            assert server.collectTicket(ticket) == {"ready": True, "output": output, "closed": False, "failed": False}
            assert server.closeTicket(str(ticket)) is None
            assert server.closeTicket(ticket) is None
            assert server.collectTicket(ticket) == {"ready": True, "output": output, "closed": True, "failed": False}
