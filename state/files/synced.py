"""What is known to be on the disk without asking it again: files that stood there before a sync of their folder.

A rename or link sets the time of a file's last change (ctime) on Linux's local file systems. What was put into a folder
before a sync of it began is durable when that sync has returned.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

MARGIN = 20_000_000
"""Nanoseconds: the kernel's clock for files goes in steps of up to 10 ms, and one that is set back by less than half
of this is taken for one that is only adjusted.
"""


class Moment(NamedTuple):
    """A moment by the wall clock, and how far ahead that was of the clock that never jumps (both in nanoseconds)."""

    wall: int
    ahead: int


def now() -> Moment:
    """This moment."""
    wall = time.time_ns()
    return Moment(wall, wall - time.monotonic_ns())


class Syncs:
    """When this process last began a sync of each folder that returned."""

    def __init__(self) -> None:
        self._last: dict[Path, Moment] = {}

    def note(self, folder: Path, began: Moment) -> None:
        """A sync of this folder has returned that began then."""
        self._last[folder] = began

    def cover(self, path: Path, at: Moment) -> bool:
        """Whether what stands at `path` now surely was there when a sync of its folder began; `at` is now.

        After a clock was set back nothing is sure until the next sync.
        """
        last = self._last.get(path.parent)
        if last is None or at.ahead < last.ahead - MARGIN // 2:
            return False
        try:
            return os.lstat(path).st_ctime_ns < last.wall - MARGIN
        except OSError:
            return False
