"""The only place that locks. Everything is flock(2) on files that are never unlinked, so that all agree.

Two forms of the same lock: `brief`, where the kernel queues the waiters, for holds of microseconds around one
document; and `Lease`, for what a process holds for as long as it lives (filelock), above all the leader's role.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from state.errors import LockTimeout, StoreUnavailable


@contextmanager
def brief(path: Path) -> Iterator[None]:
    """Hold the lock at `path` for a moment; waits in the kernel, without polling and without a limit.

    Raises StoreUnavailable.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreUnavailable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Lease:
    """A role that one process holds until it ends, whichever way it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path, thread_local=False)
        self._held: os.stat_result | None = None

    def acquire(self, seconds: float = 0, poll: float = 0.25) -> None:
        """Take the role, waiting up to `seconds` (negative: without end); raises LockTimeout and StoreUnavailable."""
        try:
            self._lock.acquire(timeout=seconds, poll_interval=poll)
            self._held = os.stat(self.path)
        except Timeout:
            raise LockTimeout(self.path, seconds) from None
        except OSError as error:
            raise StoreUnavailable(self.path, error) from error

    def release(self) -> None:
        self._lock.release()

    def is_lost(self) -> bool:
        """Whether the file of a role that this process has was removed or replaced, so that another can take it."""
        try:
            return self._held is not None and not os.path.samestat(self._held, os.stat(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return True


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
    """Whether some process holds the lock at `path`; a file that is not there is held by nobody."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        # Shared, so that two who look at the same time do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
