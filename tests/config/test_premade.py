"""What is premade for workers is made in a process of its own."""

import os
import sys

import pytest

from config.run.premade import Premade
from tests.waiting import until


@pytest.fixture
def premade() -> Premade:
    return Premade()


def test_it_is_made_in_another_process_which_is_no_child(premade):
    """Given nothing, when it is begun, then it can be read soon, and the caller neither loaded nor has to reap it."""

    def make() -> bytes:
        sys.modules["loaded_by_make"] = sys
        return f"{os.getpid()} {os.getppid()}".encode()

    assert premade.read() == b""
    premade.begin(make)
    made = until(premade.read, what="what is premade")
    assert str(os.getpid()).encode() not in made.split()
    assert "loaded_by_make" not in sys.modules
    with pytest.raises(ChildProcessError):
        os.waitpid(int(made.split()[0]), os.WNOHANG)


def test_begun_anew_it_is_made_anew(premade):
    """Given that it was made, when it is begun again, then it is what is made then, and the old file is closed."""
    premade.begin(lambda: b"old")
    until(premade.read, what="the old one")
    files = len(os.listdir("/proc/self/fd"))
    premade.begin(lambda: b"new")
    until(lambda: premade.read() == b"new", what="the new one")
    assert len(os.listdir("/proc/self/fd")) == files


def test_what_cannot_be_made_is_told_and_does_no_harm(premade, capfd):
    """Given something that fails, when it is begun, then there is nothing, and the log says why."""
    premade.begin(lambda: b"%d" % (1 // 0))
    told = []
    until(lambda: told.append(capfd.readouterr().err) or "ZeroDivisionError" in "".join(told), what="the reason")
    assert premade.read() == b""


def test_a_system_without_room_for_it_goes_on_without(premade, monkeypatch, capfd):
    """Given that no process can be forked, when it is begun, then nothing is raised and there is nothing."""

    def refuse() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", refuse)
    premade.begin(lambda: b"made")
    assert premade.read() == b""
    assert "no more processes" in capfd.readouterr().err
