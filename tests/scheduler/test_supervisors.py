"""Supervisors of hook runs that are killed at the worst instant."""

import os
import signal
import time
from pathlib import Path

import pytest

from functions.timed.hook_runs import HookRun
from scheduler.hooks import Hooks
from state.documents import HookKind
from tests.waiting import until


@pytest.mark.parametrize("delay", [0.0, 0.0003, 0.0006, 0.001, 0.0015, 0.002, 0.004])
def test_a_hook_that_is_about_to_start_when_its_supervisor_is_killed_is_ended_too(tmp_path: Path, delay: float) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    hooks = Hooks(runs, tmp_path / "log", tmp_path, {"PATH": os.environ["PATH"]}, time.time, 10)
    run = HookRun(
        id="000001_alloc_1",
        kind=HookKind.ALLOC,
        pool="p",
        command="exec sleep 60",
        environment={},
        limit=60.0,
        log="000001_alloc",
        output_limit=1000,
    )
    hooks.start(run)
    hooks.launch()
    group = hooks._children[run.id].pid
    written = runs / f"{run.id}.group"
    until(lambda: written.exists() and written.read_text(), what="the process group")
    # Which instant this is, between its group written and its hook running, differs from try to try.
    time.sleep(delay)
    os.kill(group, signal.SIGKILL)

    def ended() -> bool:
        hooks.probe()
        return bool(hooks.finished())

    until(ended, what="the end of the run")
    assert hooks.finished()[0][1].lost

    until(lambda: not living(group), what="the end of the hook")


def living(group: int) -> list[int]:
    """The processes of this group, but for those of which only the end is left to be asked for."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = stat.read_text().rsplit(")", 1)[1].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(stat.parent.name))
    return found
