"""How many replies were sent, by route and class of status, counted over all workers of one gunicorn.

The counts are in memory that gunicorn's master makes before it forks its first worker: nothing is on the disk, nothing
is left behind, and all of it begins at zero with the master. Each worker writes to a place of its own, where the worker
that comes after it goes on; who is asked adds all places up. It is loaded by the master, before gevent has patched
anything: nothing but the standard library is imported here.
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
"""Where the request's environment says which route serves it."""
_WORDS = 2048
"""Size of a place: its stamp, then a count for each route and class."""


class Places:
    """Memory for the counts of so many workers at a time."""

    def __init__(self, number: int) -> None:
        self.words = memoryview(mmap.mmap(-1, number * _WORDS * 8)).cast("Q")
        self._free = list(range(number))

    def take(self) -> int | None:
        """A place for one more worker; None when all are taken."""
        return heapq.heappop(self._free) if self._free else None

    def give_back(self, place: int | None) -> None:
        """Its worker is gone."""
        if place is not None:
            heapq.heappush(self._free, place)


class Tally:
    """The counts of `routes`; this process writes to `place`. Only one thread may count."""

    def __init__(self, routes: Sequence[str], places: Places, place: int) -> None:
        if 1 + len(routes) * len(CLASSES) > _WORDS:
            raise ValueError("too many routes")
        self._routes = {route: number for number, route in enumerate(routes)}
        self._words = places.words
        self._begin = place * _WORDS
        # A worker of another version has other routes, and what it counted is nothing to add.
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
        """Route, class and count over all workers, for what was counted at all."""
        begins = [
            begin for begin in range(0, len(self._words), _WORDS) if self._words[begin] == self._stamp
        ]  # fmt: skip
        for route, number in self._routes.items():
            for offset, status in enumerate(CLASSES):
                index = 1 + number * len(CLASSES) + offset
                count = sum(self._words[begin + index] for begin in begins)
                if count:
                    yield route, status, count


_shared: Places | None = None
_place: int | None = None


def take(workers: int) -> int | None:
    """Called in the master before each fork: the place of the new worker, of so many at a time."""
    global _shared  # noqa: PLW0603
    if _shared is None:
        _shared = Places(workers)
    return _shared.take()


def begin(place: int | None) -> None:
    """Called in each new worker."""
    global _place  # noqa: PLW0603
    _place = place


def give_back(place: int | None) -> None:
    """Called in the master when a worker is gone."""
    if _shared:
        _shared.give_back(place)


def of(routes: Iterable[str]) -> Tally:
    """The tally of this process; one that nobody shares when it is no worker of gunicorn, or one too many."""
    if _shared is None or _place is None:
        return Tally(tuple(routes), Places(1), 0)
    return Tally(tuple(routes), _shared, _place)


def counting(app: "WSGIApplication", tally: Tally, default: str) -> "WSGIApplication":
    """The same application, with each reply counted when it begins; by the route `default` when it has none."""

    def call(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            tally.add(environ.get(ROUTE) or default, int(status[:3]))
            return start_response(status, headers, *error)

        return app(environ, start)

    return call
