"""The folders of a state folder and its FORMAT, and how everything that is no document is repaired."""

import errno
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from state.documents import is_number
from state.errors import UnknownFormat
from state.files.disk import Disk, DiskError
from state.files.quarantine import Quarantine

FORMAT = 1
FOLDERS = (
    "tmp",
    "tickets/open",
    "tickets/done",
    "tickets/keys",
    "resources/live",
    "resources/ended",
    "pools",
    "intents",
    "agents",
    "events",
    "runs",
    "ids",
    "locks/tickets",
    "view",
    "samples",
    "quarantine",
)


def make(disk: Disk) -> None:
    """Make missing folders and FORMAT; raises StoreUnavailable, OSError, and UnknownFormat for a newer layout.

    A file in the place of a folder is left to `mend`.
    """
    complete = check_format(disk)
    for folder in FOLDERS:
        exists = (disk.root / folder).is_dir() or in_the_way(disk.root, folder) is not None
        if not complete or not exists:
            disk.make_folder(disk.root / folder)
    _write_format(disk)


def check_format(disk: Disk) -> bool:
    """Whether there is a FORMAT; raises UnknownFormat when it does not name a layout that this program knows."""
    path = disk.root / "FORMAT"
    try:
        content = disk.read(path)
    except DiskError as refused:
        if refused.error.errno != errno.EISDIR:
            raise
        raise UnknownFormat("FORMAT", "", FORMAT, corrupt=True) from refused
    if content is None:
        return False
    found = content.decode(errors="replace").strip()
    if not is_number(found) or int(found) > FORMAT:
        raise UnknownFormat("FORMAT", found, FORMAT, _is_corrupt(found))
    return True


def _is_corrupt(found: str) -> bool:
    """Whether no program can have written this: it names no layout and no work in progress."""
    words = found.isascii() and found.isprintable()
    return not words or (len(found) < 3 and not found.isdigit())


def mend(disk: Disk, quarantine: Quarantine) -> list[str]:
    """Repair everything that is no document; returns what was wrong, in words.

    Makes missing folders and FORMAT anew, and quarantines files in the place of folders, and anything but files in the
    place of locks, counters, views and events. Raises StoreUnavailable, also when so much is missing that the disk
    itself must be away, and UnknownFormat when a newer program has taken the folder over.
    """
    gone = [folder for folder in FOLDERS if not (disk.root / folder).is_dir()]
    if gone and not os.path.lexists(disk.root / "FORMAT"):
        raise DiskError(str(disk.root), FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    # First the folder that takes what is quarantined.
    wrong = mend_folders(disk, quarantine, sorted(gone, key=lambda folder: folder != "quarantine"))
    wrong += mend_folders(disk, quarantine, blocked_archives(disk))
    for folder in ("locks", "locks/tickets", "ids", "view", "events", "samples"):
        for name in disk.names(disk.root / folder):
            path = disk.root / folder / name
            if not is_file(path) and f"{folder}/{name}" not in FOLDERS:
                place = quarantine.take(path)
                if place is not None:
                    wrong.append(f"{folder}/{name} was no file; moved to {place}")
    return wrong + _mend_format(disk, quarantine)


def mend_folders(disk: Disk, quarantine: Quarantine, gone: Iterable[str]) -> list[str]:
    """Make folders anew and quarantine what is in their place; returns what was wrong, in words."""
    wrong = []
    for folder in gone:
        blocking = in_the_way(disk.root, folder)
        if blocking is not None:
            name = blocking.relative_to(disk.root)
            place = _quarantine_blocking(disk, quarantine, blocking)
            wrong.append(f"{name} was a file, not a folder; moved to {place or 'quarantine'}")
        disk.make_folder(disk.root / folder)
        wrong.append(f"{folder}/ was missing; made anew, empty")
    return wrong


def mend_lock(disk: Disk, quarantine: Quarantine, name: str) -> str | None:
    """Quarantine what is in the place of this lock and is no file, so that the lock can be taken.

    Returns what was wrong, in words. Raises StoreUnavailable.
    """
    path = disk.root / name
    if is_file(path):
        return None
    # One process at a time: the second must not move the new lock of the first.
    with disk.lock("format"):
        place = None if is_file(path) else quarantine.take(path)
    return f"{name} was no file; moved to {place}" if place is not None else None


def _quarantine_blocking(disk: Disk, quarantine: Quarantine, path: Path) -> str | None:
    """Quarantine a file in the place of a folder, which may be `quarantine/` itself; returns its new place."""
    if path == quarantine.folder:
        spare = path.with_name(f"quarantine.{time.time_ns()}")
        disk.move(path, spare)
        disk.make_folder(path)
        path = spare
    return quarantine.take(path)


def in_the_way(root: Path, folder: str) -> Path | None:
    """The plain file in the place of this folder, or of a folder above it; None when there is none."""
    path = root
    for part in folder.split("/"):
        path /= part
        if os.path.lexists(path) and is_file(path):
            return path
    return None


def blocked_archives(disk: Disk) -> list[str]:
    """The subfolders of the archives in whose place there is a file."""
    return [
        f"{archive}/{name}"
        for archive in ("tickets/done", "resources/ended")
        for name in sorted(disk.names(disk.root / archive))
        if is_number(name) and is_file(disk.root / archive / name)
    ]


def is_file(path: Path) -> bool:
    """Whether it is a plain file, or does not exist any more."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True


def _mend_format(disk: Disk, quarantine: Quarantine) -> list[str]:
    try:
        if check_format(disk):
            return []
        wrong = "FORMAT was missing; written anew"
    except UnknownFormat as unknown:
        if not unknown.corrupt:
            raise
        place = quarantine.take(disk.root / "FORMAT")
        wrong = f"FORMAT said {unknown.found!r}; moved to {place or 'quarantine'}, written anew"
    _write_format(disk)
    return [wrong]


def _write_format(disk: Disk) -> None:
    path = disk.root / "FORMAT"
    if disk.read(path) is not None:
        return
    with disk.lock("format"):
        if disk.read(path) is None:
            disk.replace(path, f"{FORMAT}\n".encode())
