"""Kernel locks (flock) on files that are never unlinked, so that all processes agree on who holds one.

`wait_for` is for holds of microseconds around one document: the kernel queues the waiters. `take` and `is_held` are for
locks that live as long as a process: a hook run's, and the leader's (`state.files.leader`).
"""

import fcntl
import os
from pathlib import Path


def wait_for(path: Path) -> int:
    """Lock the file at `path`, which is created if needed; closing the returned descriptor unlocks it.

    Waits in the kernel, without polling and without a limit. Raises OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def take(path: str | Path) -> int:
    """Create the file at `path`, lock it and return its descriptor, for handing to a child process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: str | Path) -> bool:
    """Whether some process holds the lock at `path`; no process holds the lock of a file that is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        # Shared, so that two processes that ask at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
