"""The server's own log: LOGDIR/main.log (appended to, so that logrotate may truncate it) and standard error."""

import logging
import sys
from pathlib import Path

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def set_up(log_dir: Path, level: str) -> None:
    """Send all logging of this process to standard error and to main.log; a folder that cannot be used is told."""
    root = logging.getLogger()
    root.setLevel(level.upper())
    for handler in list(root.handlers):
        root.removeHandler(handler)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    problem: OSError | None = None
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_dir / "main.log", delay=False))
    except OSError as error:
        problem = error
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT))
        root.addHandler(handler)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    if problem is not None:
        root.warning("%s cannot be written, so the log goes to standard error only: %s", log_dir, problem.strerror)
