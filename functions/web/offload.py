"""Keeps the event loop of a gevent worker free: what blocks on the disk runs in a native thread.

Without gevent (tests, other kinds of workers) everything runs where it is called.
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
    """Call `function` in a native thread; other requests go on meanwhile."""
    if not in_loop():
        return function(*args, **kwargs)
    import gevent

    job = _Job(functools.partial(function, *args, **kwargs))
    gevent.get_hub().threadpool.apply(job.run)
    return job.outcome()


class Few:
    """Calls in native threads, a few at a time: the others wait their turn, and leave the threads to other work."""

    def __init__(self, at_once: int) -> None:
        self._turns = threading.BoundedSemaphore(at_once)

    def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        with self._turns:
            return in_thread(function, *args, **kwargs)


class Together(Generic[A, R]):
    """A function that takes many calls at once: those that come while others are under way are made by the next.

    `function` gets the arguments of several calls and returns, in their order, the result of each or its error. What
    it does for all of them alike, above all a sync, is done once; and a native thread is woken once, which costs more
    than most of what it does. One is under way at a time: of two, each would have half of the calls.
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
                # Requests that have come in meanwhile are read first.
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
