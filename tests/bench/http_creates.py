"""Measures durable creates (and create+close pairs) a second over HTTP, beside a bare loop on the same disk.

    python tests/bench/http_creates.py URL FOLDER [CONNECTIONS [SECONDS]]

FOLDER is on the disk of the server's state folder; the bare loop writes below it and cleans up.
"""

import json
import os
import selectors
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit


def bare_loop(folder: Path, seconds: float) -> float:
    """Files a second that one process writes, syncs, renames, and syncs the folder of."""
    place = Path(tempfile.mkdtemp(dir=folder))
    directory = os.open(place, os.O_RDONLY)
    begun = time.perf_counter()
    count = 0
    while (took := time.perf_counter() - begun) < seconds:
        staged = place / "staged"
        file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(file, b'{"id":1,"state":"OPEN","tags":["A"],"created_at":1.0}' * 4)
        os.fsync(file)
        os.close(file)
        os.rename(staged, place / f"{count}.json")
        os.fsync(directory)
        count += 1
    os.close(directory)
    shutil.rmtree(place)
    return count / took


def over_http(url: str, connections: int, seconds: float, close: bool) -> dict[str, float]:
    """Requests (or pairs) a second, and how long they took."""
    address = urlsplit(url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    body = b"tag=NOSUCH"
    create = (
        f"POST /tickets HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    selector = selectors.DefaultSelector()
    started: dict[int, float] = {}
    partial: dict[int, bytes] = {}
    for _ in range(connections):
        connection = socket.create_connection((host, port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
    took: list[float] = []
    begun = time.perf_counter()
    for key in selector.get_map().values():
        started[key.fd] = time.perf_counter()
        key.fileobj.sendall(create)  # type: ignore[union-attr]
    while time.perf_counter() - begun < seconds:
        for key, _ in selector.select(1):
            reply = partial.pop(key.fd, b"") + key.fileobj.recv(65536)  # type: ignore[union-attr]
            number = reply.partition(b"\r\n\r\n")[2]
            if not number.endswith(b"\n"):
                partial[key.fd] = reply
                continue
            if close and reply.startswith(b"HTTP/1.1 201"):
                request = f"DELETE /tickets/{int(number)} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
            else:
                assert reply.startswith((b"HTTP/1.1 201", b"HTTP/1.1 200")), reply
                now = time.perf_counter()
                took.append(now - started[key.fd])
                started[key.fd] = now
                request = create
            key.fileobj.sendall(request)  # type: ignore[union-attr]
    whole = time.perf_counter() - begun
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    took.sort()
    return {
        "per_second": round(len(took) / whole),
        "p50_ms": round(took[len(took) // 2] * 1000, 1),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 1),
    }


if __name__ == "__main__":
    url, folder = sys.argv[1], Path(sys.argv[2])
    connections = int(sys.argv[3]) if len(sys.argv) > 3 else 16
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 5.0
    bare = bare_loop(folder, seconds)
    creates = over_http(url, connections, seconds, close=False)
    pairs = over_http(url, connections, seconds, close=True)
    share = round(creates["per_second"] / bare, 2)
    print(json.dumps({"bare_per_second": round(bare), "creates": creates, "share": share, "pairs": pairs}))
