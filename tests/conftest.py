"""What tests of several rooms share."""

import signal
from pathlib import Path

import hypothesis
import pytest

from state.store import Store

# How long an example takes says something of the machine, and nothing of the program.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# A shell lets what it starts in the background ignore these, and that would be inherited by every process under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of its own, empty, in the folder `state`."""
    return Store(tmp_path / "state")
