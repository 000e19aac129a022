"""Trouble of a process of the model at one of its file operations: its death, a refusal, or a competing change.

Nothing is really killed: the operation raises, and from then on every other operation of this process does.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from state.files.disk import Disk
from tests.chaos.disk import Operation, meddled


class Killed(BaseException):
    """The process that wanted this is no more."""


class Trouble:
    """Strikes at the `at`th operation (from 1) that changes something: kills by default.

    With `refusal` (an errno) the operation fails instead. With `meanwhile` that happens first, as if another process
    had been faster; it waits for an instant in which no lock is held, as it would have to.
    """

    def __init__(self, at: int, refusal: int | None = None, meanwhile: Callable[[], None] | None = None) -> None:
        self.struck = False
        self.refuses = refusal is not None
        self._left = at
        self._refusal = refusal
        self._meanwhile = meanwhile
        self._dead = False
        self._locks = 0

    def __call__(self, operation: Operation, do: Callable[..., Any]) -> Any:
        """Intercept one operation of the process (see tests.chaos.disk)."""
        data = operation.data or b""
        make = (lambda: do(data)) if operation.name == "write" else do
        if self._dead:
            raise Killed
        if operation.changes and self._strikes():
            if self._meanwhile is not None:
                self._meanwhile()
            elif self._refusal is not None:
                raise OSError(self._refusal, os.strerror(self._refusal), operation.path)
            else:
                self._dead = True
                if operation.name == "write":
                    do(data[: len(data) // 2])
                raise Killed
        return make()

    def step(self) -> None:
        """Intercept something that is no file operation, such as the start of a hook."""
        if self._dead:
            raise Killed
        if self._refusal is None and self._strikes():
            if self._meanwhile is None:
                self._dead = True
                raise Killed
            self._meanwhile()

    def _strikes(self) -> bool:
        self._left -= 1
        if self.struck or self._left > 0 or (self._meanwhile is not None and self._locks):
            return False
        self.struck = True
        return True

    @contextmanager
    def below(self, root: Path) -> Iterator[None]:
        """Intercept all that this process does below `root`."""
        lock = Disk.lock

        @contextmanager
        def counted(disk: Disk, name: str) -> Iterator[None]:
            with lock(disk, name):
                self._locks += 1
                try:
                    yield
                finally:
                    self._locks -= 1

        with meddled(root, self), patch.object(Disk, "lock", counted):
            yield
