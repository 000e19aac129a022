"""A piece of work in a process of its own, which may be killed at any moment of it."""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from state.host.machine import boot_id

_MEMORY = Path("/dev/shm")
WORKERS = 2 * (os.cpu_count() or 1)
"""Processes that try things side by side in a long run; they wait for the kernel a good deal."""
LONGEST = 60.0
"""Seconds of silence after which a child is ended."""


def in_child(work: Callable[..., None], *arguments: Any) -> tuple[list[Any], int]:
    """Run `work(send, *arguments)`; returns the messages that it sent until it ended, and its exit status (-9: killed).

    An exception is reported as ("wrong", traceback), and so is a silence that lasts too long.
    """
    inbox, ours = Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        inbox.close()
        try:
            work(ours.send, *arguments)
        except BaseException:
            with contextlib.suppress(OSError):
                ours.send(("wrong", traceback.format_exc()))
        finally:
            os._exit(0)
    ours.close()
    messages = []
    try:
        while inbox.poll(LONGEST):
            messages.append(inbox.recv())
        os.kill(child, signal.SIGKILL)
        messages.append(("wrong", f"nothing was sent within {LONGEST:g} s"))
    except EOFError:
        pass
    finally:
        inbox.close()
        _, status = os.waitpid(child, 0)
    return messages, os.waitstatus_to_exitcode(status)


def side_by_side(work: Callable[..., None], shares: Sequence[Any], *arguments: Any) -> list[Any]:
    """Run `work(send, share, *arguments)` for each share in a process of its own; returns all their messages."""
    children = []
    for share in shares:
        inbox, ours = Pipe(duplex=False)
        child = os.fork()
        if child == 0:
            inbox.close()
            try:
                work(ours.send, share, *arguments)
            except BaseException:
                with contextlib.suppress(OSError):
                    ours.send(("wrong", traceback.format_exc()))
            finally:
                os._exit(0)
        ours.close()
        children.append((child, inbox))
    messages = []
    for child, inbox in children:
        with contextlib.suppress(EOFError):
            while True:
                messages.append(inbox.recv())
        inbox.close()
        os.waitpid(child, 0)
    return messages


def reboot(name: str) -> None:
    """From now on, this process runs in the boot of the machine that has this name."""

    def new_boot_id() -> str:
        return name

    # This module's own is among those that are replaced.
    old_boot_id = boot_id
    for module in list(sys.modules.values()):
        if vars(module).get("boot_id") is old_boot_id:
            module.boot_id = new_boot_id  # type: ignore[attr-defined]


def fast_folder() -> Path | None:
    """The folder in which files are cheapest, None for the usual place of temporary files."""
    return _MEMORY if os.access(_MEMORY, os.W_OK) else None
