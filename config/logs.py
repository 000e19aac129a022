"""The server's own log: LOGDIR/main.log (appended to, so that logrotate may truncate it) and standard error.

A line is text for people, or one JSON object for programs, with the `extra` of the call as fields.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TEXT, JSON = FORMATS = ("text", "json")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_ABOUT = re.compile(r"/(ticket|resource|pool)s/([A-Za-z0-9._-]{1,255})(?:/|$)", re.ASCII)
"""The ticket, resource or pool in the path of a request."""
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of ASCII: time (UTC), level, logger, message, extra fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        own = {name: value for name, value in vars(record).items() if name not in _USUAL}
        line |= {name: value for name, value in (_of_access(record) | own).items() if name not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _of_access(record: logging.LogRecord) -> dict[str, Any]:
    """Fields for a line of gunicorn's access log: the request, its status, and its ticket, resource or pool."""
    if record.name != "gunicorn.access" or not isinstance(record.args, Mapping):
        return {}
    path = str(record.args.get("U"))
    fields: dict[str, Any] = {"method": record.args.get("m"), "path": path}
    status = str(record.args.get("s"))
    if status.isdigit():
        fields["status"] = int(status)
    about = _ABOUT.match(path)
    if about is None:
        return fields
    kind, key = about.groups()
    if key.isdigit() and kind != "pool":
        return fields | {kind: int(key)}
    return fields | ({"pool": key} if kind == "pool" else {"name": key} if kind == "resource" else {})


def set_up(log_dir: Path, level: str, form: str = TEXT) -> None:
    """Log to standard error and to main.log; if the folder cannot be used, log a warning to standard error only."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    for handler in list(root.handlers):
        root.removeHandler(handler)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    problem: OSError | None = None
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_dir / "main.log", delay=False, errors="backslashreplace"))
    except OSError as error:
        problem = error
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if form == JSON else logging.Formatter(FORMAT))
        root.addHandler(handler)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    # Do not look up the file, line and thread of each call, because no format shows them, not even gunicorn's.
    logging._srcfile = None  # as the HOWTO of logging advises
    logging.logThreads = logging.logMultiprocessing = False
    if problem is not None:
        root.warning("%s cannot be written, so the log goes to standard error only: %s", log_dir, problem.strerror)


def json_of_gunicorn(level: str) -> dict[str, Any]:
    """gunicorn's `logconfig_dict` for JSON lines, on the same streams as its text lines."""
    return {
        "root": {"level": level.upper(), "handlers": []},
        "loggers": {
            "gunicorn.error": {"level": level.upper(), "handlers": ["error"], "propagate": False},
            "gunicorn.access": {"level": "INFO", "handlers": ["access"], "propagate": False},
        },
        "handlers": {
            "error": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"},
            "access": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"},
        },
        "formatters": {"json": {"()": JsonFormatter}},
    }
