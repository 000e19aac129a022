"""Files and folders on disk, one at a time: read, listed, moved, appended to, and synced.

After a failed sync nothing more is written by this process: what the kernel dropped cannot be known.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from state.errors import StoreFrozen, StoreUnavailable
from state.files import synced as lasting

MOST_BYTES = 64 * 2**20
"""What is larger is not read: no document, and no list of who waits, comes near that."""
NO_DOCUMENT = {errno.EISDIR: "it is a folder", errno.EFBIG: f"it is larger than {MOST_BYTES // 2**20} MiB"}
"""Errors of reading that tell that something is no document."""


class Disk:
    """File operations below one root folder. Raises StoreUnavailable and StoreFrozen."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._failed_sync: Path | None = None
        self._lasting: set[Path] = set()
        self._syncs = lasting.Syncs()

    def read(self, path: Path) -> bytes | None:
        """The content of a file, None when there is none; EFBIG stands for more than MOST_BYTES."""
        try:
            # Without waiting for a writer, should it be a pipe.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(path, error) from error
        try:
            size = os.fstat(descriptor).st_size
            if size > MOST_BYTES:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            chunks = [os.read(descriptor, size + 1)]
            while chunks[-1] and sum(map(len, chunks)) < size:
                chunks.append(os.read(descriptor, size + 1))
            return b"".join(chunks)
        except OSError as error:
            raise StoreUnavailable(path, error) from error
        finally:
            os.close(descriptor)

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, in no order; none when it does not exist, or a file stands in its place."""
        with unavailable(folder):
            try:
                return os.listdir(folder)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def each_name(self, folder: Path) -> Iterator[str]:
        """The names in a folder, one by one, so that a million of them take no memory; none when it does not exist.

        What comes or goes meanwhile may be among them or not.
        """
        with unavailable(folder):
            try:
                entries = os.scandir(folder)
            except FileNotFoundError:
                return
        with entries:
            while True:
                with unavailable(folder):
                    entry = next(entries, None)
                if entry is None:
                    return
                yield entry.name

    def move(self, source: Path, target: Path) -> bool:
        """Rename; False when `source` is not there. Durable after `sync_folder` of both folders."""
        self._refuse_when_frozen()
        with unavailable(source):
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
        with unavailable(source):
            os.link(source, target)

    def remove(self, path: Path) -> None:
        """Remove a file; one that is gone already is fine."""
        self._refuse_when_frozen()
        with unavailable(path):
            path.unlink(missing_ok=True)

    def append(self, path: Path, content: bytes) -> None:
        """Write at the end of a file, which is made if need be; of a failed write nothing stays. See `sync_file`."""
        self._refuse_when_frozen()
        with unavailable(path):
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
        with unavailable(path):
            os.truncate(path, size)

    def add_line(self, path: Path, line: bytes) -> int:
        """Add a line to a file without a sync, whatever its last line is; returns the size of the file then."""
        with unavailable(path):
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                cut_off = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                return size + os.write(descriptor, b"\n" * cut_off + line)
            finally:
                os.close(descriptor)

    def make_folder(self, path: Path) -> None:
        """Create a folder (and its parents) so that it lasts; so does one that is there already.

        Who made that may have been killed before it was synced. Raises StoreUnavailable also when a file stands there.
        """
        there = path.is_dir()
        if there and path in self._lasting:
            return
        if not there:
            self.make_folder(path.parent)
            with unavailable(path):
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
        with unavailable(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._sync(descriptor, path)
            finally:
                os.close(descriptor)
        self._syncs.note(path, began)

    def lasts(self, path: Path) -> bool:
        """Whether what stands at `path` is known to last; False tells nothing but that its folder has to be synced."""
        return self._failed_sync is None and self._syncs.cover(path, lasting.now())

    def sync_file(self, path: Path) -> None:
        """Make what was appended to a file last; one that is gone is fine."""
        self._refuse_when_frozen()
        with unavailable(path):
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
            raise StoreFrozen(self._failed_sync)


@contextmanager
def unavailable(path: Path) -> Iterator[None]:
    """Raise StoreUnavailable for what the system refuses, but FileExistsError as it is."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise
        raise StoreUnavailable(path, error) from error
