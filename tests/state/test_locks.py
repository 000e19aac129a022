"""Locks: one holder, whatever form it takes, until its process ends, whichever way it ends."""

import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from state.documents import Ticket
from state.errors import LockTimeout, StoreUnavailable
from state.files.store import FileStore
from state.host import locks
from tests.state.children import Child, Send, barrier


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path` as the store does for a moment."""
    descriptor = locks.wait_for(path)
    try:
        yield
    finally:
        os.close(descriptor)


def lead(send: Send, root: Path) -> None:
    lease = FileStore(root).lead()
    try:
        lease.acquire()
    except LockTimeout:
        send("waits")
        lease.acquire(seconds=-1, poll=0.01)
    send("leads")
    signal.pause()


def probe_often(send: Send, path: Path, together: object) -> None:
    together.wait()  # type: ignore[attr-defined]
    send(sum(locks.is_held(path) for _ in range(3000)))


def count_in_a_file(send: Send, lock: Path, counter: Path, times: int, together: object) -> None:
    together.wait()  # type: ignore[attr-defined]
    for _ in range(times):
        with locked(lock):
            number = int(counter.read_text())
            with counter.open("r+") as file:
                file.write(f"{number + 1:04d}")


def test_the_second_leader_waits_and_takes_over_when_the_first_is_killed(
    store: FileStore, start: Callable[..., Child]
) -> None:
    first = start(lead, store.root)
    assert first.next() == "leads"
    second = start(lead, store.root)
    assert second.next() == "waits"
    assert locks.is_held(store.root / "locks" / "leader")
    assert second.is_silent()
    first.kill()
    assert second.next() == "leads"
    second.kill()
    assert not locks.is_held(store.root / "locks" / "leader")


def test_a_role_that_is_not_free_in_time_is_reported(store: FileStore) -> None:
    holder, other = store.lead(), store.lead()
    holder.acquire()
    with pytest.raises(LockTimeout) as caught:
        other.acquire(seconds=0.05, poll=0.01)
    assert (caught.value.place, caught.value.seconds) == ("locks/leader", 0.05)
    holder.release()
    other.acquire()
    other.release()


def test_all_forms_of_a_lock_agree(store: FileStore) -> None:
    path = store.root / "locks" / "leader"
    lease = store.lead()
    with locked(path):
        assert locks.is_held(path)
        with pytest.raises(LockTimeout):
            lease.acquire()
    lease.acquire()
    assert locks.is_held(path)
    with pytest.raises(BlockingIOError):
        locks.take(path)
    lease.release()
    assert not locks.is_held(path)
    os.close(locks.take(path))


def test_one_at_a_time(tmp_path: Path, start: Callable[..., Child]) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0000")
    together = barrier(3)
    for child in [start(count_in_a_file, tmp_path / "lock", counter, 300, together) for _ in range(3)]:
        child.finish()
    assert counter.read_text() == "0900"


def test_a_missing_lock_is_not_held(tmp_path: Path) -> None:
    assert not locks.is_held(tmp_path / "lock")
    assert not (tmp_path / "lock").exists()


def test_processes_that_only_check_a_lock_do_not_see_one_another(tmp_path: Path, start: Callable[..., Child]) -> None:
    path = tmp_path / "lock"
    path.touch()
    together = barrier(3)
    children = [start(probe_often, path, together) for _ in range(3)]
    assert [child.finish() for child in children] == [[0], [0], [0]]


def test_a_lock_handed_to_a_child_lasts_as_long_as_the_child(tmp_path: Path) -> None:
    path = tmp_path / "000001_alloc_1.run"
    descriptor = locks.take(path)
    assert locks.is_held(path)
    child = subprocess.Popen(["/bin/sh", "-c", "exec sleep 60"], stdin=descriptor)
    os.close(descriptor)
    assert locks.is_held(path)
    child.kill()
    child.wait()
    assert not locks.is_held(path)


def test_a_lock_is_not_inherited_by_chance(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    descriptor = locks.take(path)
    with locked(tmp_path / "other"):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    os.close(descriptor)
    try:
        assert not locks.is_held(path)
        assert not locks.is_held(tmp_path / "other")
    finally:
        child.kill()
        child.wait()


def test_a_lock_refused_to_a_child_leaves_no_descriptor(tmp_path: Path) -> None:
    descriptor = locks.take(tmp_path / "lock")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BlockingIOError):
        locks.take(tmp_path / "lock")
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(descriptor)


def test_a_role_whose_file_was_removed_or_replaced_is_lost(store: FileStore) -> None:
    lease = store.lead()
    assert lease.held_until() < time.monotonic()
    lease.acquire()
    assert lease.held_until() == math.inf
    (store.root / "locks" / "leader").unlink()
    assert lease.held_until() < time.monotonic()
    other = store.lead()
    other.acquire()
    assert lease.held_until() < time.monotonic()
    assert other.held_until() == math.inf
    lease.release()
    with pytest.raises(LockTimeout):
        lease.acquire()
    other.release()
    lease.acquire()
    assert lease.held_until() == math.inf


def test_whether_the_role_is_held_is_unknown_while_the_folder_is_away(store: FileStore, tmp_path: Path) -> None:
    lease = store.lead()
    lease.acquire()
    store.root.rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable, match="the state folder is away"):
        lease.held_until()
    (tmp_path / "away").rename(store.root)
    assert lease.held_until() == math.inf


def test_lock_files_are_never_unlinked_nor_replaced(store: FileStore) -> None:
    def work() -> None:
        ticket = store.tickets.create(lambda number: Ticket(id=number))
        store.tickets.update(ticket.id, lambda found: found.replace(sandbox="s"))
        store.tickets.archive(ticket.id)
        store.tickets.path(ticket.id).write_text("garbage")
        store.read_all()
        lease = store.lead()
        lease.acquire()
        lease.release()
        store.sweep(now=0, ticket_retention=0, resource_retention=0)

    def inodes() -> dict[Path, int]:
        return {path: path.stat().st_ino for path in (store.root / "locks").rglob("*")}

    work()
    first = inodes()
    assert len(first) > 4
    FileStore(store.root)
    work()
    assert first.items() <= inodes().items()
