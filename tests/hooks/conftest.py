from collections.abc import Iterator
from pathlib import Path

import pytest

from .farm import Farm


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """A farm of its own, of which nothing is left after the test, whether or not it succeeds."""
    farm = Farm(tmp_path)
    yield farm
    farm.clean()
