"""Facts about this machine: which boot it is in, how long it has been up, and whether a file was replaced."""

import functools
import os
import time
from pathlib import Path
from typing import NamedTuple


@functools.cache
def boot_id() -> str:
    """A text that differs after each boot. Without /proc every process counts as a boot of its own."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"process-{time.time_ns()}"


def uptime() -> float:
    """Seconds since the machine was booted; it never jumps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class FileStamp(NamedTuple):
    """Differs whenever a file was changed or replaced. An inode number alone is soon reused."""

    modified: int
    inode: int
    size: int
    changed: int


def stamp_of(file: Path | os.DirEntry[str]) -> FileStamp | None:
    """The stamp of a file; None when it is not there or the system refuses to look at it."""
    try:
        status = file.stat()
    except OSError:
        return None
    return FileStamp(status.st_mtime_ns, status.st_ino, status.st_size, status.st_ctime_ns)
