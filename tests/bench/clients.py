"""Clients that do one thing after another: the standard library's, over HTTP and over XML-RPC."""

import http.client
import threading
import time
import xmlrpc.client
from collections.abc import Callable
from typing import Protocol


class Client(Protocol):
    """The four calls, over one kept connection."""

    def take(self, tag: str) -> int: ...
    def wait(self, ticket: int) -> bytes: ...
    def is_ready(self, ticket: int) -> bool: ...
    def close(self, ticket: int) -> None: ...


class Http:
    """Over HTTP, as curl does it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=600)

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of a reply; raises AssertionError unless the status is 200 or 201."""
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        self._connection.request(method, path, body, form)
        reply = self._connection.getresponse()
        content = reply.read()
        if reply.status not in (200, 201):
            raise AssertionError(f"{method} {path}: {reply.status} {content!r}")
        return content

    def take(self, tag: str) -> int:
        return int(self.request("POST", "/tickets", b"tag=" + tag.encode()))

    def wait(self, ticket: int) -> bytes:
        return self.request("GET", f"/tickets/{ticket}/wait?timeout=600")

    def is_ready(self, ticket: int) -> bool:
        return b'"resource":null' not in self.request("GET", f"/tickets/{ticket}")

    def close(self, ticket: int) -> None:
        self.request("DELETE", f"/tickets/{ticket}")


class Rpc:
    """Over XML-RPC, as the clients of resalloc do it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._server = xmlrpc.client.ServerProxy(f"http://{address[0]}:{address[1]}/RPC2", allow_none=True)

    def take(self, tag: str) -> int:
        return int(str(self._server.takeTicket([tag])))

    def wait(self, ticket: int) -> bytes:
        output = self._server.waitTicket(ticket)
        if not isinstance(output, xmlrpc.client.Binary):
            raise AssertionError(f"waitTicket({ticket}) gave {output!r}")
        return output.data

    def is_ready(self, ticket: int) -> bool:
        state = self._server.collectTicket(ticket)
        return isinstance(state, dict) and bool(state["ready"])

    def close(self, ticket: int) -> None:
        self._server.closeTicket(ticket)


def latency(client: Client, tag: str, count: int, close: bool) -> list[float]:
    """Milliseconds from asking for a ticket to having its output, one ticket after the other; the close does not
    count.
    """
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        ticket = client.take(tag)
        client.wait(ticket)
        took.append((time.perf_counter() - begun) * 1000)
        if close:
            client.close(ticket)
    return took


def side_by_side(clients: int, work: Callable[[int], None]) -> float:
    """Run `work(number)` in so many threads; the seconds until all are done. Raises what the first of them raised."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - begun


def churn(address: tuple[str, int], clients: int, seconds: float) -> float:
    """Tickets for nothing that are taken and closed a second, over XML-RPC (`ticketload.py churn`)."""
    done = [0] * clients
    end = time.perf_counter() + seconds

    def run(number: int) -> None:
        client = Rpc(address)
        while time.perf_counter() < end:
            client.close(client.take("NOSUCH"))
            done[number] += 1

    took = side_by_side(clients, run)
    return sum(done) / took


def drain(address: tuple[str, int], tickets: int, clients: int, tag: str) -> tuple[float, float]:
    """Take tickets and check until all have a resource (`ticketload.py drain`): seconds in all, and of them those
    after the last take. The last ticket is checked first, since FIFO says that the others are then ready too.
    """
    taken: list[int] = []

    def take(_: int) -> None:
        client = Rpc(address)
        for _ in range(tickets // clients):
            taken.append(client.take(tag))

    begun = time.perf_counter()
    took = side_by_side(clients, take)
    client = Rpc(address)
    pending = sorted(taken)
    while pending:
        if client.is_ready(pending[-1]):
            pending.pop()
        elif time.perf_counter() - begun > 600:
            raise AssertionError(f"{len(pending)} of {tickets} tickets have no resource after ten minutes")
        else:
            time.sleep(0.05)
    in_all = time.perf_counter() - begun
    return in_all, in_all - took
