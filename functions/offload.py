"""Keeps the event loop of a gevent worker free: what blocks on the disk runs in a native thread.

Without gevent (tests, other kinds of workers) everything runs where it is called.
"""

import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

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
    """Call `function` in a native thread and wait for it; other requests go on meanwhile."""
    if not in_loop():
        return function(*args, **kwargs)
    import gevent

    result, error = gevent.get_hub().threadpool.apply(_caught, (function, args, kwargs))
    if error is not None:
        raise error
    answer: R = result
    return answer


def _caught(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Exception | None]:
    """The result or the error: gevent would print every error that leaves its threads, expected ones too."""
    try:
        return function(*args, **kwargs), None
    except Exception as error:
        return None, error


def soon(callback: Callable[[], Any]) -> None:
    """Call `callback` in a moment, outside of what runs now: safe in a signal handler."""
    if in_loop():
        import gevent

        gevent.get_hub().loop.run_callback_threadsafe(callback)
    else:
        threading.Thread(target=callback, daemon=True).start()
