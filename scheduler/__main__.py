"""The command line of the scheduler. `python -m scheduler` leads: it calls the timed functions until it is stopped.

`once FUNCTION` calls one timed function by hand; `fsck` checks and repairs a state folder.
"""

import argparse
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from config import logs
from config.agents import load_agents
from config.errors import ConfigError
from config.settings import Settings, load_settings
from functions.timed.archive import archive
from functions.timed.cleanup import CleanupMemory, cleanup, handle_list_results
from functions.timed.leader import Leader
from functions.timed.livecheck import Checks, livecheck
from functions.timed.measures import Measures
from functions.timed.reconcile import reconcile
from scheduler.hooks import Hooks
from scheduler.process import Process
from scheduler.watch import Watch
from state import open_store
from state.errors import LockTimeout, StateError
from state.store import Store

log = logging.getLogger("scheduler")

EXIT_CONFIG = 78
"""Exit status for a broken configuration (EX_CONFIG in sysexits.h)."""
EXIT_BUSY = 75
"""Exit status while another scheduler leads (EX_TEMPFAIL in sysexits.h)."""
SHIM_FOLDER = Path(__file__).resolve().parent.parent / "shim"


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status (75: another scheduler leads, 78: broken configuration)."""
    parser = argparse.ArgumentParser(
        prog="python -m scheduler", description="Run the scheduler until a signal stops it."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    once = commands.add_parser("once", help="call one timed function once; refused while a scheduler leads")
    once.add_argument("function", choices=["reconcile", "livecheck", "cleanup"])
    fsck = commands.add_parser("fsck", help="check the state folder, and repair it with --repair")
    fsck.add_argument("state_dir", nargs="?", type=Path, help="the folder (default: that of the configuration)")
    fsck.add_argument("--log-dir", type=Path, help="the folder of the logs (default: that of the configuration)")
    fsck.add_argument("--repair", action="store_true", help="also repair; refused while a scheduler leads")
    fsck.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if options.command == "fsck":
        # Imported only here, so that a leading scheduler does not keep it in memory.
        from scheduler.fsck import command

        return command(options)
    try:
        settings = load_settings(os.environ)
        load_agents(settings.config_dir)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return EXIT_CONFIG
    logs.set_up(settings.log_dir, settings.loglevel, settings.log_format)
    for notice in settings.notices:
        log.warning("%s", notice)
    try:
        store = open_store(settings.state_dir)
        if options.command == "once":
            return call_once(store, settings, options.function)
        return lead(store, settings)
    except StateError as error:
        log.critical("%s", error)
        return 1


def lead(store: Store, settings: Settings) -> int:
    """Wait until no other scheduler leads, then lead until a signal stops this process. Returns the exit status."""
    lease = store.lead()
    try:
        lease.acquire()
    except LockTimeout:
        log.info("another scheduler leads; standing by")
        lease.acquire(seconds=-1)
    log.info("leading in %s", store.name)
    for wrong in store.corruption.mend() if store.corruption else ():
        log.error("%s: %s", store.name, wrong)
    watch = Watch(store, runs_of(settings), settings.config_dir if settings.config_dir.is_dir() else None)
    measures = Measures()
    hooks = make_hooks(settings, measures)
    hooks.adopt()
    try:
        return Process(make_leader(store, settings, hooks, measures), hooks, watch, lease).run()
    finally:
        log.info("stopped; resources and running hooks stay")
        lease.release()


def call_once(store: Store, settings: Settings, function: str) -> int:
    """Call one timed function on freshly loaded documents; returns the exit status."""
    lease = store.lead()
    try:
        # A process that only checks for a leader holds the lock for an instant, too.
        lease.acquire(seconds=0.3, poll=0.05)
    except LockTimeout:
        print("another scheduler leads, and calls the timed functions itself", file=sys.stderr)
        return EXIT_BUSY
    measures = Measures()
    hooks = make_hooks(settings, measures)
    hooks.adopt()
    leader = make_leader(store, settings, hooks, measures)
    leader.load()
    leader.reload_pools()
    memory = CleanupMemory()
    handle_list_results(leader, memory)
    calls: dict[str, Callable[[], object]] = {
        "reconcile": lambda: reconcile_all(leader),
        "livecheck": lambda: livecheck_all(leader),
        "cleanup": lambda: cleanup(leader, memory),
    }
    calls[function]()
    while hooks.launch():
        pass
    lease.release()
    return 0


def reconcile_all(leader: Leader) -> None:
    """One pass; then archive finished documents at once."""
    reconcile(leader)
    archive(leader)


def livecheck_all(leader: Leader) -> None:
    """Start every due livecheck, without knowledge of earlier calls."""
    checks = Checks()
    checks.plan_all(leader)
    livecheck(leader, checks)


def runs_of(settings: Settings) -> Path:
    """The folder of hook runs, which are local to this host."""
    return settings.state_dir / "runs"


def make_hooks(settings: Settings, measures: Measures) -> Hooks:
    """The hook runner of this server. Its hooks find the shims on their PATH."""
    environment = dict(os.environ)
    if SHIM_FOLDER.is_dir():
        environment["PATH"] = f"{SHIM_FOLDER}{os.pathsep}{environment.get('PATH', os.defpath)}"
    directory = settings.config_dir if settings.config_dir.is_dir() else Path("/")
    at_once, on_end = settings.hooks_at_once, measures.hook_ended
    return Hooks(runs_of(settings), settings.log_dir, directory, environment, time.time, at_once, on_end)


def make_leader(store: Store, settings: Settings, hooks: Hooks, measures: Measures) -> Leader:
    """The leader of this store, with the real clock and real randomness."""
    return Leader(store, settings, hooks, time.time, partial(secrets.token_hex, 8), measures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
