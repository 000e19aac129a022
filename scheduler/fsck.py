"""`python -m scheduler fsck`: checks a state folder, and repairs it while no scheduler leads."""

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec

from config.errors import ConfigError
from config.settings import load_settings
from functions.integrity.fsck import as_json, as_lines, examine, examine_living
from functions.integrity.invariants import Fault
from functions.integrity.repair import repair
from state.errors import LockTimeout, StateError
from state.files import layout
from state.files.check.survey import survey
from state.files.disk import Disk
from state.files.leader import LeaderLease, has_leader
from state.files.quarantine import Quarantine

CLEAN, FAULTS, CANNOT = 0, 1, 2


def command(options: argparse.Namespace) -> int:
    """Check, and repair if asked; returns the exit status: 0 clean, 1 there are faults, 2 it cannot be checked."""
    try:
        root, log_dir = _folders(options)
        repaired = _repair(root, log_dir) if options.repair else []
        faults = _examine(root, log_dir)
    except LockTimeout:
        print("fsck: a scheduler leads this folder; stop it before a repair", file=sys.stderr)
        return CANNOT
    except (ConfigError, StateError, OSError) as error:
        print(f"fsck: {error}", file=sys.stderr)
        return CANNOT
    if options.json:
        sys.stdout.buffer.write(msgspec.json.encode({**as_json(faults), "repaired": repaired}) + b"\n")
    else:
        print("".join(f"{line}\n" for line in [*(f"repaired {done}" for done in repaired), *as_lines(faults)]), end="")
    return FAULTS if any(not fault.is_note for fault in faults) else CLEAN


def _folders(options: argparse.Namespace) -> tuple[Path, Path | None]:
    if options.state_dir is not None:
        return options.state_dir.absolute(), options.log_dir
    settings = load_settings(os.environ)
    return settings.state_dir, options.log_dir or settings.log_dir


def _examine(root: Path, log_dir: Path | None) -> list[Fault]:
    def examine_once() -> list[Fault]:
        return examine(survey(root, time.time()), log_dir)

    return examine_living(examine_once, time.sleep) if has_leader(Disk(root)) else examine_once()


def _repair(root: Path, log_dir: Path | None) -> list[str]:
    """Raises LockTimeout while a scheduler leads."""
    _become_owner(root)
    disk = Disk(root)
    if layout.in_the_way(root, "locks") is not None:
        layout.mend_folders(disk, Quarantine(disk), ["locks"])
    lease = LeaderLease(disk)
    lease.acquire(seconds=0.3, poll=0.05)
    try:
        return repair(root, log_dir, time.time())
    finally:
        lease.release()


def _become_owner(root: Path) -> None:
    """Write as the owner of the folder: the server could not replace files of root."""
    owner = root.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
