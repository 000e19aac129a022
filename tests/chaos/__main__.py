"""python -m tests.chaos: the long proofs of issue "nothing is lost", one after the other, within a bounded time.

Each module of `MODULES` has `run(seconds, seed) -> Report` and keeps to its seconds. The exit status is 1 when
a fault was found. The figures of the last run are in docs/reliability.md.
"""

import argparse
import importlib
import logging
import sys
import time

from tests.chaos.report import Report

MODULES = ("instants", "powercut", "loopdisk", "model", "history", "redeploy", "takeover", "soak")
"""In tests/chaos/, with the share of the time that each gets being equal; one that ends early leaves more to others."""


def main(arguments: list[str]) -> int:
    """Run the modules named, or all; returns 1 when a fault was found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Break everything, and check what is left."
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"some of: {' '.join(MODULES)}")
    parser.add_argument("--seconds", type=float, default=900, help="time for all of them (default: 900)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="makes a run again")
    options = parser.parse_args(arguments)
    unknown = set(options.modules) - set(MODULES)
    if unknown:
        parser.error(f"no such module: {' '.join(sorted(unknown))}; there are {' '.join(MODULES)}")
    # What the product logs about the faults that are made here would hide those that are found.
    logging.disable(logging.CRITICAL)
    print(f"seed {options.seed}, {options.seconds:g} s", flush=True)
    chosen = options.modules or MODULES
    until = time.monotonic() + options.seconds
    bad = False
    for index, name in enumerate(chosen):
        share = max(1.0, (until - time.monotonic()) / (len(chosen) - index))
        began = time.monotonic()
        report: Report = importlib.import_module(f"tests.chaos.{name}").run(share, options.seed)
        show(report, time.monotonic() - began)
        bad |= bool(report.faults)
    return 1 if bad else 0


def show(report: Report, took: float) -> None:
    """Print one module's outcome."""
    if report.skipped is not None:
        print(f"{report.name}: SKIPPED, nothing was proved: {report.skipped}", flush=True)
        return
    tried = ", ".join(f"{times} {what}" for what, times in report.tried.items())
    print(f"{report.name}: {len(report.faults)} faults in {tried} ({took:.0f} s)", flush=True)
    for what, figure in report.figures.items():
        print(f"  {what}: {figure}", flush=True)
    for fault in report.faults:
        print(f"  FAULT {fault}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
