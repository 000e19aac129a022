from pathlib import Path

import pytest

from tests.timed.corruption import a_world, copied
from tests.timed.world import World


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A farm in which everything happens, made once."""
    return a_world(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    """A copy of this leader's folder, to be corrupted."""
    return copied(template, tmp_path)
