"""Creating documents: durable and in order, side by side, and through a kill at any instant."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from state.documents import Intent, IntentKind, Ticket
from state.files.disk import STAGED_FOR, Disk
from state.files.store import FileStore
from tests.state.children import Child, Send, barrier


def make(number: int) -> Ticket:
    return Ticket(id=number, tags=("A", "B"), output=bytes(range(256)))


def create_many(send: Send, root: Path, count: int, together: object) -> None:
    store = FileStore(root)
    together.wait()  # type: ignore[attr-defined]
    for _ in range(count):
        send(store.tickets.create(make).id)


def create_without_end(send: Send, root: Path) -> None:
    store = FileStore(root)
    while True:
        send(store.tickets.create(make).id)


def stage_and_be_killed(send: Send, root: Path) -> None:
    Disk(root).stage(make(1).to_json())
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_create_is_synced_before_it_is_seen_and_its_folder_before_it_returns(
    store: FileStore, journal: list[tuple[str, str]]
) -> None:
    store.tickets.create(make)
    journal.clear()
    store.tickets.create(make)
    assert journal == [
        ("write", "tmp/*"),
        ("fsync", "tmp/*"),
        ("link", "tickets/open/2.json"),
        ("fsync", "tickets/open"),
    ]


def test_the_ceiling_is_durable_before_a_number_below_it_is_used(
    store: FileStore, journal: list[tuple[str, str]]
) -> None:
    store.tickets.create(make)
    assert journal[:5] == [
        ("write", "tmp/*"),
        ("fsync", "tmp/*"),
        ("rename", "ids/tickets.ceiling"),
        ("fsync", "ids"),
        ("write", "tmp/*"),
    ]


def test_what_is_created_can_be_read_by_others(store: FileStore) -> None:
    ticket = store.tickets.create(make)
    assert FileStore(store.root).tickets.read(ticket.id) == ticket == make(ticket.id)
    intent = store.intents.create(lambda number: Intent(id=number, kind=IntentKind.DELETE_RESOURCE, resource=3))
    assert FileStore(store.root).intents.read(intent.id) == intent


def test_two_processes_create_side_by_side(store: FileStore, start: Callable[..., Child]) -> None:
    together = barrier(2)
    children = [start(create_many, store.root, 200, together) for _ in range(2)]
    numbers = [number for child in children for number in child.finish()]
    assert len(numbers) == len(set(numbers)) == 400
    for number in numbers:
        assert store.tickets.read(number) == make(number)


def test_no_returned_id_is_lost_when_a_process_is_killed_while_it_creates(
    store: FileStore, start: Callable[..., Child]
) -> None:
    numbers: list[int] = []
    for _ in range(4):
        child = start(create_without_end, store.root)
        numbers += [child.next() for _ in range(30)]
        child.kill()
        numbers += child.rest()

        restarted = FileStore(store.root)
        assert restarted.read_all().corrupt == []
        for number in numbers:
            assert restarted.tickets.read(number) == make(number)
        numbers.append(restarted.tickets.create(make).id)
    assert all(before < after for before, after in itertools.pairwise(numbers))


def test_a_sweep_removes_only_files_that_dead_processes_staged(store: FileStore, start: Callable[..., Child]) -> None:
    mine = Disk(store.root).stage(b"still wanted")
    child = start(stage_and_be_killed, store.root)
    child.rest()
    child.kill()
    leftovers = set(os.listdir(store.root / "tmp")) - {mine.name}
    assert len(leftovers) == 1

    assert store.read_all().tickets == []
    swept = store.sweep(now=0, ticket_retention=0, resource_retention=0)

    assert swept.leftovers == 1
    assert os.listdir(store.root / "tmp") == [mine.name]


def test_an_old_staged_file_is_removed_although_its_process_id_is_in_use(store: FileStore) -> None:
    files = Disk(store.root)
    old, new = files.stage(b"old"), files.stage(b"new")
    now = time.time()
    os.utime(old, (now - 2 * STAGED_FOR, now - 2 * STAGED_FOR))
    assert files.remove_orphans(now) == 1
    assert os.listdir(store.root / "tmp") == [new.name]


NEXT_PROCESS_WITH_THE_SAME_PID = """
import os, sys
from pathlib import Path
from state.documents import Ticket
from state.files.disk import Disk
from state.files.store import FileStore
root = Path(sys.argv[1])
store = FileStore(root)
for _ in range(2):
    Disk(root).stage(b"never published")
    print(os.getpid(), store.tickets.create(lambda number: Ticket(id=number)).id, flush=True)
os._exit(0)
"""


def test_a_restarted_container_gives_its_processes_the_same_pids_again(store: FileStore) -> None:
    alone = ["unshare", "--pid", "--fork", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if not shutil.which("unshare") or subprocess.run([*alone, sys.executable, "-c", ""], check=False).returncode != 0:
        pytest.skip("NO PID NAMESPACES HERE: ids after the restart of a container ARE NOT TESTED")
    printed = [
        subprocess.run(
            [*alone, sys.executable, "-c", NEXT_PROCESS_WITH_THE_SAME_PID, store.root],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for _ in range(2)
    ]
    assert printed == ["1 1\n1 2\n", "1 3\n1 4\n"]
