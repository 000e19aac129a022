"""Which boot of the machine this is, and how long it has been up."""

import functools
import time
from pathlib import Path


@functools.cache
def boot_id() -> str:
    """A text that is new after each boot. Without /proc every process counts as a boot of its own."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"process-{time.time_ns()}"


def uptime() -> float:
    """Seconds since the machine was booted; it never jumps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
