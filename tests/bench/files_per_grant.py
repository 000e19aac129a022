"""The number of files per grant: `python -m tests.bench.files_per_grant` prints them and counts them.

A real scheduler process in this process: from the moment when the change of a new ticket is noticed until its grant is
written, each file below functions/, state/, scheduler/ and config/ counts of which a function is called.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType

from config.settings import load_settings
from functions.timed.measures import Measures
from scheduler.__main__ import make_hooks, make_leader
from scheduler.process import Process
from scheduler.watch import Watch
from state.documents import Ticket
from state.files.store import FileStore
from state.store import Batch

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("functions", "state", "scheduler", "config")
POOLS = """
machines:
  max: 2
  max_prealloc: 1
  tags: [a]
  cmd_new: echo data
  cmd_delete: 'true'
"""
PATIENCE = 30.0
"""Seconds to wait for the first resource."""


def files_per_grant(folder: Path) -> list[str]:
    """The files that one grant passes, as paths in the repository; `folder` is an empty one to work in."""
    process = _process(folder)
    try:
        _wait_for_spare(process)
        web = FileStore(folder / "state")
        ticket = web.tickets.create(lambda number: Ticket(id=number, tags=("a",), created_at=time.time()))
        codes = _record_grant(process)
        if web.tickets.read(ticket.id).assigned_at is None:
            raise RuntimeError("nothing was granted")
    finally:
        process.lease.release()
    paths = {Path(code.co_filename) for code in codes if code.co_name != "<module>"}
    inside = {path.relative_to(ROOT) for path in paths if path.is_relative_to(ROOT)}
    return sorted(str(path) for path in inside if path.parts[0] in ROOMS)


def _process(folder: Path) -> Process:
    """A leading scheduler with one pool that keeps a spare."""
    config = folder / "config"
    config.mkdir()
    (config / "pools.yaml").write_text(POOLS)
    places = {"CONFIG_DIR": config, "RESALLOC_STATE_DIR": folder / "state", "RESALLOC_LOG_DIR": folder / "log"}
    settings = load_settings({name: str(place) for name, place in places.items()})
    store = FileStore(settings.state_dir)
    lease = store.lead()
    lease.acquire()
    measures = Measures()
    hooks = make_hooks(settings, measures)
    watch = Watch(store, settings.state_dir / "runs")
    return Process(make_leader(store, settings, hooks, measures), hooks, watch, lease)


def _wait_for_spare(process: Process) -> None:
    """Take turns until the pool has a spare and nothing is left to be done."""
    deadline = time.monotonic() + PATIENCE
    pause = 0.0
    while not process.leader.mirror.snapshot.by_pool.spares["machines"] or pause < 0.1:
        if time.monotonic() > deadline:
            raise TimeoutError("the pool has no spare")
        pause = process.turns.turn(process.inbox.take(min(pause, 0.1)))


def _record_grant(process: Process) -> set[CodeType]:
    """All code that is called from the change of the new ticket until the first commit has returned."""
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    store = process.leader.store
    commit: Callable[[Batch], object] = store.commit

    def commit_and_stop(batch: Batch) -> object:
        result = commit(batch)
        sys.setprofile(None)
        return result

    store.commit = commit_and_stop  # type: ignore[method-assign,assignment]
    sys.setprofile(note)
    try:
        process.turns.turn(process.inbox.take(PATIENCE))
    finally:
        sys.setprofile(None)
    return called


def main() -> None:
    """Print the files and their number."""
    with tempfile.TemporaryDirectory() as folder:
        files = files_per_grant(Path(folder))
    print(*files, len(files), sep="\n")


if __name__ == "__main__":
    main()
