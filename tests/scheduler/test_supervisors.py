"""Supervisors of hook runs that are killed at the worst instant."""

import os
import signal
import time
from pathlib import Path

from functions.timed.hooks import HookRun
from scheduler.hooks import Hooks
from state.documents import HookKind
from tests.waiting import until


def test_a_hook_that_was_about_to_start_when_its_supervisor_was_killed_is_ended_too(tmp_path: Path) -> None:
    programs, runs = tmp_path / "bin", tmp_path / "runs"
    programs.mkdir()
    runs.mkdir()
    slow = programs / "setsid"
    slow.write_text(f'#!/bin/sh\n: >{tmp_path}/forked\nsleep 0.3\nPATH=${{PATH#*:}} exec setsid "$@"\n')
    slow.chmod(0o755)
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    hooks = Hooks(runs, tmp_path / "log", tmp_path, environment, time.time, 10)
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
    until((tmp_path / "forked").exists, what="the instant before the hook")
    os.kill(hooks._children[run.id].pid, signal.SIGKILL)

    def ended() -> bool:
        hooks.probe()
        return bool(hooks.finished())

    until(ended, what="the end of the run")
    assert hooks.finished()[0][1].lost
    hook = int((runs / f"{run.id}.group").read_text())
    until(lambda: not Path(f"/proc/{hook}").exists(), what="the end of the hook")
