"""Write converted documents into a state folder: all or nothing.

While documents are written, the folder's FORMAT is one that no program accepts, so that an import that was killed
leaves a folder that nothing starts on; importing into it again begins by emptying it. The leader's role is held
meanwhile.
"""

import ctypes
import itertools
import os
import shutil
import time
from pathlib import Path

from scheduler.importer.convert import Converted
from scheduler.importer.old_database import ImportRefused
from state.documents import Actor, Event
from state.errors import LockTimeout, UnknownFormat
from state.files import locks
from state.files.layout import FORMAT
from state.files.staging import Files
from state.store import Store

UNFINISHED = "unfinished-import"
"""The content of FORMAT until everything is written."""
_WRITTEN = ("tickets", "resources", "pools", "events", "ids", "tmp")
_IN_USE = ("tickets", "resources", "pools", "intents", "runs", "ids", "agents", "quarantine")


class FolderInUse(ImportRefused):
    """The state folder at `root` is not empty, or a scheduler leads in it."""

    def __init__(self, root: Path, why: str) -> None:
        super().__init__(f"{root}: {why}; import into an empty folder that no server uses")
        self.root = root
        self.why = why


def check_unused(root: Path) -> None:
    """Raise FolderInUse or UnknownFormat unless `root` can be imported into; changes nothing."""
    _is_unfinished(root)
    if locks.is_held(_leader(root)):
        raise FolderInUse(root, "a scheduler leads here")


def write(root: Path, converted: Converted) -> None:
    """Write all documents below `root`; durable when this returns.

    Raises FolderInUse, UnknownFormat, StoreUnavailable and OSError; nothing is left of the import then.
    """
    files = Files(root)
    files.make_folder(root)
    files.make_folder(root / "locks")
    lease = locks.Lease(_leader(root))
    try:
        lease.acquire()
    except LockTimeout:
        raise FolderInUse(root, "a scheduler leads here") from None
    try:
        if _is_unfinished(root):
            _empty(files)
        store = Store(root)
        _set_format(files, UNFINISHED)
        try:
            _fill(store, converted)
        except BaseException:
            _empty(files)
            raise
        _set_format(files, str(FORMAT))
    finally:
        lease.release()


def _leader(root: Path) -> Path:
    return root / "locks" / "leader"


def _is_unfinished(root: Path) -> bool:
    """Whether an earlier import was killed here; raises FolderInUse when there is anything else."""
    path = root / "FORMAT"
    content = Files(root).read(path)
    found = str(FORMAT) if content is None else content.decode(errors="replace").strip()
    if found == UNFINISHED:
        return True
    if found != str(FORMAT):
        raise UnknownFormat(path, found, FORMAT)
    for name in _IN_USE:
        for folder, _, names in os.walk(root / name):
            if names:
                raise FolderInUse(root, f"it is in use: there is {Path(folder, min(names)).relative_to(root)}")
    return False


def _set_format(files: Files, text: str) -> None:
    files.publish(files.stage(f"{text}\n".encode()), files.root / "FORMAT")
    files.sync_folder(files.root)


def _empty(files: Files) -> None:
    for name in _WRITTEN:
        if (files.root / name).exists():
            shutil.rmtree(files.root / name)
    files.sync_folder(files.root)
    files.remove(files.root / "FORMAT")
    files.sync_folder(files.root)


def _fill(store: Store, converted: Converted) -> None:
    if converted.highest_ticket:
        store.tickets.reserve(converted.highest_ticket)
    if converted.highest_resource:
        store.resources.reserve(converted.highest_resource)
    documents = itertools.chain(
        ((store.pools.path(record.name), record) for record in converted.records),
        ((store.resources.path(resource.id), resource) for resource in converted.resources),
        ((store.tickets.path(ticket.id), ticket) for ticket in converted.tickets),
        ((store.resources.archive_path(resource.id), resource) for resource in converted.ended),
        ((store.tickets.archive_path(ticket.id), ticket) for ticket in converted.settled),
    )
    folder: Path | None = None
    for path, document in documents:
        if path.parent != folder:
            folder = path.parent
            folder.mkdir(exist_ok=True)
        _write(path, document.to_json())
    # What is older than this line is history: the scheduler tells no events of it.
    now = time.time()
    store.events.append([Event(at=now, kind="config", event="imported", actor=Actor.OPERATOR)], now)
    _sync_disk(store.root)


def _write(path: Path, content: bytes) -> None:
    """Write a file without a sync of its own: one for all at the end costs a fraction of the time."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


def _sync_disk(root: Path) -> None:
    """Make all files on the folder's disk last; unlike `os.sync` this raises OSError when it failed."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(root))
    finally:
        os.close(descriptor)
