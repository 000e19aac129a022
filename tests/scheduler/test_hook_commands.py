"""What a command does as a hook is what `sh -c` makes of it, whichever way it is run."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from functions.policy.transitions.outcome import Outcome
from functions.timed.hook_runs import HookRun
from scheduler.hooks import Hooks
from state.documents import HookKind
from tests.waiting import until

TELL = """#!/bin/sh
printf '%s|' "${0##*/}" "$#" "$@" "$RESALLOC_ID" "$PWD"
[ "$(cat /proc/$$/comm)" = tell ] && echo "in a process of its own"
exit 7
"""
PLAIN = [
    "echo",
    "echo some words",
    "true",
    "false",
    "sleep 0",
    "./tell",
    "./tell  --name=x a,b:c@d%e+f  -v 1.5",
    "bin/tell",
    "no-such-program at all",
    "./no-such-file",
    "./no-program",
    "./sourced",
    "bin",
    "./bin",
]
OTHERS = [
    "",
    " echo leading",
    "echo 'quoted  words'",
    'echo "$RESALLOC_ID"; exit 4',
    "A=b ./tell",
    "A=b/c ./tell",
    "exit 3",
    "exec ./tell x",
    "cd /",
    "if true",
    "echo a # comment",
    "echo a > file && cat file",
    "./tell *",
    "./tell ~",
    "test $$ = $(sed 's/ .*//' /proc/self/stat) || echo another; sh -c 'echo $PPID' | grep -qx $$ && echo its own",
    ". ./sourced",
    "echo a\necho b",
    "echo )",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where hooks run, with what they run."""
    folder = tmp_path / "config"
    (folder / "bin").mkdir(parents=True)
    for name in ("tell", "bin/tell"):
        (folder / name).write_text(TELL)
        (folder / name).chmod(0o755)
    (folder / "no-program").write_text("echo without a first line; exit 5")
    (folder / "no-program").chmod(0o755)
    (folder / "sourced").write_text("[ $$ = \"$(cut -d' ' -f4 /proc/self/stat)\" ] && echo its own; exit 6")
    return folder


def run(folder: Path, command: str) -> Outcome:
    runs = folder.parent / "runs"
    runs.mkdir()
    hooks = Hooks(runs, folder.parent / "log", folder, {"PATH": os.environ["PATH"]}, time.time, 10)
    environment = {"RESALLOC_ID": "42"}
    hooks.start(
        HookRun(
            id="000001_alloc_1",
            kind=HookKind.ALLOC,
            pool="p",
            command=command,
            environment=environment,
            limit=60.0,
            log="000001_alloc",
            output_limit=1000,
        )
    )
    hooks.launch()
    until(lambda: hooks.probe() or hooks.finished(), what="the end of the hook")
    return hooks.finished()[0][1]


@pytest.mark.parametrize("command", PLAIN + OTHERS)
def test_a_command_does_what_sh_makes_of_it(folder: Path, command: str) -> None:
    outcome = run(folder, command)
    (folder / "file").unlink(missing_ok=True)
    environment = {"PATH": os.environ["PATH"], "RESALLOC_ID": "42"}
    direct = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (outcome.exit, outcome.output, outcome.cut_off) == (direct.returncode, direct.stdout, None)
    printed = (folder.parent / "log" / "hooks" / "000001_alloc").read_bytes()
    assert sorted(printed.splitlines()) == sorted((direct.stdout + direct.stderr).splitlines())


@pytest.mark.parametrize(("command", "plain"), [("./parents --here", True), ("./parents $RESALLOC_ID; exit 0", False)])
def test_plain_words_need_no_shell_of_their_own(folder: Path, command: str, plain: bool) -> None:
    """Given a command of plain words, when it runs, then it is a child of its supervisor, which leads its group."""
    (folder / "parents").write_text("#!/bin/sh\necho $PPID $(cut -d' ' -f5 /proc/$$/stat)\n")
    (folder / "parents").chmod(0o755)
    parent, group = (run(folder, command).output or b"").split()
    assert (parent == group) is plain
