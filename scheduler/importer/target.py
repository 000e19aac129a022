"""Write converted documents into a state folder: all or nothing.

While documents are written, the folder's FORMAT is one that no program accepts, so that an import that was killed
leaves a folder that nothing starts on; importing into it again begins by emptying it. The leader's role is held
meanwhile.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from scheduler.importer.convert import Converted
from scheduler.importer.errors import FolderInUse
from state import locks
from state.documents import Document
from state.errors import LockTimeout, UnknownFormat
from state.files import Files
from state.store import FORMAT, Batch, Put, Store

D = TypeVar("D", bound=Document)

UNFINISHED = "unfinished-import"
"""What stands in FORMAT until everything is written."""
BATCH = 1000
_WRITTEN = ("tickets", "resources", "pools", "ids", "tmp")
_IN_USE = ("tickets", "resources", "pools", "intents", "runs", "ids", "agents", "quarantine")


def check_unused(root: Path) -> None:
    """Raise FolderInUse or UnknownFormat unless `root` can be imported into; changes nothing."""
    _is_unfinished(root)
    if locks.is_held(_leader(root)):
        raise FolderInUse(root, "a scheduler leads here")


def write(root: Path, converted: Converted) -> None:
    """Write all documents below `root`; durable when this returns.

    Raises FolderInUse, UnknownFormat and StoreUnavailable; nothing is left of the import then.
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
    for share in _shares([*converted.records, *converted.resources, *converted.tickets]):
        store.commit(Batch(_puts(share)))
    for tickets in _shares(converted.settled):
        store.commit(Batch(_puts(tickets), archived_tickets=[ticket.id for ticket in tickets]))
    for resources in _shares(converted.ended):
        store.commit(Batch(_puts(resources), archived_resources=[resource.id for resource in resources]))


def _shares(documents: Sequence[D]) -> Iterator[Sequence[D]]:
    for start in range(0, len(documents), BATCH):
        yield documents[start : start + BATCH]


def _puts(documents: Sequence[Document]) -> list[Put]:
    return [Put(document) for document in documents]
