"""Ids: in order, no gaps within a boot, and none assigned twice, whatever is lost."""

import errno
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.documents import Ticket, TicketState
from state.errors import StoreUnavailable
from state.files import ids
from state.files.ids import CEILING_STEP
from state.files.store import FileStore
from state.host.machine import boot_id
from tests.state.children import Child, Send, barrier


def make(number: int) -> Ticket:
    return Ticket(id=number, tags=("A",))


def lose_counter(root: Path) -> None:
    (root / "ids" / "tickets.next").unlink(missing_ok=True)


def lose_ceiling(root: Path) -> None:
    (root / "ids" / "tickets.ceiling").unlink(missing_ok=True)


def create_many(send: Send, root: Path, count: int, together: object) -> None:
    store = FileStore(root)
    together.wait()  # type: ignore[attr-defined]
    for _ in range(count):
        send(store.tickets.create(make).id)


def test_ids_begin_with_1_and_follow_one_another(store: FileStore) -> None:
    assert [store.tickets.create(make).id for _ in range(5)] == [1, 2, 3, 4, 5]


def test_tickets_and_resources_are_numbered_apart(store: FileStore) -> None:
    store.tickets.create(make)
    assert list(store.resources.reserve(2)) == [1, 2]


def test_several_processes_at_once_leave_no_gap(store: FileStore, start: Callable[..., Child]) -> None:
    together = barrier(4)
    children = [start(create_many, store.root, 50, together) for _ in range(4)]
    batches = [child.finish() for child in children]
    assert sorted(itertools.chain(*batches)) == list(range(1, 201))
    for numbers in batches:
        assert numbers == sorted(numbers)


def test_a_restart_within_a_boot_leaves_no_gap(store: FileStore) -> None:
    store.tickets.create(make)
    assert FileStore(store.root).tickets.create(make).id == 2


def test_two_reservations_never_overlap(store: FileStore) -> None:
    first, second = store.tickets.reserve(CEILING_STEP * 2), store.tickets.reserve(3)
    assert second == range(first.stop, first.stop + 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 80,
        b"not a counter\n",
        b"1 2",
        b"boot 1 -5",
        "boot \u0661 \u0662".encode(),
        f"{boot_id()} 1".encode(),
        f"{boot_id()} 1 x".encode(),
    ],
    ids=["empty", "zeros", "text", "short", "negative", "other digits", "cut off", "no ceiling"],
)
def test_a_counter_that_is_garbage_is_not_believed(store: FileStore, content: bytes) -> None:
    last = store.tickets.reserve(5)[-1]
    (store.root / "ids" / "tickets.next").write_bytes(content)
    assert store.tickets.create(make).id > last


def test_after_a_lost_counter_numbers_continue_above_every_assigned_one(store: FileStore) -> None:
    # Assigned without any document that shows it: after a power cut a reply may be all that is left of a number.
    store.tickets.reserve(CEILING_STEP // 2)
    last = store.tickets.reserve(CEILING_STEP * 3)[-1]
    lose_counter(store.root)
    assert store.tickets.create(make).id > last


def test_after_a_reboot_the_counter_is_not_believed(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # The counter is never synced, so what a power cut left of it may be lower than the numbers that were assigned.
    counter = store.root / "ids" / "tickets.next"
    store.tickets.create(make)
    older = counter.read_bytes()
    last = store.tickets.reserve(10)[-1]
    counter.write_bytes(older)
    monkeypatch.setattr(ids, "boot_id", lambda: "the next boot")
    assert store.tickets.create(make).id > last


@pytest.mark.parametrize("ceiling", [None, b"", b"garbage", b"2\n"])
def test_without_counter_and_ceiling_the_documents_show_the_numbers(store: FileStore, ceiling: bytes | None) -> None:
    last = [store.tickets.create(make).id for _ in range(12)][-1]
    lose_counter(store.root)
    lose_ceiling(store.root)
    if ceiling is not None:
        (store.root / "ids" / "tickets.ceiling").write_bytes(ceiling)
    assert store.tickets.create(make).id == last + 1


def test_archived_documents_count_too_and_thinning_out_leaves_the_highest(store: FileStore) -> None:
    first = store.tickets.create(make).id
    store.tickets.reserve(1500)
    last = store.tickets.create(make).id
    for number in (first, last):
        store.tickets.archive(number)
    assert store.tickets.thin_out(before=time.time() + 60) == 1
    lose_counter(store.root)
    lose_ceiling(store.root)
    assert store.tickets.create(make).id == last + 1


@pytest.mark.parametrize("name", ["9", "²", "²².json", "9.txt"])
def test_odd_names_in_the_folder_do_not_prevent_creates(store: FileStore, name: str) -> None:
    (store.tickets.folder / name).write_text("left by somebody")
    assert store.tickets.create(make).id >= 1


def test_a_counter_with_one_flipped_bit_is_not_believed(store: FileStore) -> None:
    taken = store.resources.reserve(17)
    counter = store.root / "ids" / "resources.next"
    good = counter.read_bytes()
    for place in range(len(good.rstrip())):
        for bit in (1, 4, 16):
            changed = bytearray(good)
            changed[place] ^= bit
            counter.write_bytes(changed)
            assert store.resources.reserve(1).start >= taken.stop, bytes(changed)


def test_numbers_can_continue_above_a_given_one(store: FileStore) -> None:
    store.tickets.create(make)
    assert store.tickets.begin_above(40) == 41
    assert store.tickets.create(make).id == 41
    assert store.tickets.begin_above(3) == 42
    assert store.tickets.create(make).id == 42


def test_an_older_counter_never_leads_over_a_document_in_use(store: FileStore) -> None:
    counter = store.root / "ids" / "tickets.next"
    store.tickets.create(make)
    older = counter.read_bytes()
    kept = store.tickets.create(lambda number: Ticket(id=number, tags=("kept",)))
    counter.write_bytes(older)
    assert store.tickets.create(make).id == kept.id + 1
    assert store.tickets.read(kept.id) == kept
    assert os.listdir(store.root / "tmp") == []


MISHAPS = ("create", "create", "create", "reserve", "lose counter", "lose ceiling", "reboot", "archive", "thin out")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(MISHAPS), min_size=2, max_size=25))
def test_no_created_id_is_used_twice_whatever_is_lost(events: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        store = FileStore(Path(folder))
        created = [0]
        for boot, event in enumerate(events):
            match event:
                case "create":
                    created.append(store.tickets.create(make).id)
                    assert created[-1] > created[-2]
                case "reserve":
                    store.tickets.reserve(700)
                case "lose counter":
                    lose_counter(store.root)
                case "lose ceiling":
                    lose_ceiling(store.root)
                case "reboot":
                    patch.setattr(ids, "boot_id", lambda boot=boot: f"boot-{boot}")
                case "archive":
                    for number in list(store.tickets.living()):
                        store.tickets.update(number, lambda ticket: ticket.replace(state=TicketState.CLOSED))
                        store.tickets.archive(number)
                case "thin out":
                    store.tickets.thin_out(before=time.time() + 60)


def test_a_create_that_the_disk_refuses_leaves_no_gap(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.tickets.create(lambda number: Ticket(id=number))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("state.files.disk.os.write", full)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                store.tickets.create(lambda number: Ticket(id=number))
    assert store.tickets.create(lambda number: Ticket(id=number)).id == first.id + 1


def test_a_number_is_returned_only_while_it_is_the_last(store: FileStore) -> None:
    numbers = store.tickets.reserve(2)
    store.tickets._numbers.give_back(numbers[0])
    assert store.tickets.reserve(1)[0] == numbers[1] + 1
