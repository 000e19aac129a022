"""The view: what the leader shows, replaced as a whole, and nothing that must last."""

import os
from collections.abc import Callable
from pathlib import Path

from state.files.store import FileStore
from tests.state.children import Child, Send
from tests.waiting import until

SHOWN = (b"a" * 100_000, b"b" * 50_000, b"")


def show_without_end(send: Send, root: Path) -> None:
    store = FileStore(root)
    store.show("pools.json", SHOWN[0])
    send("begins")
    while True:
        for content in SHOWN:
            store.show("pools.json", content)


def content_of(store: FileStore) -> bytes | None:
    shown = store.shown("pools.json")
    return None if shown is None else shown.content


def test_what_is_shown_is_read_by_others_until_it_is_replaced(store: FileStore) -> None:
    store.show("pools.json", b"one")
    assert content_of(FileStore(store.root)) == b"one"
    store.show("pools.json", b"two")
    assert content_of(store) == b"two"
    assert os.listdir(store.root / "tmp") == []


def test_nothing_is_shown(store: FileStore) -> None:
    assert store.shown("pools.json") is None


def test_showing_costs_no_sync(store: FileStore, journal: list[tuple[str, str]]) -> None:
    store.show("pools.json", b"{}")
    assert journal == [("rename", "view/pools.json")]


def test_a_reader_sees_the_old_or_the_new_one_whole(store: FileStore, start: Callable[..., Child]) -> None:
    child = start(show_without_end, store.root)
    child.next()
    seen: set[bytes | None] = set()

    def read_on() -> bool:
        seen.update(content_of(store) for _ in range(500))
        return len(seen) >= len(SHOWN)

    until(read_on, what="everything that was shown")
    assert seen == set(SHOWN)
