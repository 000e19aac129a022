"""What the functions of one web process share: settings, store, the leader's view, and requests that wait."""

import functools
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app

from config.settings import Settings
from functions.leader_view import View
from functions.web import lifetime
from functions.web.errors import ReplyError
from functions.web.offload import Batched, in_thread
from functions.web.parking import Parking
from functions.web.request_counts import RequestCounts
from state import open_store
from state.documents import Ticket
from state.errors import StateError
from state.store import Call, Store

log = logging.getLogger(__name__)

T = TypeVar("T")

CHECK_INTERVAL = 1.0
"""Minimum seconds between two tests whether the store can be written."""


class Context:
    """One per application.

    The store is opened by the first request that needs it. While that fails, each request tries again and its reply
    says why, which helps an operator more than a process that has exited.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store | None,
        clock: Callable[[], float],
        request_counts: RequestCounts,
        error_page: Callable[[ReplyError, str], str],
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.request_counts = request_counts
        self.error_page = error_page
        self._store = store
        self._checked_at = -math.inf
        self._lock = threading.Lock()
        self._shared: dict[Any, Any] = {}

    def shared(self, make: "Callable[[Context], T]") -> T:
        """The object that `make` (a class or a function) returns for this context: made on first use, then kept."""
        if make not in self._shared:
            # Without a lock, since it is called in native threads and in the event loop: all use what is stored first.
            self._shared.setdefault(make, make(self))
        made: T = self._shared[make]
        return made

    @property
    def store(self) -> Store:
        """Raises StoreUnavailable and UnknownFormat."""
        if self._store is None:
            with self._lock:
                if self._store is None:
                    self._store = open_store(self.settings.state_dir)
        return self._store

    @functools.cached_property
    def ticket_call(self) -> Batched[Call[Ticket], Ticket]:
        """Does one call on a ticket (`Create`, `Change` or `Read`), durably; concurrent calls are batched."""
        return Batched(self.store.tickets.do_all)

    @functools.cached_property
    def view(self) -> View:
        return View(self.store)

    @functools.cached_property
    def parking(self) -> Parking:
        parking = Parking(lambda: self.store.changes("tickets"))
        lifetime.on_stop(parking.wake_all)
        return parking

    def check_writable(self) -> None:
        """Try to write to the state folder, at most once a second; raises StoreUnavailable and StoreFrozen."""
        now = time.monotonic()
        if now - self._checked_at >= CHECK_INTERVAL:
            in_thread(self.store.check_writable)
            self._checked_at = now

    def open(self) -> None:
        """Open the store now if possible, so that the first request does not have to."""
        try:
            _ = self.store
        except StateError as error:
            log.error("The state folder cannot be used: %s", error)


def current() -> Context:
    """The context of the application that serves this request."""
    context: Context = current_app.extensions["resalloc"]
    return context
