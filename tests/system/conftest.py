"""A farm for each test, stopped when the test ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from xprocess import XProcess

from tests.system.farm import Farm


@pytest.fixture
def farm(xprocess: XProcess, tmp_path: Path) -> Iterator[Farm]:
    """A farm that is not started yet: write its pools first."""
    farm = Farm(xprocess, tmp_path / "farm")
    try:
        yield farm
    finally:
        farm.stop()
