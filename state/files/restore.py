"""Fills an empty state folder with the documents of another server: all or nothing.

While documents are written, FORMAT holds a text that no program accepts, so that no program starts on a folder whose
restore was killed; restoring into it again begins by emptying it. The leader's role is held meanwhile.
"""

import ctypes
import itertools
import os
import shutil
import time
from pathlib import Path

from state.documents import Actor, Event
from state.errors import LockTimeout, StoreInUse, UnknownFormat
from state.files import checksum
from state.files.disk import Disk, DiskError
from state.files.layout import FORMAT
from state.files.leader import LeaderLease, has_leader
from state.files.store import FileStore
from state.store import Dump

UNFINISHED = "unfinished-import"
"""What is in FORMAT until everything is written."""
_WRITTEN = ("tickets", "resources", "pools", "events", "ids", "tmp")
_IN_USE = ("tickets", "resources", "pools", "intents", "runs", "ids", "agents", "quarantine")


def check_empty(root: Path) -> None:
    """Raise StoreInUse or UnknownFormat unless `restore` can fill `root`; changes nothing."""
    _is_unfinished(root)
    if has_leader(Disk(root)):
        raise StoreInUse(str(root), "a scheduler leads here")


def restore(root: Path, dump: Dump) -> None:
    """Write all documents below `root`; durable when this returns.

    Raises StoreInUse, UnknownFormat, StoreUnavailable and OSError; then nothing is left of the documents.
    """
    disk = Disk(root)
    disk.make_folder(root)
    disk.make_folder(root / "locks")
    lease = LeaderLease(disk)
    try:
        lease.acquire()
    except LockTimeout:
        raise StoreInUse(str(root), "a scheduler leads here") from None
    try:
        if _is_unfinished(root):
            _empty(disk)
        store = FileStore(root)
        _set_format(disk, UNFINISHED)
        try:
            _fill(store, dump)
        except BaseException:
            _empty(disk)
            raise
        _set_format(disk, str(FORMAT))
    finally:
        lease.release()


def _is_unfinished(root: Path) -> bool:
    """Whether an earlier restore was killed here; raises StoreInUse when there is anything else."""
    try:
        content = Disk(root).read(root / "FORMAT")
    except DiskError as refused:
        raise DiskError(str(root / "FORMAT"), refused.error) from refused
    found = str(FORMAT) if content is None else content.decode(errors="replace").strip()
    if found == UNFINISHED:
        return True
    if found != str(FORMAT):
        raise UnknownFormat(str(root / "FORMAT"), found, FORMAT)
    for name in _IN_USE:
        for folder, _, names in os.walk(root / name):
            if names:
                raise StoreInUse(str(root), f"it is in use: there is {Path(folder, min(names)).relative_to(root)}")
    return False


def _set_format(disk: Disk, text: str) -> None:
    disk.publish(disk.stage(f"{text}\n".encode()), disk.root / "FORMAT")
    disk.sync_folder(disk.root)


def _empty(disk: Disk) -> None:
    for name in _WRITTEN:
        if (disk.root / name).exists():
            shutil.rmtree(disk.root / name)
    disk.sync_folder(disk.root)
    disk.remove(disk.root / "FORMAT")
    disk.sync_folder(disk.root)


def _fill(store: FileStore, dump: Dump) -> None:
    if dump.highest_ticket:
        store.tickets.reserve(dump.highest_ticket)
    if dump.highest_resource:
        store.resources.reserve(dump.highest_resource)
    documents = itertools.chain(
        ((store.pools.path(record.name), record) for record in dump.records),
        ((store.resources.path(resource.id), resource) for resource in dump.resources),
        ((store.tickets.path(ticket.id), ticket) for ticket in dump.tickets),
        ((store.resources.archive_path(resource.id), resource) for resource in dump.ended),
        ((store.tickets.archive_path(ticket.id), ticket) for ticket in dump.settled),
    )
    folder: Path | None = None
    for path, document in documents:
        if path.parent != folder:
            folder = path.parent
            folder.mkdir(exist_ok=True)
        _write(path, checksum.encode(document))
    # What is older than this event is history: the scheduler writes no events of it.
    now = time.time()
    store.events.append([Event(at=now, kind="config", event="imported", actor=Actor.OPERATOR)], now)
    _sync_disk(store.root)


def _write(path: Path, content: bytes) -> None:
    """Write a file without a sync of its own: one sync for all at the end takes a fraction of the time."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def _sync_disk(root: Path) -> None:
    """Make all files on the folder's disk durable; unlike `os.sync` this raises OSError when it failed."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(root))
    finally:
        os.close(descriptor)
