"""What tests of several rooms share."""

from pathlib import Path

import pytest

from state.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of its own, empty, in the folder `state`."""
    return Store(tmp_path / "state")
