"""Samples of the pools: appended, bounded, and read from torn or corrupt files."""

import os

import pytest

from state.errors import StoreUnavailable
from state.files.samples import FORGOTTEN, KEPT, MOST_BYTES, USE_EVERY, SampleFiles
from state.files.store import FileStore
from state.sample import Sample, Use


def test_what_was_added_is_read_in_order(store: FileStore):
    for at in (1.0, 3.0, 2.0):
        store.samples.add("p", Sample(at=at, max=4, taken=1, waited=0.5))
    assert store.samples.read("p") == tuple(Sample(at=at, max=4, taken=1, waited=0.5) for at in (1.0, 2.0, 3.0))
    assert store.samples.read("p") is store.samples.read("p")
    assert store.samples.read("other") == ()


def test_another_process_sees_what_is_added(store: FileStore):
    reader = FileStore(store.root).samples
    assert reader.read("p") == ()
    for at in (1.0, 2.0):
        store.samples.add("p", Sample(at=at))
        assert reader.read("p")[-1].at == at


def test_lines_are_short_and_plain(store: FileStore):
    store.samples.add("p", Sample(at=1.5, max=2, taken=1))
    assert (store.root / "samples" / "p.jsonl").read_text() == '{"at":1.5,"max":2,"taken":1}\n'


def test_a_file_stays_bounded_and_keeps_more_than_a_day(store: FileStore):
    path = store.root / "samples" / "p.jsonl"
    line = b'{"at":1,"max":1000}' + b" " * 180 + b"\n"
    path.write_bytes(line * (MOST_BYTES // len(line) + 1))
    for at in (2.0, 3.0):
        store.samples.add("p", Sample(at=at))
    assert path.stat().st_size < MOST_BYTES
    kept = store.samples.read("p")
    assert len(kept) == KEPT + 1
    assert len(kept) > 24 * 60
    assert kept[-1].at == 3.0


@pytest.mark.parametrize(
    "corrupt",
    [b"{", b"\xff\xfe\n", b"[]\n", b'{"at":"x"}\n', b"[" * 5000 + b"\n", b"\0" * 100, b'{"max":1}\n', b"\n\n"],
)
def test_corrupt_lines_are_skipped(store: FileStore, corrupt: bytes):
    store.samples.add("p", Sample(at=1.0))
    with (store.root / "samples" / "p.jsonl").open("ab") as file:
        file.write(corrupt)
    store.samples.add("p", Sample(at=2.0))
    assert [sample.at for sample in store.samples.read("p")] == [1.0, 2.0]


def test_a_folder_in_place_of_the_file_is_an_error_to_the_writer_and_empty_to_the_reader(store: FileStore):
    (store.root / "samples" / "p.jsonl").mkdir()
    with pytest.raises(StoreUnavailable):
        store.samples.add("p", Sample(at=1.0))
    assert store.samples.read("p") == ()
    assert store.corruption.mend() != []
    store.samples.add("p", Sample(at=1.0))
    assert len(store.samples.read("p")) == 1


def test_files_of_removed_pools_are_removed(store: FileStore):
    samples: SampleFiles = store.samples
    for name in ("old", "new"):
        samples.add(name, Sample(at=1.0))
    os.utime(store.root / "samples" / "old.jsonl", (1000.0, 1000.0))
    os.utime(store.root / "samples" / "new.jsonl", (1000.0 + FORGOTTEN, 1000.0 + FORGOTTEN))
    store.sweep(1000.0 + FORGOTTEN + 1, 1e9, 1e9)
    assert os.listdir(store.root / "samples") == ["new.jsonl"]


def test_the_use_of_a_pool_is_read_alone(store: FileStore):
    """Given good lines and corrupt ones, then `read_use` returns some of what `read` returns, in order."""
    for at in range(10 * USE_EVERY, 0, -1):
        store.samples.add("p", Sample(at=at, max=4, taken=at, waited=0.5, failed=7))
    with (store.root / "samples" / "p.jsonl").open("ab") as file:
        file.write(b'{"at": "x\n')
    every = [Use(one.at, one.max, one.taken) for one in store.samples.read("p")]
    use = store.samples.read_use("p")
    assert len(use) == 10
    assert [one for one in every if one in use] == [*use]
    assert store.samples.read_use("other") == ()


def test_the_use_of_a_new_pool_is_read_with_its_first_sample(store: FileStore):
    store.samples.add("p", Sample(at=1.0, max=4, taken=1))
    assert store.samples.read_use("p") == (Use(1.0, 4, 1),)


def test_a_stamp_changes_with_each_sample(store: FileStore):
    assert store.samples.stamp("p") is None
    store.samples.add("p", Sample(at=1.0))
    before = store.samples.stamp("p")
    assert store.samples.stamp("p") == before
    store.samples.add("p", Sample(at=2.0))
    assert store.samples.stamp("p") != before
