"""Counts replies by route and class of status, over all workers of one gunicorn.

The counts are in shared memory that gunicorn's master creates before it forks its first worker: nothing is on disk, and
all counts begin at zero with the master. Each worker writes to its own slot, which the next worker continues; reading
adds all slots up. The master loads this file before gevent patches anything, so it imports the standard library only.
"""

import heapq
import mmap
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
ROUTE = "resalloc.route"
"""The key of the request's environment that holds its route."""
_WORDS = 2048
"""Size of a slot: its stamp, then a count for each route and class."""


class Slots:
    """Shared memory for the counts of `number` workers at a time."""

    def __init__(self, number: int) -> None:
        self.words = memoryview(mmap.mmap(-1, number * _WORDS * 8)).cast("Q")
        self._free = list(range(number))

    def take(self) -> int | None:
        """A slot for one more worker; None if all are taken."""
        return heapq.heappop(self._free) if self._free else None

    def free(self, slot: int | None) -> None:
        """Make the slot of a worker that has ended available to the next worker."""
        if slot is not None:
            heapq.heappush(self._free, slot)


class RequestCounts:
    """The counts of `routes`; this process writes to `slot`. Only one thread may count."""

    def __init__(self, routes: Sequence[str], slots: Slots, slot: int) -> None:
        if 1 + len(routes) * len(CLASSES) > _WORDS:
            raise ValueError("too many routes")
        self._routes = {route: number for number, route in enumerate(routes)}
        self._words = slots.words
        self._begin = slot * _WORDS
        # A worker of another version has other routes, so its counts are not added.
        self._stamp = zlib.crc32("\n".join(routes).encode()) | 1 << 32
        if self._words[self._begin] != self._stamp:
            for index in range(self._begin + 1, self._begin + _WORDS):
                self._words[index] = 0
            self._words[self._begin] = self._stamp

    def add(self, route: str, status: int) -> None:
        """Count a reply."""
        number = self._routes[route]
        self._words[self._begin + 1 + number * len(CLASSES) + status // 100 - 1] += 1

    def read(self) -> Iterator[tuple[str, str, int]]:
        """Route, class and count over all workers, where the count is not zero."""
        begins = [
            begin for begin in range(0, len(self._words), _WORDS) if self._words[begin] == self._stamp
        ]  # fmt: skip
        for route, number in self._routes.items():
            for offset, status in enumerate(CLASSES):
                index = 1 + number * len(CLASSES) + offset
                count = sum(self._words[begin + index] for begin in begins)
                if count:
                    yield route, status, count


_shared: Slots | None = None
_slot: int | None = None


def take_slot(workers: int) -> int | None:
    """Reserve a slot for a new worker, of at most `workers` at a time. The master calls this before each fork."""
    global _shared  # noqa: PLW0603
    if _shared is None:
        _shared = Slots(workers)
    return _shared.take()


def use_slot(slot: int | None) -> None:
    """Let this process count in `slot`. Each new worker calls this."""
    global _slot  # noqa: PLW0603
    _slot = slot


def free_slot(slot: int | None) -> None:
    """Free the slot of a worker that has ended. The master calls this."""
    if _shared:
        _shared.free(slot)


def for_routes(routes: Iterable[str]) -> RequestCounts:
    """The counts of this process. They are not shared if it is no worker of gunicorn, or has no slot."""
    if _shared is None or _slot is None:
        return RequestCounts(tuple(routes), Slots(1), 0)
    return RequestCounts(tuple(routes), _shared, _slot)


def count_replies(app: "WSGIApplication", counts: RequestCounts, default: str) -> "WSGIApplication":
    """The same application, with each reply counted when it begins; under `default` if it has no route."""

    def call(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            counts.add(environ.get(ROUTE) or default, int(status[:3]))
            return start_response(status, headers, *error)

        return app(environ, start)

    return call
