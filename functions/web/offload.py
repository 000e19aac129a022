"""Keeps the event loop of a gevent worker free: calls that block on the disk run in native threads.

Without gevent (in tests, in other kinds of workers) calls run in the caller's thread.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")


@functools.cache
def in_loop() -> bool:
    """Whether this process serves its requests from a gevent loop."""
    try:
        from gevent import monkey
    except ImportError:
        return False
    return bool(monkey.is_module_patched("socket"))


def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` in a native thread, so that other requests are served meanwhile."""
    if not in_loop():
        return function(*args, **kwargs)
    import gevent

    job = _Job(functools.partial(function, *args, **kwargs))
    gevent.get_hub().threadpool.apply(job.run)
    return job.outcome()


class LimitedThreads:
    """Calls functions in native threads, at most `at_once` at a time, so that other work finds free threads."""

    def __init__(self, at_once: int) -> None:
        self._free_threads = threading.BoundedSemaphore(at_once)

    def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        with self._free_threads:
            return in_thread(function, *args, **kwargs)


class Batched(Generic[A, R]):
    """Batches concurrent calls of a function; each call has its own result or error.

    `function` receives the arguments of several calls and returns, in the same order, the result or the error of each.
    A batch costs one sync, and one wake-up of a native thread, which costs more than most of the work. One batch runs
    at a time: the calls that arrive meanwhile make up the next one.
    """

    def __init__(self, function: Callable[[list[A]], Sequence[R | Exception]]) -> None:
        self._function = function
        self._under_way = False
        self._waiting: list[tuple[A, Any]] = []

    def __call__(self, argument: A) -> R:
        if not in_loop():
            return _outcome(self._function([argument])[0])
        import gevent
        from gevent.event import AsyncResult

        result: Any = AsyncResult()
        self._waiting.append((argument, result))
        if not self._under_way:
            self._under_way = True
            gevent.spawn(self._run)
        outcome: R | Exception = result.get()
        return _outcome(outcome)

    def _run(self) -> None:
        import gevent

        try:
            while self._waiting:
                # Let requests that have arrived meanwhile join this batch.
                gevent.sleep(0)
                calls, self._waiting = self._waiting, []
                outcomes: Sequence[R | Exception]
                try:
                    outcomes = in_thread(self._function, [argument for argument, _ in calls])
                except Exception as error:
                    outcomes = [error] * len(calls)
                for (_, result), outcome in zip(calls, outcomes, strict=True):
                    result.set(outcome)
        finally:
            self._under_way = False


def _outcome(outcome: R | Exception) -> R:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def soon(callback: Callable[[], Any]) -> None:
    """Call `callback` soon, outside the current call: safe in a signal handler."""
    if in_loop():
        import gevent

        gevent.get_hub().loop.run_callback_threadsafe(callback)
    else:
        threading.Thread(target=callback, daemon=True).start()


class _Job(Generic[R]):
    """A call in another thread that keeps its error: gevent prints every error that leaves its threads."""

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
