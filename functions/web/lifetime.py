"""Ends a worker within seconds: when it must stop, it answers parked requests and closes idle connections."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from functions.web import offload

_stopping = False
_callbacks: list[Callable[[], None]] = []


def stopping() -> bool:
    """Whether this process is stopping, so that no request may park any more."""
    return _stopping


def on_stop(callback: Callable[[], None]) -> None:
    """Call `callback` once when this process begins to stop."""
    _callbacks.append(callback)


def stop_on_signal(worker: Any) -> None:
    """Handle the stop signals of a new worker before gunicorn's own handlers, which run afterwards."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, _begin_stop_and_call(signal.getsignal(number)))
        signal.siginterrupt(number, False)
    if hasattr(worker, "timeout_ctx"):
        on_stop(_IdleConnections(worker).end)


def _begin_stop_and_call(previous: Any) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        begin_stop()
        if callable(previous):
            previous(number, frame)

    return handle


def begin_stop() -> None:
    """Mark this process as stopping and call the callbacks soon; safe in a signal handler."""
    global _stopping  # noqa: PLW0603
    if not _stopping:
        _stopping = True
        offload.soon(_call_back)


def _call_back() -> None:
    for callback in _callbacks:
        callback()


class _IdleConnections:
    """Connections on which a gevent worker of gunicorn waits for the next request.

    gunicorn itself would wait for them until its `graceful_timeout`, while its port is closed to new connections.
    """

    GRACE = 1.0
    """Seconds in which requests may still arrive; their replies say `Connection: close`."""

    def __init__(self, worker: Any) -> None:
        # gunicorn enters this context around each wait for the next request of a connection.
        self._gunicorns_timeout = worker.timeout_ctx
        self._idle: dict[Any, Any] = {}
        worker.timeout_ctx = self._timeout_and_note

    @contextmanager
    def _timeout_and_note(self) -> Iterator[None]:
        """gunicorn's own timeout, and a note that the connection is idle meanwhile."""
        import gevent

        with self._gunicorns_timeout() as limit:
            self._idle[limit] = gevent.getcurrent()
            try:
                yield
            finally:
                del self._idle[limit]

    def end(self) -> None:
        """Close the connections that are still idle after `GRACE`."""
        import gevent

        gevent.spawn_later(self.GRACE, self._end)

    def _end(self) -> None:
        import gevent

        for limit in tuple(self._idle):
            gevent.get_hub().loop.run_callback(self._end_one, limit)

    def _end_one(self, limit: Any) -> None:
        # Looked up only now, because a request that has arrived meanwhile must be answered.
        greenlet = self._idle.get(limit)
        if greenlet is not None:
            # gunicorn raises the same for a connection that was idle too long, and closes it without a reply.
            greenlet.throw(limit)
