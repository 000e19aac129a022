"""When the main thread of the scheduler works: a bell that wakes it, alarms at due times, and paces that limit it."""

import math
import os
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler


class Bell:
    """Wakes the main thread, from any thread or signal handler. Its descriptor becomes readable when it rings."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ring(self) -> None:
        os.eventfd_write(self._descriptor, 1)

    def fileno(self) -> int:
        return self._descriptor

    def silence(self) -> None:
        """Clear the bell after it rang."""
        try:
            os.eventfd_read(self._descriptor)
        except BlockingIOError:
            pass


class Alarms:
    """Rings the bell at due times (Unix seconds) and periodically, through APScheduler."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._set_for: dict[str, float] = {}
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        )

    def start(self) -> None:
        """Start the thread that rings."""
        self._scheduler.start()

    def stop(self) -> None:
        """End that thread."""
        self._scheduler.shutdown(wait=False)

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        """Call and ring every so many seconds."""

        def call_and_ring() -> None:
            call()
            self._bell.ring()

        self._scheduler.add_job(call_and_ring, "interval", seconds=seconds)

    def set(self, name: str, due: float | None, now: float) -> None:
        """Ring at `due` (None: not at all). An earlier ring of this name stays set: it does no harm."""
        before = self._set_for.get(name)
        if due is None or (before is not None and now < before <= due):
            return
        self._set_for[name] = due
        self._scheduler.add_job(
            self._bell.ring,
            "date",
            run_date=datetime.fromtimestamp(due, UTC),
            id=name,
            replace_existing=True,
            misfire_grace_time=None,
        )


class Pace:
    """Limits something to once every `pause` seconds. The first time is at once.

    `monotonic` gives seconds; `done_at` is its value when it was done last.
    """

    def __init__(self, pause: float, monotonic: Callable[[], float]) -> None:
        self._pause = pause
        self._monotonic = monotonic
        self.done_at = -math.inf

    def wait(self) -> float:
        """Seconds until it may be done; 0 when it may be done now."""
        return max(0.0, self.done_at + self._pause - self._monotonic())

    def done(self) -> None:
        """Note that it is done now."""
        self.done_at = self._monotonic()

    def hurry(self) -> None:
        """Allow it at once, whenever it was done last."""
        self.done_at = -math.inf
