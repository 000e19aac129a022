"""Real processes beside the test's own."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FORK = multiprocessing.get_context("fork")

Send = Callable[[Any], None]


class Child:
    """A process that runs `work(send, *arguments)`; what it sends is read here, also after it was killed."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._inbox, ours = _FORK.Pipe(duplex=False)
        self._process = _FORK.Process(target=work, args=(ours.send, *arguments))
        self._process.start()
        ours.close()

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    def next(self, seconds: float = 20) -> Any:
        """The next message; fails when it takes too long or when the process has ended."""
        assert self._inbox.poll(seconds), f"nothing was sent within {seconds} s"
        return self._inbox.recv()

    def is_silent(self) -> bool:
        """Whether nothing is left to be read at this moment."""
        return not self._inbox.poll(0)

    def rest(self) -> list[Any]:
        """All further messages until the process ends."""
        messages = []
        while True:
            try:
                messages.append(self.next())
            except EOFError:
                return messages

    def finish(self) -> list[Any]:
        """Wait for its good end; returns what was left to be read."""
        messages = self.rest()
        self._process.join()
        assert self._process.exitcode == 0, f"a child ended with {self._process.exitcode}"
        return messages

    def kill(self) -> None:
        """End it at once, whatever it does (SIGKILL)."""
        if self._process.is_alive():
            os.kill(self.pid, signal.SIGKILL)
        self._process.join()


def waits_for_a_lock() -> bool:
    """Whether a thread of this very process waits for a flock at this moment."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "-> FLOCK" in line]
    return any(str(os.getpid()) in words for words in waiting)


def barrier(parties: int) -> Any:
    """A point where this many processes wait for one another."""
    return _FORK.Barrier(parties)
