"""What only shows with gunicorn and gevent: parked waits, hang-ups, stops."""

import os
import socket
import xmlrpc.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from state.documents import Event
from state.files.store import FileStore
from tests.functions.web_server import Server, answered, assign, new_ticket, park
from tests.system.farm import children_of
from tests.waiting import until

FORM = b"Content-Type: application/x-www-form-urlencoded"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.end()


@pytest.fixture
def store(server: Server, tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "state")


def test_five_hundred_parked_waits_are_answered_by_the_change_of_their_ticket(server, store):
    """Given waits for two tickets, when one is served, then those for it are answered and the other is not until its
    own ticket is served, all of them long before their timeout.
    """
    one, other = new_ticket(store), new_ticket(store)
    connections = park(server, f"/tickets/{one}/wait?timeout=3600", count=500)
    (bystander,) = park(server, f"/tickets/{other}/wait?timeout=3600")
    assign(store, one, b"it")
    replies = [connection.getresponse() for connection in connections]
    assert {(reply.status, reply.read()) for reply in replies} == {(200, b"it")}
    assert answered([bystander]) == []
    assign(store, other, b"that")
    assert bystander.getresponse().read() == b"that"


def test_a_parked_wait_does_not_delay_others_and_its_connection_stays_usable(server, store):
    number = new_ticket(store)
    (parked,) = park(server, f"/tickets/{number}/wait?timeout=60")
    quick = server.connect()
    for _ in range(3):
        quick.request("GET", f"/tickets/{number}")
        assert b'"OPEN"' in quick.getresponse().read()
    assign(store, number, b"it")
    assert parked.getresponse().read() == b"it"
    parked.request("DELETE", f"/tickets/{number}")
    assert parked.getresponse().read() == b"closed\n"


@pytest.mark.parametrize("protocol", ["http", "xmlrpc"])
def test_an_abandoned_wait_frees_its_connection_and_its_place(server, store, protocol):
    number = new_ticket(store)
    until(lambda: server.connections() == 0, what="a server without connections")
    body = xmlrpc.client.dumps((number,), "waitTicket").encode()
    request = {
        "http": f"GET /tickets/{number}/wait?timeout=3600 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        "xmlrpc": b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body),
    }[protocol]
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for client in clients:
        client.sendall(request)
    until(lambda: server.connections() == 20, what="their connections")
    for client in clients:
        client.close()
    until(lambda: server.connections() == 0, seconds=20, what="closed connections")


def test_a_pipelined_request_is_answered_after_the_wait_before_it(server, store):
    number = new_ticket(store)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(20)
        client.sendall(f"GET /tickets/{number}/wait?timeout=60 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert server.get("/healthz").status == 200
        client.sendall(f"GET /tickets/{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert server.get("/healthz").status == 200
        assign(store, number, b"it")
        content = b"".join(iter(lambda: client.recv(65536), b""))
    assert content.index(b"\r\n\r\nit") < content.index(b'"resource_name":"r"')


def test_a_stopping_server_answers_its_waits_at_once_and_ends(tmp_path):
    """Given waits of an hour beside a request that is still on its way, when the server is stopped, then the waits are
    answered while it has that one still to serve, and it ends with that.
    """
    server = Server(tmp_path, "--graceful-timeout", "600")
    number = new_ticket(FileStore(tmp_path / "state"))
    with ThreadPoolExecutor(10) as pool:
        try:
            parked = park(server, f"/tickets/{number}/wait?timeout=3600", count=50)
            waits = [pool.submit(server.proxy().waitTicket, number) for _ in range(10)]
            slow = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            slow.sendall(b"POST /tickets HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + FORM + b"\r\n\r\ntag")
            until(lambda: server.connections() >= 61)
            assert server.get("/healthz").status == 200
            server.process.terminate()
            replies = [connection.getresponse() for connection in parked]
            faults = [wait.exception(30) for wait in waits]
            assert server.process.poll() is None
            slow.sendall(b"=A")
            assert slow.recv(12) == b"HTTP/1.1 201"
            server.process.wait(120)
        finally:
            server.end()
    assert {(reply.status, reply.headers["Retry-After"]) for reply in replies} == {(408, "1")}
    assert {(type(fault), fault.errcode) for fault in faults} == {(xmlrpc.client.ProtocolError, 503)}
    assert "Traceback" not in server.log.read_text()


def test_idle_connections_do_not_delay_a_stop(tmp_path):
    """Given a gunicorn that would wait for them for ten minutes, when it is stopped, then it ends long before."""
    server = Server(tmp_path, "--graceful-timeout", "600")
    try:
        idle, unused = server.connect(), server.connect()
        idle.request("GET", "/healthz")
        idle.getresponse().read()
        unused.connect()
        server.stop(120)
        assert idle.sock.recv(1) == unused.sock.recv(1) == b""
        assert "Traceback" not in server.log.read_text()
    finally:
        server.end()


@pytest.mark.parametrize("allow_none", [True, False])
def test_clients_of_the_old_protocol(server, store, allow_none):
    proxy = server.proxy(allow_none=allow_none)
    number = proxy.takeTicket(["A"])
    assert proxy.collectTicket(str(number)) == {"ready": False, "output": None, "closed": False, "failed": False}
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(server.proxy().waitTicket, number)
        assign(store, number, b"\x00\xff")
        assert wait.result(10).data == b"\x00\xff"
    assert proxy.closeTicket(number) is None
    with pytest.raises(xmlrpc.client.Fault, match="no ticket 99"):
        proxy.closeTicket(99)
    proxy("close")()


def test_client_errors_are_not_logged_as_server_errors(server, store):
    connection = server.connect()
    for method, path in (("DELETE", "/tickets/99"), ("GET", "/tickets/99/output"), ("GET", "/nope")):
        connection.request(method, path)
        assert connection.getresponse().read().endswith(b".\n")
    number = new_ticket(store)
    connection.request("GET", f"/tickets/{number}/output")
    assert connection.getresponse().status == 409
    log = server.log.read_text()
    assert "failed with" not in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"5\r\ntag=A\r\n0\r\n\r\n", 201),
        (b"x\r\ntag=A\r\n0\r\n\r\n", 400),
        (b"5\r\ntag=ABBB\r\n0\r\n\r\n", 400),
        (b"11000\r\n" + b"&" * 0x11000 + b"\r\n0\r\n\r\n", 413),
    ],
)
def test_bodies_in_chunks(server, body, status):
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(20)
        head = b"POST /tickets HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
        client.sendall(head + FORM + b"\r\n\r\n" + body)
        assert client.recv(12) == b"HTTP/1.1 %d" % status
    assert "Traceback" not in server.log.read_text()


def test_concurrent_calls_of_many_clients_are_each_answered(server, store):
    """Given clients that create, check and close tickets concurrently, also unknown ones, then each gets its
    own answer.
    """

    def visit(_: int) -> int:
        client = server.connect()

        def ask(method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
            headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
            client.request(method, path, body, headers)
            reply = client.getresponse()
            return reply.status, reply.read()

        status, taken = ask("POST", "/tickets", "tag=A")
        assert status == 201
        number = int(taken)
        assert ask("DELETE", "/tickets/100000")[0] == 404
        assert ask("DELETE", f"/tickets/{number}") == (200, b"closed\n")
        assert ask("GET", f"/tickets/{number}/output")[0] == 410
        assert ask("GET", "/tickets/100000/output")[0] == 404
        client.close()
        return number

    with ThreadPoolExecutor(16) as pool:
        numbers = list(pool.map(visit, range(64)))
    assert sorted(numbers) == list(range(1, 65))


# Events

NOISE = Event(at=1772360190.0, kind="resource", event="let go", name="vm_1", actor="client", reason="x" * 200)


def test_streams_of_events_use_no_threads(server, store):
    """Given 200 streams, when an event comes, then each gets it, and the worker has no more threads than for a few."""
    store.events.append([NOISE], NOISE.at)
    (worker,) = children_of(server.process.pid)
    streams = [server.get("/events?follow=1") for _ in range(200)]
    until(lambda: server.connections() >= 200, what="all streams")
    assert all(stream.readline() == b"retry: 1000\n" for stream in streams)
    store.events.append([NOISE], NOISE.at)
    for stream in streams:
        until(lambda stream=stream: stream.readline().startswith(b"data: "), what="the event")
    assert len(os.listdir(f"/proc/{worker}/task")) <= 16


def test_searches_of_events_do_not_delay_tickets(server, store):
    """Given many searches that each read all there is, when a ticket is taken, then it does not wait for them."""
    for _ in range(4):
        store.events.append([NOISE] * 60_000, NOISE.at)
    searches = []
    for _ in range(40):
        connection = server.connect()
        connection.request("GET", "/events?resource=nobody")
        searches.append(connection)
    connection = server.connect()
    connection.request("POST", "/tickets", "tag=A", {"Content-Type": "application/x-www-form-urlencoded"})
    assert connection.getresponse().status == 201
    assert len(answered(searches)) < 20
    assert {search.getresponse().read() for search in searches} == {b""}
