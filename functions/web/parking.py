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


class Spot:
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
        self._spots: dict[int | str, set[Spot]] = {}
        self._lock = threading.Lock()
        self._watched = False

    @contextmanager
    def spot(self, key: int | str, client: Any = None) -> Iterator[Spot]:
        """Wait for changes of `key` from now on; `client` is the request's socket, watched for a hang-up.

        Raises OSError when changes cannot be watched.
        """
        spot = Spot()
        with self._lock:
            self._spots.setdefault(key, set()).add(spot)
        try:
            self._watch()
            with _hang_up(client, spot):
                yield spot
        finally:
            with self._lock:
                spots = self._spots[key]
                spots.discard(spot)
                if not spots:
                    del self._spots[key]

    def wake(self, key: int | str) -> None:
        """Wake the requests that wait for `key`."""
        for spot in tuple(self._spots.get(key, ())):
            spot.wake()

    def wake_all(self) -> None:
        """Wake every parked request."""
        for key in tuple(self._spots):
            self.wake(key)

    def __len__(self) -> int:
        return sum(map(len, self._spots.values()))

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
                        for key in (keys | {kind}) & self._spots.keys():
                            self.wake(key)
        except Exception:
            log.exception("The watch of the store ended; the next request that waits opens another one.")
        finally:
            watch.close()
            self._watched = False
            self.wake_all()


@contextmanager
def _hang_up(client: Any, spot: Spot) -> Iterator[None]:
    """Abandon the spot as soon as the client closes its connection."""
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
            spot.abandon()

    readable.start(check)
    try:
        yield
    finally:
        readable.stop()
        readable.close()
