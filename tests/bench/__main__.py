"""python -m tests.bench [ROW ...]: measures the performance table, or some of its rows.

Prints a table, and keeps the last figures of each row in a JSON file. `--write-docs` measures nothing: it writes the
figures of that file into docs/performance.md.
"""

import argparse
import json
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench import report
from tests.bench.farm import PROJECT
from tests.bench.place import FILES, Place
from tests.bench.rows import ROWS
from tests.bench.table import Row, summary

DESCRIPTORS = 20_000
"""Open files that a web process needs for 10,000 clients, all on one worker in the worst case."""


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status, 0 also when a target is not reached."""
    options = _options(arguments)
    if options.write_docs:
        kept = json.loads(options.json.read_bytes())
        if quick := [name for name, row in kept["rows"].items() if row["quick"]]:
            sys.exit(f"{options.json}: no real figures for these rows, measured with --quick: {', '.join(quick)}")
        report.write_docs(kept, PROJECT / "docs" / "performance.md")
        return 0
    _allow_open_files()
    # A run that is ended from outside must still stop its farm.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Place(options.folder, options.quick, options.runs, options.files)
    machine = report.machine(options.folder)
    command = _command(options)
    print(f"{report.heading(machine)}\n{command}")
    try:
        for row in [row for row in ROWS if not options.rows or row.name in options.rows]:
            place.note(f"row {row.name}: {row.work}")
            measured = measure(row, place)
            measured["command"] = command
            print(report.terminal(row.name, measured), flush=True)
            report.keep(options.json, machine, row.name, measured)
    finally:
        place.note("removing what the runs left")
        place.clean()
    return 0


def measure(row: Row, place: Place) -> dict[str, Any]:
    """All runs of a row, ready for JSON; raises KeyError unless every run measured every figure and nothing else."""
    load = Path("/proc/loadavg").read_text().split()[0]
    begun = time.time()
    runs = []
    for values in row.measure(place):
        if values.keys() != {figure.name for figure in row.figures}:
            raise KeyError(f"row {row.name}: {sorted(values)}")
        runs.append(values)
    return {
        "work": row.work,
        "reference": row.reference,
        "quick": place.quick,
        "runs": len(runs),
        "measured_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(begun)),
        "seconds": round(time.time() - begun, 1),
        "load_before": float(load),
        "figures": [summary(figure, [values[figure.name] for values in runs]) for figure in row.figures],
    }


def _options(arguments: list[str]) -> argparse.Namespace:
    build = PROJECT / "build"
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures the performance table.")
    names = [row.name for row in ROWS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{', '.join(names)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a fraction of the size: tries the suite, no real figures")
    parser.add_argument("--runs", type=int, help="how often each row is measured (3 to 9 by default)")
    parser.add_argument("--files", type=int, default=FILES, help="finished documents in row 9")
    parser.add_argument("--json", type=Path, help="where the last figures are kept (build/bench.json)")
    parser.add_argument("--folder", type=Path, default=build, help="on the disk to measure (build)")
    parser.add_argument("--write-docs", action="store_true", help="write the kept figures into docs/performance.md")
    options = parser.parse_args(arguments)
    if unknown := set(options.rows) - set(names):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    options.json = options.json or build / ("bench-quick.json" if options.quick else "bench.json")
    return options


def _command(options: argparse.Namespace) -> str:
    """The command line that measures the same, wherever it keeps its files."""
    words = ["python -m tests.bench", *options.rows]
    words += ["--quick"] if options.quick else []
    words += [f"--runs {options.runs}"] if options.runs else []
    words += [f"--files {options.files}"] if options.files != FILES else []
    return " ".join(words)


def _allow_open_files() -> None:
    """Raise the limit for this process and all that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, DESCRIPTORS), hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
