"""Parks requests until a document changes; the change itself wakes them.

Each process has one watch, opened when the first request parks (after gunicorn's fork) and read by one thread, which
is a greenlet in a gevent worker.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from functions.web import offload
from state.store import Changes

log = logging.getLogger(__name__)


class ParkedRequest:
    """One parked request."""

    def __init__(self) -> None:
        self._changed = threading.Event()
        self.abandoned = False

    def wait(self, seconds: float) -> None:
        """Wait until something changes, at most so many seconds."""
        self._changed.wait(seconds)
        self._changed.clear()

    def wake(self) -> None:
        """End the current `wait`, or the next one."""
        self._changed.set()

    def abandon(self) -> None:
        """Wake the request and mark it abandoned: its client has closed the connection, so no reply is needed."""
        self.abandoned = True
        self._changed.set()


class Parking:
    """All parked requests of this process, by the key of the document that they wait for.

    A kind of documents, such as "events", means any of them.
    """

    def __init__(self, open_watch: Callable[[], Changes]) -> None:
        self._open_watch = open_watch
        self._parked: dict[int | str, set[ParkedRequest]] = {}
        self._lock = threading.Lock()
        self._watched = False

    @contextmanager
    def park(self, key: int | str, client: Any = None) -> Iterator[ParkedRequest]:
        """Park the current request: changes of `key` wake it, and a hang-up of its `client` (a socket) abandons it.

        Raises OSError when changes cannot be watched.
        """
        parked = ParkedRequest()
        with self._lock:
            self._parked.setdefault(key, set()).add(parked)
        try:
            self._watch()
            with _watch_client(client, parked):
                yield parked
        finally:
            with self._lock:
                others = self._parked[key]
                others.discard(parked)
                if not others:
                    del self._parked[key]

    def wake(self, key: int | str) -> None:
        """Wake the requests that wait for `key`."""
        for parked in tuple(self._parked.get(key, ())):
            parked.wake()

    def wake_all(self) -> None:
        """Wake every parked request."""
        for key in tuple(self._parked):
            self.wake(key)

    def __len__(self) -> int:
        return sum(map(len, self._parked.values()))

    def _watch(self) -> None:
        with self._lock:
            if self._watched:
                return
            watch = self._open_watch()
            self._watched = True
        threading.Thread(target=self._follow, args=(watch,), name="parking", daemon=True).start()

    def _follow(self, watch: Changes) -> None:
        try:
            while True:
                for kind, keys in watch.wait().items():
                    if keys is None:
                        self.wake_all()
                    else:
                        for key in (keys | {kind}) & self._parked.keys():
                            self.wake(key)
        except Exception:
            log.exception("The watch of the store ended; the next request that waits opens another one.")
        finally:
            watch.close()
            self._watched = False
            self.wake_all()


@contextmanager
def _watch_client(client: Any, parked: ParkedRequest) -> Iterator[None]:
    """Abandon the parked request as soon as its client closes the connection."""
    if client is None or not offload.in_loop():
        yield
        return
    import gevent

    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    readable = gevent.get_hub().loop.io(client.fileno(), 1)

    def check() -> None:
        # The socket is readable at its end, or because the client has sent its next request already.
        readable.stop()
        try:
            ended = client.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            ended = True
        if ended:
            parked.abandon()

    readable.start(check)
    try:
        yield
    finally:
        readable.stop()
        readable.close()
