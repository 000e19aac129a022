"""A real HTTP server that answers by script."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.waiting import until


@dataclass(frozen=True)
class Request:
    """One request that the server got; `form` holds the decoded fields of its body, if it is a form."""

    at: float
    method: str
    path: str
    query: dict[str, list[str]]
    form: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""


Step = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class ScriptedServer:
    """Answers its n-th request by the n-th step of its script, later ones with 418."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)
    http: ThreadingHTTPServer | None = None
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, *steps: Step) -> None:
        self.steps.extend(steps)

    def start(self) -> None:
        """Listen on the port that it had before, at first on a free one."""
        self.released.clear()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                server.take(self)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
                connection, address = super().get_request()
                server.connections.append(connection)
                return connection, address

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self.http = Listener(("127.0.0.1", self.port), Handler)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def kill(self) -> None:
        """End like a killed process: every connection is reset and the port is closed."""
        if self.http is None:
            return
        self.http.shutdown()
        self.http.socket.close()
        self.http = None
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RD)
                connection.close()
        self.connections.clear()
        self.released.set()

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        address = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self.lock:
            self.requests.append(
                Request(
                    at=time.monotonic(),
                    method=handler.command,
                    path=address.path,
                    query=parse_qs(address.query),
                    form=parse_qs(body.decode(), keep_blank_values=True, errors="strict"),
                    headers={name.lower(): value for name, value in handler.headers.items()},
                    body=body,
                )
            )
            step = self.steps.pop(0) if self.steps else reply(418, b"The script of this test has ended.\n")
        step(handler)

    def await_requests(self, count: int) -> None:
        until(lambda: len(self.requests) >= count, what=f"request {count}")


def reply(status: int, body: bytes = b"", **headers: str) -> Step:
    """A whole reply, text/plain; `headers` are written with _ for -."""

    def step(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        given = {"Content_Type": "text/plain; charset=utf-8", "Content_Length": str(len(body))} | headers
        for name, value in given.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return step


def after_hints(step: Step) -> Step:
    """The reply of `step`, with an interim reply before it, as some proxies send it."""

    def both(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(103)
        handler.send_header("Link", "</style.css>")
        handler.end_headers()
        step(handler)

    return both


def empty(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without a byte."""
    handler.close_connection = True


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Reset the connection without a byte."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.rfile.close()
    handler.wfile.close()
    handler.connection.close()


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection in the middle of a successful body."""
    handler.send_response(200)
    handler.send_header("Ticket-State", "OPEN")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"only a part")
    handler.close_connection = True
