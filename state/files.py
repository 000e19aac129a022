"""Documents on disk: the only place that writes, renames and syncs them.

A document is staged in `tmp/` (written and synced there), then published by one rename or link into its folder,
then the folder is synced. After a failed sync nothing more is written by this process: what the kernel dropped
cannot be known.
"""

import errno
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from state import lasting
from state.errors import StateError, StoreFrozen, StoreUnavailable

SYNCED_TOGETHER = 64
"""How many files are open at a time to be synced together."""
P = ParamSpec("P")
R = TypeVar("R")
_TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)
STAGED_FOR = 3600.0
"""Seconds after which a staged file has no owner, whatever its name says."""
# Begins at the time: after a restart in a container, pids come again beside what a killed process left.
_counter = itertools.count(time.time_ns())


class Files:
    """Durable file operations below one root folder. Raises StoreUnavailable and StoreFrozen."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.staging = root / "tmp"
        self._failed_sync: Path | None = None
        self._lasting: set[Path] = set()
        self._syncs = lasting.Syncs()

    def read(self, path: Path) -> bytes | None:
        """The content of a file, None when there is none."""
        try:
            # Without waiting for a writer, should it be a pipe.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(path, error) from error
        try:
            size = os.fstat(descriptor).st_size
            chunks = [os.read(descriptor, size + 1)]
            while chunks[-1] and sum(map(len, chunks)) < size:
                chunks.append(os.read(descriptor, size + 1))
            return b"".join(chunks)
        except OSError as error:
            raise StoreUnavailable(path, error) from error
        finally:
            os.close(descriptor)

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
        with _unavailable(path):
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
        with _unavailable(path):
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
        with _unavailable(path):
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
        with _unavailable(path):
            os.link(staged, path)
        self.discard(staged)

    def discard(self, staged: Path) -> None:
        """Remove a staged file that is not wanted any more."""
        try:
            os.unlink(staged)
        except OSError:
            pass

    def move(self, source: Path, target: Path) -> bool:
        """Rename; False when `source` is not there. Durable after `sync_folder` of both folders."""
        self._refuse_when_frozen()
        with _unavailable(source):
            try:
                os.rename(source, target)
            except FileNotFoundError:
                if source.exists():
                    raise
                return False
            return True

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name. Durable after `sync_folder`."""
        self._refuse_when_frozen()
        with _unavailable(source):
            os.link(source, target)

    def remove(self, path: Path) -> None:
        """Remove a file; one that is gone already is fine."""
        self._refuse_when_frozen()
        with _unavailable(path):
            path.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        """Create a folder (and its parents) so that it lasts; so does one that is there already.

        Who made that may have been killed before it was synced. Raises StoreUnavailable also when a file stands there.
        """
        there = path.is_dir()
        if there and path in self._lasting:
            return
        if not there:
            self.make_folder(path.parent)
            with _unavailable(path):
                try:
                    path.mkdir(exist_ok=True)
                except FileExistsError as error:
                    raise StoreUnavailable(path, error) from error
        self.sync_folder(path.parent)
        self._lasting.add(path)

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder last: what was published or moved there is a promise from now on."""
        self._refuse_when_frozen()
        began = lasting.now()
        with _unavailable(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._sync(descriptor, path)
            finally:
                os.close(descriptor)
        self._syncs.note(path, began)

    def lasts(self, path: Path) -> bool:
        """Whether what stands at `path` is known to last; False tells nothing but that its folder has to be synced."""
        return self._failed_sync is None and self._syncs.cover(path, lasting.now())

    def show(self, path: Path, content: bytes) -> None:
        """Replace a file as a whole without a sync: for what can be made anew."""
        staged = self.staging / f"{os.getpid()}-{next(_counter)}"
        with _unavailable(path):
            try:
                staged.write_bytes(content)
                os.rename(staged, path)
            except BaseException:
                self.discard(staged)
                raise

    def append(self, path: Path, content: bytes) -> None:
        """Write at the end of a file, which is made if need be; of a failed write nothing stays. See `sync_file`."""
        self._refuse_when_frozen()
        with _unavailable(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                written = 0
                try:
                    while written < len(content):
                        written += os.write(descriptor, content[written:])
                except OSError:
                    os.ftruncate(descriptor, size)
                    raise
            finally:
                os.close(descriptor)

    def truncate(self, path: Path, size: int) -> None:
        """Keep the first `size` bytes of a file."""
        self._refuse_when_frozen()
        with _unavailable(path):
            os.truncate(path, size)

    def sync_file(self, path: Path) -> None:
        """Make what was appended to a file last; one that is gone is fine."""
        self._refuse_when_frozen()
        with _unavailable(path):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return
            try:
                self._sync(descriptor, path)
            finally:
                os.close(descriptor)

    def add_line(self, path: Path, line: bytes) -> int:
        """Add a line to a file without a sync, whatever its last line is; returns the size of the file then."""
        with _unavailable(path):
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                cut_off = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                return size + os.write(descriptor, b"\n" * cut_off + line)
            finally:
                os.close(descriptor)

    def orphans(self, now: float) -> list[Path]:
        """Staged files of processes that are gone, and old ones: process ids come again."""
        return [path for path in (self.staging / name for name in self.names(self.staging)) if _is_orphan(path, now)]

    def remove_orphans(self, now: float) -> int:
        """Remove staged files that nobody owns; returns how many."""
        orphans = self.orphans(now)
        for path in orphans:
            self.discard(path)
        return len(orphans)

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, in no order; none when it does not exist, or a file stands in its place."""
        with _unavailable(folder):
            try:
                return os.listdir(folder)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def each_name(self, folder: Path) -> Iterator[str]:
        """The names in a folder, one by one, so that a million of them take no memory; none when it does not exist.

        What comes or goes meanwhile may be among them or not.
        """
        with _unavailable(folder):
            try:
                entries = os.scandir(folder)
            except FileNotFoundError:
                return
        with entries:
            while True:
                with _unavailable(folder):
                    entry = next(entries, None)
                if entry is None:
                    return
                yield entry.name

    def _sync(self, descriptor: int, path: Path) -> None:
        try:
            os.fsync(descriptor)
        except OSError:
            self._failed_sync = path
            raise

    def _refuse_when_frozen(self) -> None:
        if self._failed_sync is not None:
            raise StoreFrozen(self._failed_sync)


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


@contextmanager
def _unavailable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise
        raise StoreUnavailable(path, error) from error
