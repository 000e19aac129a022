"""Faults that can happen to one file operation."""

import errno
import os
import signal
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from tests.chaos.disk import Operation


class Fault(StrEnum):
    KILL = "killed before it"
    KILL_HALF_WAY = "killed half way"
    ENOSPC = "no space"
    FULL = "no space, from then on"
    EIO = "I/O error"
    EACCES = "no permission"
    SHORT = "short write"


_NEEDS_SPACE = ("write", "link", "mkdir")
_ERRNO = {Fault.ENOSPC: errno.ENOSPC, Fault.FULL: errno.ENOSPC, Fault.EIO: errno.EIO, Fault.EACCES: errno.EACCES}


def needs_space(operation: Operation) -> bool:
    """Whether a full disk refuses it."""
    return operation.name in _NEEDS_SPACE or (operation.name == "open" and operation.changes)


def faults_of(operation: Operation) -> list[Fault]:
    """The faults that can happen to this operation."""
    possible = []
    if operation.changes:
        possible.append(Fault.KILL)
    if operation.name == "write" and len(operation.data or b"") > 1:
        possible += [Fault.KILL_HALF_WAY, Fault.SHORT]
    if operation.name == "fsync":
        return [*possible, Fault.EIO, Fault.ENOSPC]
    if operation.name == "spawn":
        return possible
    if needs_space(operation):
        possible += [Fault.ENOSPC, Fault.FULL]
    if operation.name != "write":
        possible.append(Fault.EACCES)
    return [*possible, Fault.EIO]


class Injector:
    """Counts operations, and lets `fault` happen to the Nth (from 0). `happened` shows what it did.

    Documents are staged by threads side by side, so that the Nth may be another one than when all went well.

    Syncs are counted and left out: what a kill leaves behind is in the page cache, synced or not.
    """

    def __init__(self, at: int | None = None, fault: Fault | None = None) -> None:
        self.operations: list[Operation] = []
        self.happened: Operation | None = None
        self._at = at
        self._fault = fault
        self._lock = threading.Lock()

    def __call__(self, operation: Operation, do: Callable[..., Any]) -> Any:
        with self._lock:
            number = len(self.operations)
            self.operations.append(operation)
        make = do
        if operation.name == "write":
            data = operation.data or b""
            make = lambda: do(data)  # noqa: E731
        elif operation.name == "fsync":
            make = lambda: None  # noqa: E731
        if number == self._at:
            self.happened = operation
            return self._break(operation, do, make)
        if self.happened is not None and self._fault is Fault.FULL and needs_space(operation):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), operation.path)
        return make()

    def _break(self, operation: Operation, do: Callable[..., Any], make: Callable[[], Any]) -> Any:
        data = operation.data or b""
        match self._fault:
            case Fault.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Fault.KILL_HALF_WAY:
                if operation.name == "write":
                    do(data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            case Fault.SHORT if operation.name == "write":
                return do(data[: len(data) // 2])
            case Fault.ENOSPC | Fault.FULL | Fault.EIO | Fault.EACCES:
                number = _ERRNO[self._fault]
                raise OSError(number, os.strerror(number), operation.path)
        return make()
