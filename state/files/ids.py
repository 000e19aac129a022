"""Numbers for new documents: in order, without gaps within one boot of the machine, never twice.

The next number stands in `ids/NAME.next`, which is written without a sync and trusted only in the boot that wrote
it. A durable ceiling in `ids/NAME.ceiling` stands above every number ever given; after a reboot, or when the
counter was lost, numbering goes on above it and above every number in use.
"""

import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path

from state.errors import StoreUnavailable
from state.files import locks
from state.files.boot import boot_id
from state.files.disk import NO_DOCUMENT
from state.files.quarantine import Quarantine
from state.files.staging import Files

log = logging.getLogger(__name__)

CEILING_STEP = 1000
_WIDTH = 80


class Numbers:
    """Gives out the numbers of one kind of document. `highest` tells the highest number in use (0: none)."""

    def __init__(self, files: Files, name: str, highest: Callable[[], int]) -> None:
        self._files = files
        self._lock = files.root / "locks" / f"ids-{name}"
        self._next = files.root / "ids" / f"{name}.next"
        self._ceiling = files.root / "ids" / f"{name}.ceiling"
        self._highest = highest
        self._aside = Quarantine(files)

    def reserve(self, count: int = 1) -> range:
        """Numbers that nobody else gets; raises StoreUnavailable."""
        try:
            with locks.brief(self._lock):
                return self._reserve(count)
        except OSError as error:
            raise StoreUnavailable(self._next, error) from error

    def give_back(self, number: int) -> None:
        """Let a reserved number that no document got be given again, if none was reserved after it."""
        try:
            with locks.brief(self._lock):
                descriptor = os.open(self._next, os.O_RDWR | os.O_CLOEXEC)
                try:
                    counter = read_counter(os.pread(descriptor, _WIDTH, 0))
                    if counter is not None and counter[:2] == (boot_id(), number + 1):
                        self._write_next(descriptor, number, counter[2])
                finally:
                    os.close(descriptor)
        except (OSError, StoreUnavailable):
            # A gap in the numbers harms nobody, and what failed before is what the caller wants to hear.
            pass

    def begin_above(self, number: int) -> int:
        """Let the numbers go on above this one and all in use; returns the next. Raises StoreUnavailable."""
        try:
            with locks.brief(self._lock):
                first = max(number, self._highest()) + 1
                self._write_ceiling(first)
                self._files.remove(self._next)
                return first
        except OSError as error:
            raise StoreUnavailable(self._ceiling, error) from error

    def mend(self) -> list[str]:
        """Move what is damaged aside, and write the ceiling anew; returns what was wrong, in words.

        A ceiling that cannot be read stays where it is while the counter does not tell it. Raises StoreUnavailable.
        """
        try:
            with locks.brief(self._lock):
                return self._mend()
        except OSError as error:
            raise StoreUnavailable(self._next, error) from error

    def _mend(self) -> list[str]:
        wrong = []
        content, stored = self._content(self._next), self._content(self._ceiling)
        counter = read_counter(content) if content else None
        if counter is None and stored is None and os.path.lexists(self._ceiling):
            # Only who looks after the disk can tell where numbers went on.
            return [f"ids/{self._ceiling.name} cannot be read"]
        if counter is None and content is not None:
            # It is not synced: a power cut may leave it so.
            self._files.remove(self._next)
            wrong.append(f"ids/{self._next.name} was damaged and is removed: numbers go on above the ceiling")
        elif counter is None and os.path.lexists(self._next):
            wrong.append(self._put_aside(self._next))
        known = counter[2] if counter is not None and counter[0] == boot_id() else 0
        ceiling = _number(stored or b"")
        if ceiling < known or (stored is not None and ceiling == 0):
            if os.path.lexists(self._ceiling):
                wrong.append(self._put_aside(self._ceiling))
            ceiling = max(known, ceiling, self._highest() + 1)
            self._write_ceiling(ceiling)
            wrong.append(f"ids/{self._ceiling.name} is written anew: {ceiling}")
        return wrong

    def _content(self, path: Path) -> bytes | None:
        """None when it is not there, or when the system refuses to read this one file, and not for a moment only."""
        for _ in range(2):
            try:
                return self._files.read(path)
            except StoreUnavailable as refused:
                if not (refused.of_one_file or refused.error.errno in NO_DOCUMENT):
                    raise
        return None

    def _put_aside(self, path: Path) -> str:
        aside = self._aside.take(path)
        return f"ids/{path.name} was damaged; moved to quarantine/{aside.name if aside else ''}"

    def _open_next(self) -> int:
        """A descriptor of the counter's file; a folder in its place is put aside."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._next, flags, 0o644)
        except IsADirectoryError:
            log.error("%s", self._put_aside(self._next))
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
            log.error("ids/%s was damaged: numbers go on above the ceiling", self._next.name)
        ceiling = _number(self._files.read(self._ceiling) or b"")
        # Below the ceiling, a number may have been given and lost with a power cut after its reply was sent.
        return max(ceiling, self._highest() + 1, 1), 0

    def _write_ceiling(self, ceiling: int) -> None:
        self._files.replace(self._ceiling, f"{ceiling}\n".encode())


def _number(content: bytes) -> int:
    """What a ceiling says, 0 when it is damaged."""
    return int(content) if content.strip().isdigit() else 0


def read_counter(content: bytes) -> tuple[str, int, int] | None:
    """What `NAME.next` says: the boot that it holds for, the next number, and the ceiling; None when it is damaged."""
    text = content.decode(errors="replace").rstrip()
    words = text.split(" ")
    if len(words) != 4 or text != _signed(" ".join(words[:3])) or not (is_number(words[1]) and is_number(words[2])):
        return None
    return words[0], int(words[1]), int(words[2])


def _signed(text: str) -> str:
    """With a check sum: a counter in which one digit has changed would lead to numbers that are in use."""
    return f"{text} {zlib.crc32(text.encode()):08x}"


def is_number(name: str) -> bool:
    """Whether a name consists of the digits 0 to 9: `str.isdigit` alone takes more than `int` does."""
    return name.isascii() and name.isdigit()


def highest_number(folder: Path) -> int:
    """The highest number that begins a file's name in a folder, or in its numbered subfolders' last one."""
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
