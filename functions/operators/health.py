"""Can this server do its work: `GET /readyz`. Tries to write, and reads what the leader shows."""

import functools
from pathlib import Path

from flask import Response

from config.errors import ConfigError
from config.settings import load_settings
from functions.web import replies as http
from functions.web.context import Context, current
from functions.web.requests import Query
from state.errors import StateError, StoreFrozen, StoreUnavailable, UnknownFormat

PATIENCE = 30.0
"""Seconds by which the scheduler may be late: a pass over very much takes its time."""
_SHOWN = 10


def report() -> Response:
    """200 when tickets can be taken and served, 503 otherwise; in both cases a sentence on each thing that is wrong."""
    context = current()
    Query().finish()
    problems = _of_store(context)
    warnings: list[str] = []
    if not problems:
        problems += _of_scheduler(context)
        faults, warnings = _of_configuration(context)
        problems += faults
    warnings += _of_server_file(context.settings.config_dir)
    status = 503 if problems else 200
    if http.wants_json():
        facts = {"ready": not problems, "problems": problems, "warnings": warnings}
        if problems:
            facts |= http.error_fields("not_ready", " ".join(problems), None, status)
        return http.json_reply(facts, status)
    lines = ["not ready" if problems else "ready"]
    lines += [f"problem: {problem}" for problem in problems]
    lines += [f"warning: {warning}" for warning in warnings]
    return http.text_reply("\n".join(lines) + "\n", status)


def _of_store(context: Context) -> list[str]:
    try:
        context.probe()
    except StoreFrozen:
        return ["The disk failed to keep a write, so this process writes nothing more until it is restarted."]
    except UnknownFormat:
        return ["The state folder belongs to a newer version."]
    except StoreUnavailable as error:
        return [f"The state folder cannot be written: {error.error.strerror or error.error}."]
    except StateError:
        return ["The state folder cannot be used."]
    return []


def _of_scheduler(context: Context) -> list[str]:
    if not context.view.has_leader():
        return ["No scheduler leads, so nothing is granted, started or deleted."]
    shown = context.view.metrics()
    if shown is None or shown.last_pass is None:
        return ["The scheduler has not made a pass so far."]
    # Both ways, for the clock may have been set back.
    age = abs(context.clock() - shown.last_pass)
    period = context.settings.sleeptime
    if age > 2 * period + PATIENCE:
        return [f"The scheduler made its last pass {age:.0f} s ago, although it makes one each {period:g} s."]
    return []


def _of_server_file(folder: Path) -> list[str]:
    """What is wrong with server.yaml as it is now; this process goes on with what it read when it started."""
    try:
        status = (folder / "server.yaml").stat()
    except OSError:
        return []
    faults = _faults(folder, (status.st_mtime_ns, status.st_ino, status.st_size))
    return [f"{fault}; the server would not start again with that." for fault in faults]


@functools.lru_cache(maxsize=1)
def _faults(folder: Path, _seen: tuple[int, int, int]) -> tuple[str, ...]:
    try:
        load_settings({"CONFIG_DIR": str(folder)})
    except ConfigError as error:
        return tuple(str(problem) for problem in error.problems[:_SHOWN])
    return ()


def _of_configuration(context: Context) -> tuple[list[str], list[str]]:
    """Problems and warnings."""
    shown = context.view.pools()
    if shown is None:
        return [], []
    faults = list(shown.faults[:_SHOWN])
    if len(shown.faults) > _SHOWN:
        faults.append(f"{len(shown.faults) - _SHOWN} more faults in the configuration")
    damaged = len(shown.quarantine)
    warnings = [f"Damaged or unreadable documents: {damaged}; /healthz names them."] if damaged else []
    warnings += [f"What is finished cannot be archived in {folder}." for folder in shown.not_archived[:_SHOWN]]
    if not shown.pools:
        return [f"{fault}; there are no last good pools, so nothing is started." for fault in faults], warnings
    return [], [f"{fault}; the last good ones are in force." for fault in faults] + warnings
