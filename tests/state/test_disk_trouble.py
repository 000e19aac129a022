"""A disk that is full, read-only, forbidden or failing: a clear error, and nothing half done."""

import contextlib
import ctypes
import errno
import os
import resource as limits
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from state.documents import Ticket, TicketState
from state.errors import StateError, StoreFrozen, StoreUnavailable
from state.files.disk import Disk
from state.files.store import FileStore
from state.store import Batch, Put, Update
from tests.mounts import needs_mounts
from tests.state.children import Child, Send
from tests.state.snapshot import snapshot

UNPRIVILEGED = 65534
CLONE_NEWNS = 0x00020000
SMALL = Ticket(id=1, tags=("A",))
BIG = b"x" * 40_000

Writer = Callable[[FileStore], object]
WRITERS: dict[str, Writer] = {
    "create": lambda store: store.tickets.create(lambda number: Ticket(id=number, output=BIG)),
    "update": lambda store: store.tickets.update(1, lambda ticket: ticket.replace(output=BIG)),
    "commit": lambda store: store.commit(
        Batch([Put(Ticket(id=number, output=BIG if number == 40 else None)) for number in range(1, 50)])
    ),
    "commit of an update": lambda store: store.commit(Batch([Update(SMALL, SMALL.replace(output=BIG))])),
    "view": lambda store: store.show("pools.json", BIG),
}
"""All of them write something large, so that a limit on the size refuses exactly these."""


def refused(store: FileStore, write: Writer) -> int | None:
    """The number of the system's error with which a write was refused; fails when it left anything behind."""
    before = snapshot(store)
    try:
        write(store)
    except StoreUnavailable as error:
        assert snapshot(store) == before
        assert store.tickets.read(1) == SMALL
        return error.error.errno
    return None


def write_beyond_a_size_limit(send: Send, root: Path) -> None:
    store = FileStore(root)
    store.commit(Batch([Put(SMALL)]))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits.setrlimit(limits.RLIMIT_FSIZE, (8192, limits.RLIM_INFINITY))
    for name, write in WRITERS.items():
        send((name, refused(store, write)))
    limits.setrlimit(limits.RLIMIT_FSIZE, (limits.RLIM_INFINITY, limits.RLIM_INFINITY))
    for name, write in WRITERS.items():
        send((name, refused(store, write)))


def write_on_a_full_disk(send: Send, folder: Path) -> None:
    # In mounts of its own, which go with this process.
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    store = FileStore(folder / "state")
    store.commit(Batch([Put(SMALL)]))
    # Makes the lock and counter files, whose creation is not what is tried here.
    store.tickets.update(1, lambda ticket: ticket)
    store.tickets.reserve(1)
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as disk, contextlib.suppress(OSError):
        while True:
            disk.write(bytes(4096))
    for name, write in WRITERS.items():
        send((name, refused(store, write)))
    filler.unlink()
    for name, write in WRITERS.items():
        send((name, refused(store, write)))


def test_a_write_cut_off_by_the_system_leaves_nothing_behind(tmp_path: Path, start: Callable[..., Child]) -> None:
    outcomes = start(write_beyond_a_size_limit, tmp_path / "state").finish()
    assert outcomes == [(name, errno.EFBIG) for name in WRITERS] + [(name, None) for name in WRITERS]


@needs_mounts("A full disk")
def test_a_full_disk_refuses_writes_keeps_everything_and_recovers(tmp_path: Path, start: Callable[..., Child]) -> None:
    outcomes = start(write_on_a_full_disk, tmp_path).finish()
    assert outcomes == [(name, errno.ENOSPC) for name in WRITERS] + [(name, None) for name in WRITERS]


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user can reach, unlike the usual temporary ones."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(stat.S_IRWXU)
    shutil.rmtree(folder)


def write_without_permission(send: Send, root: Path) -> None:
    store = FileStore(root)
    store.commit(Batch([Put(SMALL)]))
    for path in [root, *root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.seteuid(UNPRIVILEGED)
    others: dict[str, Writer] = {
        "archive": lambda store: store.tickets.archive(1),
        "remove": lambda store: store.commit(Batch(removed_intents=[1])),
        "reserve": lambda store: store.tickets.reserve(1),
        "check": lambda store: store.check_writable(),
        "lock": lambda store: store.tickets.lock(2).__enter__(),
    }
    store = FileStore(root)
    for name, write in (WRITERS | others).items():
        send((name, refused(store, write)))


def test_a_folder_that_may_not_be_written_can_still_be_read(open_to_all: Path, start: Callable[..., Child]) -> None:
    outcomes = dict(start(write_without_permission, open_to_all / "state").finish())
    # Removing a document that does not exist is never refused.
    assert outcomes.pop("remove") is None
    assert set(outcomes.values()) == {errno.EACCES}


def write_where_only_staging_is_allowed(send: Send, root: Path) -> None:
    store = FileStore(root)
    store.commit(Batch([Put(SMALL)]))
    store.tickets.update(1, lambda ticket: ticket)
    for path in [root, *root.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    for closed in (store.tickets.folder, store.root / "view"):
        closed.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(UNPRIVILEGED)
    for name, write in WRITERS.items():
        send((name, refused(store, write)))


def test_a_staged_file_that_cannot_be_published_is_discarded(open_to_all: Path, start: Callable[..., Child]) -> None:
    outcomes = start(write_where_only_staging_is_allowed, open_to_all / "state").finish()
    assert outcomes == [(name, errno.EACCES) for name in WRITERS]


def test_a_move_into_nowhere_is_refused_and_one_from_nowhere_is_none(store: FileStore) -> None:
    files = Disk(store.root)
    source = store.root / "FORMAT"
    with pytest.raises(StoreUnavailable):
        files.move(source, store.root / "nowhere" / "FORMAT")
    assert source.exists()
    assert files.move(store.root / "nowhere", store.root / "somewhere") is False


def quarantine_without_permission(send: Send, root: Path) -> None:
    store = FileStore(root)
    store.tickets.path(7).write_text("garbage")
    store.tickets.update(store.tickets.create(lambda number: Ticket(id=number)).id, lambda ticket: ticket)
    store.tickets.folder.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(UNPRIVILEGED)
    contents = store.read_all()
    send((contents.corrupt, [fault.place for fault in contents.unreadable], store.tickets.path(7).read_text()))


def test_a_document_that_cannot_be_quarantined_stays_and_is_reported(
    open_to_all: Path, start: Callable[..., Child]
) -> None:
    assert start(quarantine_without_permission, open_to_all / "state").finish() == [([], ["tickets/open/7"], "garbage")]


def open_forbidden(send: Send, root: Path) -> None:
    root.mkdir()
    root.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(UNPRIVILEGED)
    try:
        FileStore(root / "state")
    except StoreUnavailable as error:
        send((error.place, error.error.errno))


def test_a_folder_that_cannot_be_made_is_named(open_to_all: Path, start: Callable[..., Child]) -> None:
    root = open_to_all / "closed"
    ((path, number),) = start(open_forbidden, root).finish()
    assert path.startswith(str(root))
    assert number == errno.EACCES


def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreUnavailable):
        FileStore(tmp_path / "state")


@pytest.mark.parametrize("place", ["file", "folder"])
def test_after_a_failed_sync_nothing_more_is_acknowledged(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    store.commit(Batch([Put(SMALL), Put(Ticket(id=2)), Put(Ticket(id=3))]))
    store.tickets.archive_all([3])
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == (place == "folder"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", fail)
        with pytest.raises(StoreUnavailable) as caught:
            store.tickets.update(1, lambda ticket: ticket.replace(state=TicketState.CLOSED))
    assert caught.value.error.errno == errno.EIO

    # The disk is well again, but what the kernel dropped meanwhile cannot be known.
    attempts: dict[str, Callable[[], object]] = {
        "create": lambda: store.tickets.create(lambda number: Ticket(id=number)),
        "update": lambda: store.tickets.update(2, lambda ticket: ticket.replace(sandbox="s")),
        "update of nothing": lambda: store.tickets.update(2, lambda ticket: ticket),
        "commit": lambda: store.commit(Batch([Put(Ticket(id=2, sandbox="s"))])),
        "archive": lambda: store.tickets.archive_all([2]),
        "remove": lambda: store.commit(Batch(removed_intents=[1])),
        "promise": lambda: store.tickets.read_durable(2),
        "check": store.check_writable,
    }
    before = snapshot(store)
    for attempt in attempts.values():
        with pytest.raises(StoreFrozen):
            attempt()
    assert snapshot(store) == before
    assert store.tickets.read(2) == Ticket(id=2)

    # Only a restart helps.
    restarted = FileStore(store.root)
    restarted.check_writable()
    assert restarted.tickets.read_durable(2) == Ticket(id=2)


def test_a_healthy_store_says_so_and_leaves_no_probe(store: FileStore) -> None:
    store.check_writable()
    assert os.listdir(store.root / "tmp") == []


def test_every_trouble_is_a_state_error() -> None:
    assert issubclass(StoreFrozen, StateError)
    assert issubclass(StoreUnavailable, StateError)
