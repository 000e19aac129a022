from collections.abc import Callable
from pathlib import Path

import pytest

from state import open_store
from state.store import Store
from tests.memory_store import MemoryStore

Reopen = Callable[[], Store]


@pytest.fixture(params=["files", "memory"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Opens the store under test again, as another process has it."""
    if request.param == "files":
        return lambda: open_store(tmp_path / "state")
    memory = MemoryStore()
    return lambda: memory


@pytest.fixture
def store(reopen: Reopen) -> Store:
    """The store under test, empty."""
    return reopen()
