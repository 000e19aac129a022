"""The seed of the quick forms, another one each time unless $CHAOS_SEED is set, and a folder where files cost least."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.children import fast_folder


@pytest.fixture
def seed() -> int:
    """Seed of everything that a test leaves to chance; printed, so that a failure shows it."""
    seed = int(os.environ.get("CHAOS_SEED") or time.time_ns() % 1_000_000)
    print(f"CHAOS_SEED={seed}")
    return seed


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """An empty folder, in memory where there is such a place."""
    with tempfile.TemporaryDirectory(dir=fast_folder()) as folder:
        yield Path(folder)
