"""A worker that is told to stop lets go of its parked requests at once, so that it can end within seconds."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from functions import offload

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
