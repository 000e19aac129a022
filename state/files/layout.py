"""The folders of a state folder, its FORMAT, and what can be put right about all that is no document."""

import errno
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from state.errors import StoreUnavailable, UnknownFormat
from state.files import locks
from state.files.ids import is_number
from state.files.quarantine import Quarantine
from state.files.staging import Files

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


def make(files: Files) -> None:
    """Make what is missing; raises StoreUnavailable, OSError, and UnknownFormat when a newer program was here.

    A file that stands in the place of a folder is left to who mends it.
    """
    complete = check_format(files)
    for folder in FOLDERS:
        there = (files.root / folder).is_dir() or in_the_way(files.root, folder) is not None
        if not complete or not there:
            files.make_folder(files.root / folder)
    _write_format(files)


def check_format(files: Files) -> bool:
    """Whether FORMAT is there; raises UnknownFormat when it does not name a layout that this program knows."""
    path = files.root / "FORMAT"
    try:
        content = files.read(path)
    except StoreUnavailable as refused:
        if refused.error.errno != errno.EISDIR:
            raise
        raise UnknownFormat(path, "", FORMAT) from refused
    if content is None:
        return False
    found = content.decode(errors="replace").strip()
    if not is_number(found) or int(found) > FORMAT:
        raise UnknownFormat(path, found, FORMAT)
    return True


def mend(files: Files, quarantine: Quarantine) -> list[str]:
    """Put in order what is no document; returns what was wrong, in words.

    Makes missing folders or FORMAT anew, and moves aside what stands in the place of locks, counters, views and events
    and is no file, and files that stand in the place of a folder. Raises StoreUnavailable, also when so much is gone
    that the disk itself must be, and UnknownFormat when a newer program took the folder over.
    """
    gone = [folder for folder in FOLDERS if not (files.root / folder).is_dir()]
    if gone and not os.path.lexists(files.root / "FORMAT"):
        raise StoreUnavailable(files.root, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    # First the one that takes what is moved aside.
    wrong = mend_folders(files, quarantine, sorted(gone, key=lambda folder: folder != "quarantine"))
    wrong += mend_folders(files, quarantine, blocked_archives(files))
    for folder in ("locks", "locks/tickets", "ids", "view", "events", "samples"):
        for name in files.names(files.root / folder):
            path = files.root / folder / name
            if not is_file(path) and f"{folder}/{name}" not in FOLDERS:
                aside = quarantine.take(path)
                if aside is not None:
                    wrong.append(f"{folder}/{name} was no file; moved to quarantine/{aside.name}")
    return wrong + _mend_format(files, quarantine)


def mend_folders(files: Files, quarantine: Quarantine, gone: Iterable[str]) -> list[str]:
    """Make folders anew, and keep in quarantine what stands in their place; returns what was wrong, in words."""
    wrong = []
    for folder in gone:
        blocking = in_the_way(files.root, folder)
        if blocking is not None:
            name = blocking.relative_to(files.root)
            aside = _move_aside(files, quarantine, blocking)
            wrong.append(f"{name} was a file, not a folder; moved to quarantine/{aside.name if aside else ''}")
        files.make_folder(files.root / folder)
        wrong.append(f"{folder}/ was gone and is made anew, empty")
    return wrong


def mend_lock(files: Files, quarantine: Quarantine, name: str) -> str | None:
    """Move aside what stands in the place of this lock and is no file; returns what was wrong, in words."""
    path = files.root / name
    if is_file(path):
        return None
    # One at a time: who comes second must not move the new lock of the first.
    with locks.brief(files.root / "locks" / "format"):
        aside = None if is_file(path) else quarantine.take(path)
    return f"{name} was no file; moved to quarantine/{aside.name}" if aside is not None else None


def _move_aside(files: Files, quarantine: Quarantine, path: Path) -> Path | None:
    if path == quarantine.folder:
        spare = path.with_name(f"quarantine.{time.time_ns()}")
        files.move(path, spare)
        files.make_folder(path)
        path = spare
    return quarantine.take(path)


def in_the_way(root: Path, folder: str) -> Path | None:
    """The plain file that stands where this folder, or one that it is in, should be."""
    path = root
    for part in folder.split("/"):
        path /= part
        if os.path.lexists(path) and is_file(path):
            return path
    return None


def blocked_archives(files: Files) -> list[str]:
    """Subfolders of the archives in whose place a file stands."""
    return [
        f"{archive}/{name}"
        for archive in ("tickets/done", "resources/ended")
        for name in sorted(files.names(files.root / archive))
        if is_number(name) and is_file(files.root / archive / name)
    ]


def is_file(path: Path) -> bool:
    """Whether it is a plain file; what is gone meanwhile is nothing else."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True


def _mend_format(files: Files, quarantine: Quarantine) -> list[str]:
    path = files.root / "FORMAT"
    try:
        if check_format(files):
            return []
        wrong = "FORMAT was gone; written anew"
    except UnknownFormat as unknown:
        if not unknown.damaged:
            raise
        aside = quarantine.take(path)
        wrong = f"FORMAT said {unknown.found!r}; moved to quarantine/{aside.name if aside else ''}, written anew"
    _write_format(files)
    return [wrong]


def _write_format(files: Files) -> None:
    path = files.root / "FORMAT"
    if files.read(path) is not None:
        return
    with locks.brief(files.root / "locks" / "format"):
        if files.read(path) is None:
            files.replace(path, f"{FORMAT}\n".encode())
