"""Numbers for new documents: in order, without gaps within one boot of the machine, never twice.

The next number is in `ids/NAME.next`, which is written without a sync and trusted only in the boot that wrote it. The
durable ceiling in `ids/NAME.ceiling` is above every number that was ever assigned; after a reboot, or when the counter
was lost, numbering continues above the ceiling and above every number in use.
"""

import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from state.documents import is_number
from state.errors import StoreUnavailable
from state.files.disk import NOT_A_DOCUMENT, Disk, DiskError
from state.files.quarantine import Quarantine
from state.host.machine import boot_id

log = logging.getLogger(__name__)

CEILING_STEP = 1000
_WIDTH = 80


class Numbers:
    """Assigns the numbers of one kind of document. `highest` returns the highest number in use (0: none)."""

    def __init__(self, disk: Disk, name: str, highest: Callable[[], int]) -> None:
        self._disk = disk
        self._lock = f"ids-{name}"
        self._next = disk.root / "ids" / f"{name}.next"
        self._ceiling = disk.root / "ids" / f"{name}.ceiling"
        self._highest = highest
        self._quarantine = Quarantine(disk)

    def reserve(self, count: int = 1) -> range:
        """Numbers that are assigned to no other caller; raises StoreUnavailable."""
        try:
            with self._disk.lock(self._lock):
                return self._reserve(count)
        except OSError as error:
            raise DiskError(self._disk.place(self._next), error) from error

    def give_back(self, number: int) -> None:
        """Make an unused reserved number the next one again, if no other was reserved after it."""
        try:
            with self._disk.lock(self._lock):
                descriptor = os.open(self._next, os.O_RDWR | os.O_CLOEXEC)
                try:
                    counter = read_counter(os.pread(descriptor, _WIDTH, 0))
                    if counter is not None and counter[:2] == (boot_id(), number + 1):
                        self._write_next(descriptor, number, counter[2])
                finally:
                    os.close(descriptor)
        except (OSError, StoreUnavailable):
            # A gap in the numbers does no harm, and the caller needs the first error.
            pass

    def begin_above(self, number: int) -> int:
        """Continue the numbers above this one and above all in use; returns the next. Raises StoreUnavailable."""
        try:
            with self._disk.lock(self._lock):
                first = max(number, self._highest()) + 1
                self._write_ceiling(first)
                self._disk.remove(self._next)
                return first
        except OSError as error:
            raise DiskError(self._disk.place(self._ceiling), error) from error

    def mend(self) -> list[str]:
        """Quarantine corrupt files and write the ceiling anew; returns what was wrong, in words.

        An unreadable ceiling stays where it is unless the counter says what it was. Raises StoreUnavailable.
        """
        try:
            with self._disk.lock(self._lock):
                return self._mend()
        except OSError as error:
            raise DiskError(self._disk.place(self._next), error) from error

    def _mend(self) -> list[str]:
        wrong = []
        content, stored = self._content(self._next), self._content(self._ceiling)
        counter = read_counter(content) if content else None
        # Neither file says where the numbers were: nothing may be guessed.
        if counter is None and stored is None and os.path.lexists(self._ceiling):
            # Only an operator can find out where the numbers were.
            return [f"ids/{self._ceiling.name} cannot be read"]
        if counter is None and content is not None:
            # It is not synced: a power cut may leave it like this.
            self._disk.remove(self._next)
            wrong.append(f"ids/{self._next.name} was corrupt and is removed: numbers continue above the ceiling")
        elif counter is None and os.path.lexists(self._next):
            wrong.append(self._take(self._next))
        # A counter of this boot says what the ceiling must be at least.
        known = counter[2] if counter is not None and counter[0] == boot_id() else 0
        ceiling = _number(stored or b"")
        if ceiling < known or (stored is not None and ceiling == 0):
            if os.path.lexists(self._ceiling):
                wrong.append(self._take(self._ceiling))
            ceiling = max(known, ceiling, self._highest() + 1)
            self._write_ceiling(ceiling)
            wrong.append(f"ids/{self._ceiling.name} is written anew: {ceiling}")
        return wrong

    def _content(self, path: Path) -> bytes | None:
        """The content of a file; None when it does not exist or the system refuses twice to read this one file."""
        for _ in range(2):
            try:
                return self._disk.read(path)
            except DiskError as refused:
                if not (refused.one_document or refused.error.errno in NOT_A_DOCUMENT):
                    raise
        return None

    def _take(self, path: Path) -> str:
        return f"ids/{path.name} was corrupt; moved to {self._quarantine.take(path) or 'quarantine'}"

    def _open_next(self) -> int:
        """A descriptor of the counter's file; a folder in its place is quarantined."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._next, flags, 0o644)
        except IsADirectoryError:
            log.error("%s", self._take(self._next))
        return os.open(self._next, flags, 0o644)

    def _reserve(self, count: int) -> range:
        descriptor = self._open_next()
        try:
            first, ceiling = self._read_next(os.pread(descriptor, _WIDTH, 0))
            after = first + count
            if after > ceiling:
                ceiling = after + CEILING_STEP
                self._write_ceiling(ceiling)
            self._write_next(descriptor, after, ceiling)
        finally:
            os.close(descriptor)
        return range(first, after)

    def _write_next(self, descriptor: int, number: int, ceiling: int) -> None:
        content = _signed(f"{boot_id()} {number} {ceiling}").ljust(_WIDTH - 1).encode() + b"\n"
        written = 0
        while written < len(content):
            written += os.pwrite(descriptor, content[written:], written)

    def _read_next(self, content: bytes) -> tuple[int, int]:
        counter = read_counter(content)
        if counter is not None and counter[0] == boot_id():
            return counter[1:]
        if counter is None and content:
            log.error("ids/%s was corrupt: numbers continue above the ceiling", self._next.name)
        ceiling = _number(self._disk.read(self._ceiling) or b"")
        # A number below the ceiling may have been assigned, and lost in a power cut after its reply was sent.
        return max(ceiling, self._highest() + 1, 1), 0

    def _write_ceiling(self, ceiling: int) -> None:
        self._disk.replace(self._ceiling, f"{ceiling}\n".encode())


def _number(content: bytes) -> int:
    """The number in a ceiling's file, 0 when it is corrupt."""
    return int(content) if content.strip().isdigit() else 0


def read_counter(content: bytes) -> tuple[str, int, int] | None:
    """What is in `NAME.next`: the boot in which it is valid, the next number, the ceiling; None when corrupt."""
    text = content.decode(errors="replace").rstrip()
    words = text.split(" ")
    if len(words) != 4 or text != _signed(" ".join(words[:3])) or not (is_number(words[1]) and is_number(words[2])):
        return None
    return words[0], int(words[1]), int(words[2])


def _signed(text: str) -> str:
    """The text with a check sum: a changed digit in a counter would lead to numbers that are in use."""
    return f"{text} {zlib.crc32(text.encode()):08x}"


def highest_number(folder: Path) -> int:
    """The highest number at the beginning of a file's name in a folder, or in the last of its numbered subfolders."""
    numbers = [0]
    subfolders = []
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return 0
    for entry in entries:
        leading = entry.name.split(".")[0]
        if is_number(leading):
            if entry.name == leading:
                subfolders.append(int(leading))
            else:
                numbers.append(int(leading))
    for subfolder in sorted(subfolders, reverse=True):
        highest = highest_number(folder / str(subfolder))
        if highest:
            numbers.append(highest)
            break
    return max(numbers)
