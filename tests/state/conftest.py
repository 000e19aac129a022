import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from state.files.store import FileStore
from tests.state.children import Child


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """Starts children, of which none is left after the test."""
    children: list[Child] = []

    def start_child(work: Callable[..., None], *arguments: Any) -> Child:
        children.append(Child(work, *arguments))
        return children[-1]

    yield start_child
    for child in children:
        child.kill()


@pytest.fixture
def journal(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The disk operations of this process, in order; the calls are really made. Staged files count as `tmp/*`."""
    entries: list[tuple[str, str]] = []

    def record(name: str, place: Callable[..., str]) -> None:
        call = getattr(os, name)

        def recorded(*arguments: Any, **options: Any) -> Any:
            path = Path(place(*arguments))
            if path.is_relative_to(store.root):
                entries.append(
                    (name, "tmp/*" if path.parent == store.root / "tmp" else str(path.relative_to(store.root)))
                )
            return call(*arguments, **options)

        monkeypatch.setattr(os, name, recorded)

    def of_descriptor(descriptor: int, *_: Any) -> str:
        return os.readlink(f"/proc/self/fd/{descriptor}")

    record("write", of_descriptor)
    record("fsync", of_descriptor)
    record("link", lambda source, target: str(target))
    record("rename", lambda source, target: str(target))
    return entries
