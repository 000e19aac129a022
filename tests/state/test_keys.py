import os
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from state.documents import Ticket
from state.errors import Conflict, CorruptDocument
from state.files.keys import UNUSED_FOR, KeyFiles
from state.files.store import FileStore


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path)


@pytest.fixture
def keys(store: FileStore) -> KeyFiles:
    return store.keys


def make(number: int) -> Ticket:
    return Ticket(id=number, tags=("A",))


def test_a_new_key_creates_a_ticket_and_a_known_one_finds_it(store, keys):
    assert keys.create_once("k", "body", make) == (make(1), True)
    assert keys.create_once("k", "body", make) == (make(1), False)
    assert FileStore(store.root).keys.create_once("k", "body", make) == (make(1), False)
    assert keys.create_once("other", "body", make) == (make(2), True)


def test_a_known_key_with_another_body_is_a_conflict(keys):
    keys.create_once("k", "body", make)
    with pytest.raises(Conflict) as raised:
        keys.create_once("k", "other", make)
    assert raised.value.key == 1


def test_a_finished_ticket_is_still_found(store, keys):
    keys.create_once("k", "body", make)
    store.tickets.archive_all([1])
    assert keys.create_once("k", "body", make) == (make(1), False)


def test_after_a_crash_between_key_and_ticket_the_ticket_gets_the_number_of_the_key(store, keys):
    class Crash(Exception):
        pass

    def crash(number: int) -> Ticket:
        raise Crash

    with pytest.raises(Crash):
        keys.create_once("k", "body", crash)
    assert store.tickets.create(make).id == 2
    assert keys.create_once("k", "body", make) == (make(1), True)
    assert sorted(store.tickets.living()) == [1, 2]


def test_many_at_once_get_one_ticket(store):
    start = threading.Barrier(8)

    def create(_: int) -> int:
        start.wait()
        return store.keys.create_once("k", "body", make)[0].id

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(create, range(8))) == {1}
    assert list(store.tickets.living()) == [1]


def test_a_number_in_use_is_never_assigned_to_a_key(store, keys):
    counter = store.root / "ids" / "tickets.next"
    store.tickets.create(make)
    older = counter.read_bytes()
    store.tickets.create(make)
    counter.write_bytes(older)
    assert keys.create_once("k", "body", make) == (make(3), True)


def test_old_keys_are_forgotten(store, keys):
    keys.create_once("old", "body", make)
    keys.create_once("new", "body", make)
    first = min(keys.folder.iterdir(), key=lambda path: path.read_bytes())
    os.utime(first, (50, 50))
    assert list(keys.forget_before(100)) == [None, None]
    assert not first.exists()
    assert keys.create_once("new", "body", make) == (make(2), False)
    assert keys.create_once("old", "body", make) == (make(3), True)


def test_examining_many_keys_takes_no_more_memory(keys):
    """Given five thousand keys, when they are examined one by one, then there is no list of them anywhere."""
    keys.create_once("k", "body", make)
    (known,) = keys.folder.iterdir()
    for number in range(4_999):
        os.link(known, keys.folder / f"{number:064x}.json")
    # What other threads of the process allocate meanwhile is counted too: a list of all keys would show every time.
    assert min(memory_of_examining(keys) for _ in range(3)) < 5_000 * 10


def memory_of_examining(keys) -> int:
    """The most bytes that are allocated while five thousand keys are examined."""
    tracemalloc.start()
    try:
        assert sum(1 for _ in keys.forget_before(0)) == 5_000
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_key_that_does_not_parse_is_moved_and_makes_no_second_ticket(store, keys):
    keys.create_once("k", "body", make)
    (path,) = keys.folder.iterdir()
    path.write_text("{")
    for _ in range(2):
        with pytest.raises(CorruptDocument):
            keys.create_once("k", "body", make)
    assert list(store.tickets.living()) == [1]
    (document,) = store.quarantine.list()
    kept = store.quarantine.path(document)
    assert (document.folder, document.key, kept.read_text()) == ("tickets/keys", path.stem, "{")
    kept.unlink()
    assert keys.create_once("k", "body", make) == (make(2), True)


def test_a_ticket_that_comes_back_in_the_same_moment_is_the_keys_ticket(store, keys):
    def overtaken(number: int) -> Ticket:
        store.tickets.put_back(Ticket(id=number, sandbox="put back"))
        return make(number)

    assert keys.create_once("k", "body", overtaken) == (Ticket(id=1, sandbox="put back"), False)
    assert os.listdir(store.root / "tmp") == []


def test_a_key_whose_ticket_was_thinned_out_gives_no_number_again(store, keys):
    keys.create_once("k", "body", make)
    store.tickets.path(1).unlink()
    (path,) = keys.folder.iterdir()
    long_ago = time.time() - 2 * UNUSED_FOR
    os.utime(path, (long_ago, long_ago))
    assert keys.create_once("k", "body", make) == (make(2), True)
    assert keys.create_once("k", "body", make) == (make(2), False)
