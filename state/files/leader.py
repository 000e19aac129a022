"""The leader's role in a state folder: a lock on `locks/leader` that ends with the process that holds it."""

import errno
import logging
import math
import os

from filelock import FileLock, Timeout

from state.errors import LockTimeout
from state.files.disk import Disk, DiskError
from state.files.layout import mend_lock
from state.files.quarantine import Quarantine
from state.host import locks

log = logging.getLogger(__name__)


def has_leader(disk: Disk) -> bool:
    """Whether some process holds the leader's role."""
    return locks.is_held(disk.root / "locks" / "leader")


class LeaderLease:
    """The role of the one scheduler that writes resources and assigns. See `state.store.Lease`."""

    term = 0

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._path = disk.root / "locks" / "leader"
        self._lock = FileLock(self._path, thread_local=False)
        self._held: os.stat_result | None = None

    def acquire(self, seconds: float = 0, poll: float = 0.25) -> None:
        try:
            wrong = mend_lock(self._disk, Quarantine(self._disk), "locks/leader")
            if wrong is not None:
                log.error("%s: %s", self._disk.root, wrong)
            self._lock.acquire(timeout=seconds, poll_interval=poll)
            self._held = os.stat(self._path)
        except Timeout:
            raise LockTimeout(self._disk.place(self._path), seconds) from None
        except OSError as error:
            raise DiskError(self._disk.place(self._path), error) from error

    def release(self) -> None:
        self._lock.release()
        self._held = None

    def held_until(self) -> float:
        """Without end, unless the file was removed or replaced, so that another process can take the role.

        Raises StoreUnavailable when the folder is away: then it cannot be known.
        """
        if not self._path.parent.is_dir():
            raise DiskError(str(self._disk.root), FileNotFoundError(errno.ENOENT, "the state folder is away"))
        try:
            held = self._held is not None and os.path.samestat(self._held, os.stat(self._path))
        except (FileNotFoundError, NotADirectoryError):
            held = False
        return math.inf if held else -math.inf
