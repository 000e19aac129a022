"""Documents on disk: the only place that stages and publishes them.

A document is staged in `tmp/` (written and synced there), then published by one rename or link into its folder,
then the folder is synced.
"""

import errno
import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from state.errors import StateError, StoreUnavailable
from state.files.disk import Disk, unavailable

SYNCED_TOGETHER = 64
"""How many files are open at a time to be synced together."""
P = ParamSpec("P")
R = TypeVar("R")
_TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)
STAGED_FOR = 3600.0
"""Seconds after which a staged file has no owner, whatever its name says."""
# Begins at the time: after a restart in a container, pids come again beside what a killed process left.
_counter = itertools.count(time.time_ns())


class Files(Disk):
    """Durable file operations below one root folder. Raises StoreUnavailable and StoreFrozen."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.staging = root / "tmp"

    def stage(self, content: bytes) -> Path:
        """Write and sync a temporary file; publish or discard it afterwards."""
        (path,) = self.stage_all([content])
        return path

    def stage_all(self, contents: Sequence[bytes]) -> list[Path]:
        """Stage many. All or none."""
        outcomes = self.stage_each(contents)
        paths = [outcome for outcome in outcomes if isinstance(outcome, Path)]
        for outcome in outcomes:
            if isinstance(outcome, StateError):
                for path in paths:
                    self.discard(path)
                raise outcome
        return paths

    def stage_each(self, contents: Sequence[bytes]) -> list[Path | StateError]:
        """Stage many, each alone; what kept one from being staged stands in its place."""
        outcomes: list[Path | StateError] = []
        for start in range(0, len(contents), SYNCED_TOGETHER):
            outcomes += self._stage_some(contents[start : start + SYNCED_TOGETHER])
        return outcomes

    def _stage_some(self, contents: Sequence[bytes]) -> list[Path | StateError]:
        """Have the disk begin to write all of them before the first sync: it then waits for most of them at once."""
        written = [tried(self._write_staged, content, len(contents) > 1) for content in contents]
        outcomes = [
            outcome if isinstance(outcome, StateError) else tried(self._sync_staged, *outcome) for outcome in written
        ]
        if len(contents) > 1:
            # None of the others is open any more.
            for index, outcome in enumerate(outcomes):
                if isinstance(outcome, StoreUnavailable) and outcome.error.errno in _TOO_MANY_OPEN:
                    (outcomes[index],) = self._stage_some([contents[index]])
        return outcomes

    def _write_staged(self, content: bytes, begin: bool) -> tuple[Path, int]:
        self._refuse_when_frozen()
        path = self.staging / f"{os.getpid()}-{next(_counter)}"
        with unavailable(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                written = 0
                while written < len(content):
                    written += os.write(descriptor, content[written:])
                if begin:
                    # That it is not needed in memory is not the point: Linux begins to write such a file out.
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            except BaseException:
                os.close(descriptor)
                self.discard(path)
                raise
        return path, descriptor

    def _sync_staged(self, path: Path, descriptor: int) -> Path:
        with unavailable(path):
            try:
                self._refuse_when_frozen()
                self._sync(descriptor, path)
            except BaseException:
                self.discard(path)
                raise
            finally:
                os.close(descriptor)
        return path

    def publish(self, staged: Path, path: Path) -> None:
        """Put a staged file in place of whatever is at `path`. Durable after `sync_folder`."""
        with unavailable(path):
            os.rename(staged, path)

    def replace(self, path: Path, content: bytes) -> None:
        """Stage, publish and sync one file, durable when this returns; a failure leaves nothing staged."""
        staged = self.stage(content)
        try:
            self.publish(staged, path)
        except BaseException:
            self.discard(staged)
            raise
        self.sync_folder(path.parent)

    def publish_new(self, staged: Path, path: Path) -> None:
        """Put a staged file at `path`; raises FileExistsError when something is there."""
        with unavailable(path):
            os.link(staged, path)
        self.discard(staged)

    def discard(self, staged: Path) -> None:
        """Remove a staged file that is not wanted any more."""
        try:
            os.unlink(staged)
        except OSError:
            pass

    def show(self, path: Path, content: bytes) -> None:
        """Replace a file as a whole without a sync: for what can be made anew."""
        staged = self.staging / f"{os.getpid()}-{next(_counter)}"
        with unavailable(path):
            try:
                staged.write_bytes(content)
                os.rename(staged, path)
            except BaseException:
                self.discard(staged)
                raise

    def orphans(self, now: float) -> list[Path]:
        """Staged files of processes that are gone, and old ones: process ids come again."""
        return [path for path in (self.staging / name for name in self.names(self.staging)) if _is_orphan(path, now)]

    def remove_orphans(self, now: float) -> int:
        """Remove staged files that nobody owns; returns how many."""
        orphans = self.orphans(now)
        for path in orphans:
            self.discard(path)
        return len(orphans)


def tried(act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | StateError:
    """What `act` returns, or the error that it raises."""
    try:
        return act(*args, **kwargs)
    except StateError as error:
        return error


def _is_orphan(path: Path, now: float) -> bool:
    owner = path.name.partition("-")[0]
    if not (owner.isascii() and owner.isdigit() and Path("/proc", owner).exists()):
        return True
    try:
        return path.stat().st_mtime < now - STAGED_FOR
    except FileNotFoundError:
        return False
