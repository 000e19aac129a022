"""Prepared state folders: documents written straight into the layout, without a sync each.

What is written is what the server would have written: documents in the folders of the FileStore, ids below the ceiling.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from state.documents import Resource, ResourceState, Ticket, TicketState
from state.files.store import FileStore

NOW = time.time()


def up(number: int, pool: str, tags: tuple[str, ...], **fields: object) -> Resource:
    """A resource that is UP, never taken."""
    return Resource(
        id=number,
        name=f"{pool}_{number:08d}",
        pool=pool,
        state=ResourceState.UP,
        tags=dict.fromkeys(tags, 0),
        data=b"\n",
        created_at=NOW,
        up_at=NOW,
    ).replace(**{"id_in_pool": number - 1, **fields})


def living(root: Path, documents: Iterable[Ticket | Resource]) -> None:
    """Write documents that are not finished, and set the ceilings of ids above them."""
    store = FileStore(root)
    highest = {"tickets": 0, "resources": 0}
    for document in documents:
        collection, kind = (
            (store.tickets, "tickets") if isinstance(document, Ticket) else (store.resources, "resources")
        )
        collection.path(document.id).write_bytes(document.to_json())
        highest[kind] = max(highest[kind], document.id)
    for kind, number in highest.items():
        if number:
            (root / "ids" / f"{kind}.ceiling").write_text(f"{number + 1}\n")
    os.sync()


def finished(root: Path, count: int, budget: float) -> int:
    """Write `count` finished documents, as many tickets as resources, but stop after `budget` seconds; returns how
    many there are.
    """
    store = FileStore(root)
    end = time.monotonic() + budget
    half = count // 2
    reached = half
    for first in range(1, half + 1, 1000):
        if time.monotonic() > end:
            reached = first - 1
            break
        for number in range(first, min(first + 1000, half + 1)):
            _write(store.tickets.archive_path(number), _closed(number))
            _write(store.resources.archive_path(number), _ended(number))
    for kind in ("tickets", "resources"):
        (root / "ids" / f"{kind}.ceiling").write_text(f"{reached + 1}\n")
    # No farm finishes as many within a day: a scheduler that starts need not read older ones.
    long_ago = NOW - 2 * 86400
    for archive in (store.tickets.archive_folder, store.resources.archive_folder):
        for folder in archive.iterdir():
            os.utime(folder, (long_ago, long_ago))
    os.sync()
    return 2 * reached


def beside_archive(root: Path, archive: Path) -> None:
    """Make a fresh state folder that has the finished documents of `archive` as its own, through links to folders,
    since a million files are made once only.
    """
    FileStore(root)
    for folder in ("tickets/done", "resources/ended"):
        (root / folder).rmdir()
        (root / folder).symlink_to(archive / folder)
    for ceiling in (archive / "ids").glob("*.ceiling"):
        (root / "ids" / ceiling.name).write_bytes(ceiling.read_bytes())


def _closed(number: int) -> Ticket:
    return Ticket(
        id=number,
        state=TicketState.CLOSED,
        tags=("A",),
        sandbox=f"{number:016x}",
        created_at=NOW - 100,
        resource=number,
        resource_name=f"a_{number:08d}",
        pool="a",
        assigned_at=NOW - 99,
        output=b"127.0.0.1\n",
        closed_at=NOW - 1,
    )


def _ended(number: int) -> Resource:
    ended = {"state": ResourceState.ENDED, "releases_counter": 1, "released_ticket": number, "ended_at": NOW}
    return up(number, "a", ("A",), **ended)


def _write(path: Path, document: Ticket | Resource) -> None:
    try:
        path.write_bytes(document.to_json())
    except FileNotFoundError:
        path.parent.mkdir()
        path.write_bytes(document.to_json())
