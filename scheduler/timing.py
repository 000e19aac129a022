"""What wakes the main thread of the scheduler: a bell, and alarms that ring it at due times."""

import os
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler


class Bell:
    """Wakes the main thread out of its sleep, from any thread or signal handler."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ring(self) -> None:
        os.eventfd_write(self._descriptor, 1)

    def fileno(self) -> int:
        return self._descriptor

    def silence(self) -> None:
        """Take note that it rang."""
        try:
            os.eventfd_read(self._descriptor)
        except BlockingIOError:
            pass


class Alarm:
    """Rings the bell at a due time (Unix seconds) through APScheduler."""

    def __init__(self, scheduler: BackgroundScheduler, bell: Bell, name: str) -> None:
        self._scheduler = scheduler
        self._bell = bell
        self._name = name
        self._set_for: float | None = None

    def set(self, due: float | None, now: float) -> None:
        """Ring at `due` (None: no need). An earlier ring that is set already stays: it does no harm."""
        if due is None or (self._set_for is not None and now < self._set_for <= due):
            return
        self._set_for = due
        self._scheduler.add_job(
            self._bell.ring,
            "date",
            run_date=datetime.fromtimestamp(due, UTC),
            id=self._name,
            replace_existing=True,
            misfire_grace_time=None,
        )
