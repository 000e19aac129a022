"""Health of the server: `GET /healthz` (is it well), `GET /readyz` (can it work), `GET /fsck` (is its state whole).

The first two try to write to the state folder and read what the leader shows. The check of the state folder reads all
documents without a lock and changes nothing.
"""

import functools
import threading
import time
from pathlib import Path

from flask import Response

from config.errors import ConfigError
from config.settings import load_settings
from functions.integrity.fsck import as_json, as_lines, examine, examine_living
from functions.integrity.invariants import Fault
from functions.web import replies
from functions.web.context import Context, current
from functions.web.errors import AlreadyUnderWay
from functions.web.offload import in_thread
from functions.web.requests import NoFields, parse_query
from state.errors import StateError, StoreFrozen, StoreUnavailable, UnknownFormat
from state.host.machine import FileStamp, stamp_of

TOLERANCE = 30.0
"""Seconds by which the scheduler may be late: a pass over very many documents takes its time."""
_MOST_SHOWN = 10


def report_health() -> Response:
    """200 while the state folder can be used, 503 otherwise; other faults are reported and do not change the status."""
    context = current()
    parse_query(NoFields)
    context.check_writable()
    pools = context.view.pools()
    leader = pools.leader if pools else None
    facts = {
        "web": "ok",
        "store": "ok",
        "scheduler": "ok" if context.view.has_leader() else "not running",
        "leader": {"pid": leader.pid, "since": leader.since} if leader else None,
        "shown_at": pools.at if pools else None,
        "faults": pools.faults if pools else (),
        "warnings": pools.warnings if pools else (),
        "quarantine": pools.quarantine if pools else (),
        "not_archived": pools.not_archived if pools else (),
    }
    if replies.wants_json():
        return replies.json_reply(facts)
    lines = [f"{name}: {facts[name]}" for name in ("web", "store", "scheduler")]
    if pools:
        lines += [f"config fault: {fault}" for fault in pools.faults]
        lines += [f"in quarantine: {name}" for name in pools.quarantine]
        lines += [f"cannot be archived: {folder}" for folder in pools.not_archived]
    return replies.text_reply("\n".join(lines) + "\n")


def report_readiness() -> Response:
    """200 when tickets can be taken and served, 503 otherwise; either way with one sentence per problem and warning."""
    context = current()
    parse_query(NoFields)
    problems = _store_problems(context)
    warnings: list[str] = []
    if not problems:
        problems += _scheduler_problems(context)
        faults, warnings = _configuration_problems(context)
        problems += faults
    warnings += _server_file_warnings(context.settings.config_dir)
    status = 503 if problems else 200
    if replies.wants_json():
        facts = {"ready": not problems, "problems": problems, "warnings": warnings}
        if problems:
            facts |= replies.error_fields("not_ready", " ".join(problems), None, status)
        return replies.json_reply(facts, status)
    lines = ["not ready" if problems else "ready"]
    lines += [f"problem: {problem}" for problem in problems]
    lines += [f"warning: {warning}" for warning in warnings]
    return replies.text_reply("\n".join(lines) + "\n", status)


def _store_problems(context: Context) -> list[str]:
    try:
        context.check_writable()
    except StoreFrozen:
        return ["The disk failed to keep a write, so this process writes nothing more until it is restarted."]
    except UnknownFormat:
        return ["The state folder was written by a newer version."]
    except StoreUnavailable as error:
        return [f"The state folder cannot be written: {error.reason}."]
    except StateError:
        return ["The state folder cannot be used."]
    return []


def _scheduler_problems(context: Context) -> list[str]:
    if not context.view.has_leader():
        return ["No scheduler is running, so nothing is assigned, started or deleted."]
    shown = context.view.metrics()
    if shown is None or shown.last_pass is None:
        return ["The scheduler has not completed a pass yet."]
    # The absolute value: the clock may have been set back.
    age = abs(context.clock() - shown.last_pass)
    period = context.settings.sleeptime
    if age > 2 * period + TOLERANCE:
        return [f"The scheduler completed its last pass {age:.0f} s ago, but should complete one every {period:g} s."]
    return []


def _server_file_warnings(folder: Path) -> list[str]:
    """What is wrong with server.yaml as it is now; this process keeps the settings that it read at its start."""
    stamp = stamp_of(folder / "server.yaml")
    if stamp is None:
        return []
    faults = _server_file_faults(folder, stamp)
    return [f"{fault}; the server would not start with this file." for fault in faults]


@functools.lru_cache(maxsize=1)
def _server_file_faults(folder: Path, _stamp: FileStamp) -> tuple[str, ...]:
    try:
        load_settings({"CONFIG_DIR": str(folder)})
    except ConfigError as error:
        return tuple(str(problem) for problem in error.problems[:_MOST_SHOWN])
    return ()


def _configuration_problems(context: Context) -> tuple[list[str], list[str]]:
    """Problems and warnings."""
    shown = context.view.pools()
    if shown is None:
        return [], []
    faults = list(shown.faults[:_MOST_SHOWN])
    if len(shown.faults) > _MOST_SHOWN:
        faults.append(f"{len(shown.faults) - _MOST_SHOWN} more faults in the configuration")
    corrupt = len(shown.quarantine)
    warnings = [f"Corrupt or unreadable documents: {corrupt}; /healthz lists them."] if corrupt else []
    warnings += [f"Finished documents cannot be archived in {folder}." for folder in shown.not_archived[:_MOST_SHOWN]]
    if not shown.pools:
        return [f"{fault}; there are no earlier valid pools, so nothing is started." for fault in faults], warnings
    return [], [f"{fault}; the last valid pools stay in force." for fault in faults] + warnings


_one_check_at_a_time = threading.Lock()


def check_state() -> Response:
    """200 with a line for each fault and note and their numbers in the last line, or JSON.

    Documents that change during the check look wrong for a moment, so only what is still wrong a second later is
    reported. Each process runs one check at a time: 429 otherwise.
    """
    context = current()
    parse_query(NoFields)

    def examine_once() -> list[Fault]:
        return examine(context.store.survey(context.clock()), context.settings.log_dir)

    if not _one_check_at_a_time.acquire(blocking=False):
        raise AlreadyUnderWay("a check of the state folder")
    try:
        faults = in_thread(examine_living, examine_once, time.sleep)
    finally:
        _one_check_at_a_time.release()
    if replies.wants_json():
        return replies.json_reply(as_json(faults))
    return replies.text_reply("".join(f"{line}\n" for line in as_lines(faults)))
