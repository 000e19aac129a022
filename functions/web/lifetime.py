"""A worker that is told to stop lets go of parked requests and idle connections, so that it ends within seconds."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from functions.web import offload

_stopping = False
_callbacks: list[Callable[[], None]] = []


def stopping() -> bool:
    """Whether this process was told to stop: nothing may park any more."""
    return _stopping


def on_stop(callback: Callable[[], None]) -> None:
    """Have `callback` called once when this process is told to stop."""
    _callbacks.append(callback)


def stop_on_signal(worker: Any) -> None:
    """Called by gunicorn in each new worker: hear its stop signals before gunicorn does."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, _chained(signal.getsignal(number)))
        signal.siginterrupt(number, False)
    if hasattr(worker, "timeout_ctx"):
        on_stop(_IdleConnections(worker).end)


def _chained(previous: Any) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        begin_stop()
        if callable(previous):
            previous(number, frame)

    return handle


def begin_stop() -> None:
    """Note that this process stops and wake what is parked; does no more than a signal handler may."""
    global _stopping  # noqa: PLW0603
    if not _stopping:
        _stopping = True
        offload.soon(_tell)


def _tell() -> None:
    for callback in _callbacks:
        callback()


class _IdleConnections:
    """Connections on which a worker of gunicorn's gevent kind waits for the next request.

    gunicorn itself would wait for them until its `graceful_timeout`, with its port closed to everybody else.
    """

    GRACE = 1.0
    """Seconds for requests that are on their way; those are answered with `Connection: close`."""

    def __init__(self, worker: Any) -> None:
        self._limit = worker.timeout_ctx
        self._idle: dict[Any, Any] = {}
        worker.timeout_ctx = self._waiting

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        import gevent

        with self._limit() as limit:
            self._idle[limit] = gevent.getcurrent()
            try:
                yield
            finally:
                del self._idle[limit]

    def end(self) -> None:
        import gevent

        gevent.spawn_later(self.GRACE, self._end)

    def _end(self) -> None:
        import gevent

        for limit in tuple(self._idle):
            gevent.get_hub().loop.run_callback(self._end_one, limit)

    def _end_one(self, limit: Any) -> None:
        # Looked up only now: a request that came meanwhile must be answered, not cut off.
        greenlet = self._idle.get(limit)
        if greenlet is not None:
            # What gunicorn does when such a connection was idle for too long: it is closed without a word.
            greenlet.throw(limit)
