"""Thousands of HTTP connections in one thread: each follows a script that yields requests and is sent the replies.

Hand-made, since the load generator shares the processors with what it measures.
"""

import re
import selectors
import socket
import time
from collections.abc import Generator
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """A reply; `took` is in milliseconds from the request's first byte to the reply's last."""

    status: int
    body: bytes
    took: float


Script = Generator[bytes, Reply, None]


@dataclass
class _Conversation:
    connection: socket.socket
    script: Script
    sent_at: float = 0.0
    received: bytes = field(default=b"", repr=False)


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """A request for a script to yield; a body is a form."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\n"
    if body:
        head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Connections:
    """Connections to one address; `replies` counts what came back."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._selector = selectors.DefaultSelector()
        self.replies = 0

    def add(self, script: Script) -> None:
        """Connect and send the script's first request."""
        connection = socket.create_connection(self._address, timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conversation = _Conversation(connection, script)
        self._selector.register(connection, selectors.EVENT_READ, conversation)
        self._send(conversation, next(script))

    def __len__(self) -> int:
        """The number of scripts that have not ended."""
        return len(self._selector.get_map())

    def run(self, seconds: float, until_replies: int | None = None) -> float:
        """Let the scripts go on until so much time has passed, so many replies came in all, or every script has
        ended; returns how many seconds that took.
        """
        begun = time.perf_counter()
        while len(self) and (until_replies is None or self.replies < until_replies):
            left = seconds - (time.perf_counter() - begun)
            if left <= 0:
                break
            for key, _ in self._selector.select(left):
                self._receive(key.data)
        return time.perf_counter() - begun

    def close(self) -> None:
        """Hang up everywhere."""
        for key in list(self._selector.get_map().values()):
            self._hang_up(key.data)
        self._selector.close()

    def _send(self, conversation: _Conversation, content: bytes) -> None:
        conversation.sent_at = time.perf_counter()
        conversation.connection.sendall(content)

    def _receive(self, conversation: _Conversation) -> None:
        chunk = conversation.connection.recv(65536)
        if not chunk:
            raise AssertionError(f"the server hung up after {conversation.received!r}")
        received = conversation.received + chunk
        head, end, body = received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            conversation.received = received
            return
        conversation.received = b""
        self.replies += 1
        reply = Reply(int(head[9:12]), body, (time.perf_counter() - conversation.sent_at) * 1000)
        try:
            following = conversation.script.send(reply)
        except StopIteration:
            self._hang_up(conversation)
        else:
            self._send(conversation, following)

    def _hang_up(self, conversation: _Conversation) -> None:
        self._selector.unregister(conversation.connection)
        conversation.connection.close()
