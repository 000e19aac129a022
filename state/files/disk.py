"""Files below the root of a state folder: read, listed, moved, appended to, staged, published and synced.

A document is staged in `tmp/` (written and synced there), then published by one rename or link into its folder, then
the folder is synced. After a failed sync this process writes nothing more: what the kernel dropped is unknown.
"""

import errno
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from state.errors import StateError, StoreFrozen, StoreUnavailable
from state.host import locks

P = ParamSpec("P")
R = TypeVar("R")

MOST_BYTES = 64 * 2**20
"""Larger files are not read: no document, and no list of waiting tickets, comes near this size."""
NOT_A_DOCUMENT = {errno.EISDIR: "it is a folder", errno.EFBIG: f"it is larger than {MOST_BYTES // 2**20} MiB"}
"""Errors of reading which mean that something is no document."""
SYNCED_TOGETHER = 64
"""How many files are open at a time to be synced together."""
STAGED_FOR = 3600.0
"""Seconds after which a staged file is a leftover, whatever its name says."""
MARGIN = 20_000_000
"""Nanoseconds: the kernel's clock for files advances in steps of up to 10 ms, and a clock that is set back by less than
half of this counts as only adjusted.
"""
_TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)
_OF_ONE_FILE = (
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.ELOOP,
    errno.ENXIO,
    errno.EUCLEAN,
    errno.EBADMSG,
    errno.EFBIG,
)
# Begins at the time: after a restart in a container, process ids repeat beside the leftovers of a killed process.
_counter = itertools.count(time.time_ns())


class DiskError(StoreUnavailable):
    """The operating system refused an operation on a file with this error."""

    def __init__(self, place: str, error: OSError) -> None:
        super().__init__(place, error.strerror or str(error), error.errno in _OF_ONE_FILE)
        self.error = error


class Disk:
    """Durable file operations below one root folder. Raises DiskError and StoreFrozen."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.staging = root / "tmp"
        self._failed_sync: Path | None = None
        self._durable_folders: set[Path] = set()
        self._syncs = Syncs()

    def place(self, path: Path) -> str:
        """A path below the root as a place: `tickets/open/42`; any other path as it is."""
        return str(path.relative_to(self.root)).removesuffix(".json") if self.root in path.parents else str(path)

    @contextmanager
    def disk_errors(self, path: Path) -> Iterator[None]:
        """Raise DiskError for errors of the operating system, but FileExistsError as it is."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.EEXIST:
                raise
            raise DiskError(self.place(path), error) from error

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock `locks/NAME` for a moment."""
        path = self.root / "locks" / name
        try:
            descriptor = locks.wait_for(path)
        except OSError as error:
            raise DiskError(self.place(path), error) from error
        try:
            yield
        finally:
            os.close(descriptor)

    def read(self, path: Path) -> bytes | None:
        """The content of a file, None when there is none; raises DiskError with EFBIG for more than MOST_BYTES."""
        try:
            # Does not wait for a writer if it is a pipe.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskError(self.place(path), error) from error
        try:
            size = os.fstat(descriptor).st_size
            if size > MOST_BYTES:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            chunks = [os.read(descriptor, size + 1)]
            while chunks[-1] and sum(map(len, chunks)) < size:
                chunks.append(os.read(descriptor, size + 1))
            return b"".join(chunks)
        except OSError as error:
            raise DiskError(self.place(path), error) from error
        finally:
            os.close(descriptor)

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, in no order; none when it does not exist or is no folder."""
        with self.disk_errors(folder):
            try:
                return os.listdir(folder)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def each_name(self, folder: Path) -> Iterator[str]:
        """The names in a folder, one by one, so that a million of them take no memory; none when it does not exist.

        Names that are added or removed meanwhile may be among them or not.
        """
        with self.disk_errors(folder):
            try:
                entries = os.scandir(folder)
            except FileNotFoundError:
                return
        with entries:
            while True:
                with self.disk_errors(folder):
                    entry = next(entries, None)
                if entry is None:
                    return
                yield entry.name

    def move(self, source: Path, target: Path) -> bool:
        """Rename; False when `source` does not exist. Durable after `sync_folder` of both folders."""
        self._refuse_when_frozen()
        with self.disk_errors(source):
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
        with self.disk_errors(source):
            os.link(source, target)

    def remove(self, path: Path) -> None:
        """Remove a file; it need not exist."""
        self._refuse_when_frozen()
        with self.disk_errors(path):
            path.unlink(missing_ok=True)

    def append(self, path: Path, content: bytes) -> None:
        """Append to a file, which is created if needed; a failed write leaves nothing. Durable after `sync_file`."""
        self._refuse_when_frozen()
        with self.disk_errors(path):
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
        with self.disk_errors(path):
            os.truncate(path, size)

    def add_line(self, path: Path, line: bytes) -> int:
        """Append a line without a sync, also behind a torn line; returns the new size of the file."""
        with self.disk_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                cut_off = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                return size + os.write(descriptor, b"\n" * cut_off + line)
            finally:
                os.close(descriptor)

    def make_folder(self, path: Path) -> None:
        """Create a folder (and its parents) durably; one that exists is made durable too.

        The process that made it may have been killed before it synced it. Raises DiskError also when a file is there.
        """
        exists = path.is_dir()
        if exists and path in self._durable_folders:
            return
        if not exists:
            self.make_folder(path.parent)
            with self.disk_errors(path):
                try:
                    path.mkdir(exist_ok=True)
                except FileExistsError as error:
                    raise DiskError(self.place(path), error) from error
        self.sync_folder(path.parent)
        self._durable_folders.add(path)

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable: what was published or moved there may be promised from now on."""
        self._refuse_when_frozen()
        began = this_moment()
        with self.disk_errors(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._sync(descriptor, path)
            finally:
                os.close(descriptor)
        self._syncs.note(path, began)

    def is_durable(self, path: Path) -> bool:
        """Whether the file at `path` is known to be durable; if not, its folder has to be synced to know it."""
        return self._failed_sync is None and self._syncs.cover(path, this_moment())

    def sync_file(self, path: Path) -> None:
        """Make what was appended to a file durable; the file need not exist."""
        self._refuse_when_frozen()
        with self.disk_errors(path):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return
            try:
                self._sync(descriptor, path)
            finally:
                os.close(descriptor)

    def _sync(self, descriptor: int, path: Path) -> None:
        try:
            os.fsync(descriptor)
        except OSError:
            self._failed_sync = path
            raise

    def _refuse_when_frozen(self) -> None:
        if self._failed_sync is not None:
            raise StoreFrozen(self.place(self._failed_sync))

    # Staging

    def stage(self, content: bytes) -> Path:
        """Write and sync a temporary file; publish or discard it afterwards."""
        (path,) = self.stage_all([content])
        return path

    def stage_all(self, contents: Sequence[bytes]) -> list[Path]:
        """Stage many files, all or none."""
        outcomes = self.stage_each(contents)
        paths = [outcome for outcome in outcomes if isinstance(outcome, Path)]
        for outcome in outcomes:
            if isinstance(outcome, StateError):
                for path in paths:
                    self.discard(path)
                raise outcome
        return paths

    def stage_each(self, contents: Sequence[bytes]) -> list[Path | StateError]:
        """Stage many files, each alone: its path, or the error that prevented it."""
        outcomes: list[Path | StateError] = []
        for start in range(0, len(contents), SYNCED_TOGETHER):
            outcomes += self._stage_some(contents[start : start + SYNCED_TOGETHER])
        return outcomes

    def _stage_some(self, contents: Sequence[bytes]) -> list[Path | StateError]:
        """Let the disk begin to write all of them before the first sync, which then waits for most of them at once."""
        written = [result_or_error(self._write_staged, content, len(contents) > 1) for content in contents]
        outcomes = [
            outcome if isinstance(outcome, StateError) else result_or_error(self._sync_staged, *outcome)
            for outcome in written
        ]
        if len(contents) > 1:
            # Now that the others are closed, try again.
            for index, outcome in enumerate(outcomes):
                if isinstance(outcome, DiskError) and outcome.error.errno in _TOO_MANY_OPEN:
                    (outcomes[index],) = self._stage_some([contents[index]])
        return outcomes

    def _write_staged(self, content: bytes, begin: bool) -> tuple[Path, int]:
        self._refuse_when_frozen()
        path = self.staging / f"{os.getpid()}-{next(_counter)}"
        with self.disk_errors(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                written = 0
                while written < len(content):
                    written += os.write(descriptor, content[written:])
                if begin:
                    # The point is not the memory: Linux begins to write such a file out.
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            except BaseException:
                os.close(descriptor)
                self.discard(path)
                raise
        return path, descriptor

    def _sync_staged(self, path: Path, descriptor: int) -> Path:
        with self.disk_errors(path):
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
        with self.disk_errors(path):
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
        """Put a staged file at `path`; raises FileExistsError when something is there. Durable after `sync_folder`."""
        with self.disk_errors(path):
            os.link(staged, path)
        self.discard(staged)

    def discard(self, staged: Path) -> None:
        """Remove a staged file that is no longer needed."""
        try:
            os.unlink(staged)
        except OSError:
            pass

    def show(self, path: Path, content: bytes) -> None:
        """Replace a file as a whole without a sync: for content that can be made anew."""
        staged = self.staging / f"{os.getpid()}-{next(_counter)}"
        with self.disk_errors(path):
            try:
                staged.write_bytes(content)
                os.rename(staged, path)
            except BaseException:
                self.discard(staged)
                raise

    def orphans(self, now: float) -> list[Path]:
        """Staged files of processes that have ended, and old ones, because process ids repeat."""
        return [path for path in (self.staging / name for name in self.names(self.staging)) if _is_orphan(path, now)]

    def remove_orphans(self, now: float) -> int:
        """Remove staged files without an owner; returns how many."""
        orphans = self.orphans(now)
        for path in orphans:
            self.discard(path)
        return len(orphans)


def result_or_error(act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | StateError:
    """The result of `act`, or the StateError that it raises."""
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


class Moment(NamedTuple):
    """A moment by the wall clock, and how far it was ahead of the monotonic clock (both in nanoseconds)."""

    wall: int
    ahead: int


def this_moment() -> Moment:
    """This moment."""
    wall = time.time_ns()
    return Moment(wall, wall - time.monotonic_ns())


class Syncs:
    """When this process last began a sync of each folder that returned: what was there by then is durable.

    A rename or link sets the time of a file's last change (ctime) on Linux's local file systems.
    """

    def __init__(self) -> None:
        self._last: dict[Path, Moment] = {}

    def note(self, folder: Path, began: Moment) -> None:
        """Remember that a sync of this folder which began then has returned."""
        self._last[folder] = began

    def cover(self, path: Path, at: Moment) -> bool:
        """Whether the file at `path` was certainly there when a sync of its folder began; `at` is now.

        After the clock was set back nothing is certain until the next sync.
        """
        last = self._last.get(path.parent)
        if last is None or at.ahead < last.ahead - MARGIN // 2:
            return False
        try:
            return os.lstat(path).st_ctime_ns < last.wall - MARGIN
        except OSError:
            return False
