"""The times that a server does not serve, as seen from outside, and how much of a client's wait they explain."""

import http.client
import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType

PERIOD = 0.05
"""Seconds between two questions to the web."""
SHORTEST = 0.5
"""Answers that come after less than that (seconds) are no pause: the web is there, and only slow."""


class Pauses:
    """Intervals of time (seconds of the monotonic clock) in which something was down. For any thread."""

    def __init__(self) -> None:
        self._intervals: list[tuple[float, float]] = []

    def add(self, begin: float, end: float) -> None:
        self._intervals.append((begin, end))

    def within(self, begin: float, end: float) -> float:
        """How many seconds between `begin` and `end` something was down."""
        down, reached = 0.0, begin
        for start, stop in sorted(self._intervals):
            since, until = max(start, reached), min(stop, end)
            if until > since:
                down += until - since
                reached = until
        return down

    @property
    def longest(self) -> float:
        """The longest one, in seconds."""
        return max((end - begin for begin, end in self._intervals), default=0.0)


class Probe(AbstractContextManager["Probe"]):
    """Asks the web a trivial question all the time, and notes in `pauses` when it got no answer."""

    def __init__(self, address: tuple[str, int], pauses: Pauses) -> None:
        self._address = address
        self._pauses = pauses
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._probe)

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _probe(self) -> None:
        answered = time.monotonic()
        while not self._stop.wait(PERIOD):
            if not self._answers():
                continue
            now = time.monotonic()
            if now - answered > PERIOD + SHORTEST:
                self._pauses.add(answered, now)
            answered = now

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(*self._address, timeout=2)
        try:
            connection.request("GET", "/tickets/0")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True
