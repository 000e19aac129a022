"""What each web worker would make anew, made once for all of them, by a process of its own and while they start."""

import os
import traceback
from collections.abc import Callable

_NICENESS = 19
"""How much that process gives way to the workers that start beside it."""


class Premade:
    """Bytes in a file in memory, which forked processes have in common."""

    def __init__(self) -> None:
        self._file: int | None = None

    def begin(self, make: Callable[[], bytes]) -> None:
        """Begin to make them, for the workers that are forked from now on.

        `make` runs in another process: this one outlives reloads, and must not load what a reload brings anew.
        Workers do without what cannot be made, so nothing is raised.
        """
        try:
            before, self._file = self._file, None
            if before is not None:
                os.close(before)
            self._file = os.memfd_create("premade")
            child = os.fork()
            if child == 0:
                _make_in_child_of_child(make, self._file)
            os.waitpid(child, 0)
        except OSError:
            traceback.print_exc()

    def read(self) -> bytes:
        """What was made; empty, or cut off, as long as that is not finished."""
        if self._file is None:
            return b""
        return os.pread(self._file, os.fstat(self._file).st_size, 0)


TEMPLATES = Premade()
"""The templates of the pages as code."""


def _make_in_child_of_child(make: Callable[[], bytes], file: int) -> None:
    """Never returns. Whoever looks for workers among the children of the first process finds nothing else."""
    try:
        if os.fork() == 0:
            os.nice(_NICENESS)
            os.write(file, make())
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(0)
