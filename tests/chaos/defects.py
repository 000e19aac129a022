"""python -m tests.chaos.defects [NAME ...]: breaks the product on purpose, and checks that the chaos tests find it.

Each defect is planted into a copy of the project, one at a time, and the tests that must find it run there until one
fails. The exit status is 1 when a defect was not found. A change of the product may move the code that a defect
replaces; then the pattern must follow.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PRODUCT = ("functions", "state", "scheduler")
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "build", "var", "__pycache__", ".*_cache", ".hypothesis")


@dataclass(frozen=True)
class Defect:
    """`pattern` must match at one place of the product, and is replaced there. The `module` of tests/chaos finds it."""

    name: str
    what: str
    pattern: str
    replacement: str
    module: str = "test_history.py"


DEFECTS = (
    Defect(
        "early-free",
        "a resource is free as soon as its ticket is closed, before it is released",
        r"for ticket in tickets if resource is None or ticket\.holds\(resource\)",
        "for ticket in tickets if False",
    ),
    Defect(
        "blind-assign",
        "an assignment does not check that the ticket is still open",
        r"if not self\._is_unchanged\(write\.base\):",
        "if False:",
        "test_model.py",
    ),
    Defect(
        "unlocked-ids",
        "ids are reserved without a lock",
        r"with self\._disk\.lock\(self\._lock\):(\s+return self\._reserve\(count\))",
        r"if True:\1",
    ),
    Defect(
        "ignored-keys",
        "idempotency keys are ignored",
        r"known = self\._known\(path\)(\s+if known is not None:)",
        r"known = None; path.unlink(missing_ok=True)\1",
    ),
    Defect(
        "forgotten-holds",
        "the policy does not see that an operator holds a resource",
        r"held = resource\.held_until\b",
        "held = None",
        "test_model.py",
    ),
    Defect(
        "ignored-bad",
        "a resource that its client called bad is used again",
        r"return None if ticket\.bad is None else f\"",
        'return None if True else f"',
        "test_model.py",
    ),
    Defect(
        "forgotten-sandbox",
        "a released resource forgets its sandbox",
        r"sandbox=resource\.sandbox if bound else ticket\.sandbox,",
        "sandbox=None,",
        "test_model.py",
    ),
    Defect(
        "lost-runs",
        "a hook run that was lost with the scheduler is never missed",
        r"(def missing_runs\(.*\n +\"\"\"(?:.|\n)*?\"\"\"\n)",
        r"\1    return []\n",
        "test_model.py",
    ),
    Defect(
        "write-in-place",
        "a document is written in place instead of being replaced",
        r"(def publish\(.*\n.*\n +with self\.disk_errors\(path\):\n +)os\.rename\(staged, path\)",
        r"\1path.write_bytes(staged.read_bytes()); staged.unlink()",
        "test_instants.py",
    ),
    Defect(
        "leaked-descriptor",
        "the scheduler keeps one descriptor of each hook run",
        r"(self\._start_supervisor\(run, lock\)\n +finally:\n +os\.close\(lock\))",
        r"\1; os.open(os.devnull, os.O_RDONLY)",
        "test_soak.py",
    ),
)


def main(arguments: list[str]) -> int:
    """Try the defects named, or all; returns 1 when one was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.defects", description="Plant defects.")
    names = [defect.name for defect in DEFECTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {' '.join(names)}")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(names):
        parser.error(f"no such defect: {' '.join(sorted(unknown))}")
    missed = 0
    for defect in DEFECTS:
        if options.names and defect.name not in options.names:
            continue
        began = time.monotonic()
        found = first_failure(defect)
        missed += found is None
        print(f"{defect.name} ({defect.what}): {found or 'NOT FOUND'} ({time.monotonic() - began:.0f} s)", flush=True)
    return 1 if missed else 0


def first_failure(defect: Defect) -> str | None:
    """The first test that fails, and why, in a copy of the project with this defect; None when all pass."""
    with tempfile.TemporaryDirectory(prefix="defect-") as place:
        copy = Path(place) / "project"
        shutil.copytree(PROJECT, copy, ignore=NOT_COPIED)
        plant(defect, copy)
        # Tests that plant defects themselves expect a product without one.
        chosen = ["-k", "not planted and not defect", "--hypothesis-profile=thorough"]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "auto", "--dist", "worksteal", *chosen]
        done = subprocess.run(
            [*command, f"tests/chaos/{defect.module}"],
            cwd=copy,
            env={**os.environ, "COLUMNS": "300"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return None
    failures = re.findall(r"^(?:FAILED|ERROR) (.+)", done.stdout, re.MULTILINE)
    return failures[0] if failures else f"pytest ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"


def plant(defect: Defect, project: Path) -> None:
    """Replace the defect's pattern in the product; raises ValueError unless it is at exactly one place."""
    files = [path for folder in PRODUCT for path in sorted((project / folder).rglob("*.py"))]
    places = [path for path in files for _ in re.finditer(defect.pattern, path.read_text())]
    if len(places) != 1:
        raise ValueError(f"{defect.name}: its pattern is at {len(places)} places of the product, not at one")
    places[0].write_text(re.sub(defect.pattern, defect.replacement, places[0].read_text()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
