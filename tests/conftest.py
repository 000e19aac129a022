"""What tests of several rooms share."""

import signal
from pathlib import Path

import hypothesis
import pytest

from state.files.store import FileStore
from tests import leftovers

# `make test` runs the profile `quick`; `make test-all` also runs the properties with --hypothesis-profile=thorough.
# There is no deadline: how long an example takes depends on the machine.
hypothesis.settings.register_profile("quick", deadline=None, max_examples=25)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=300)
hypothesis.settings.load_profile("quick")

# A shell makes its background processes ignore these signals, and every process under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

_marks_processes = pytest.StashKey[bool]()
_left_running = pytest.StashKey[list[str]]()


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """An empty store in the folder `state`."""
    return FileStore(tmp_path / "state")


def pytest_configure(config: pytest.Config) -> None:
    """Mark all processes of this run. Workers of xdist inherit the mark and leave the check to their controller."""
    config.stash[_marks_processes] = leftovers.mark_this_run()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a process of a test outlives it; xdist has stopped its workers by now."""
    if not session.config.stash[_marks_processes]:
        return
    session.config.stash[_left_running] = leftovers.kill_leftovers()
    if session.config.stash[_left_running] and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the processes that outlived their tests."""
    if lines := config.stash.get(_left_running, []):
        terminalreporter.section("PROCESSES THAT OUTLIVED THEIR TESTS (now killed)", red=True)
        for line in lines:
            terminalreporter.line(line)
