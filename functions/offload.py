"""Keeps the event loop of a gevent worker free: what blocks on the disk runs in a native thread.

Without gevent (tests, other kinds of workers) everything runs where it is called.
"""

import functools
import threading
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@functools.cache
def in_loop() -> bool:
    """Whether this process serves its requests from a gevent loop."""
    try:
        from gevent import monkey
    except ImportError:
        return False
    return bool(monkey.is_module_patched("socket"))


def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` in a native thread; other requests go on meanwhile.

    Several threads, because the disk merges syncs that come side by side: under load this is two to three times as
    fast as one thread that takes them in turn, even when that one syncs a folder only once for all that wait.
    """
    if not in_loop():
        return function(*args, **kwargs)
    import gevent

    job = _Job(functools.partial(function, *args, **kwargs))
    gevent.get_hub().threadpool.apply(job.run)
    return job.outcome()


def soon(callback: Callable[[], Any]) -> None:
    """Call `callback` in a moment, outside of what runs now: safe in a signal handler."""
    if in_loop():
        import gevent

        gevent.get_hub().loop.run_callback_threadsafe(callback)
    else:
        threading.Thread(target=callback, daemon=True).start()


class _Job(Generic[R]):
    """A call in another thread. gevent would print every error that leaves its threads, expected ones too."""

    def __init__(self, function: Callable[[], R]) -> None:
        self._function = function
        self._result: R
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._result = self._function()
        except Exception as error:
            self._error = error

    def outcome(self) -> R:
        if self._error is not None:
            raise self._error
        return self._result
