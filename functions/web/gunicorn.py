"""gunicorn's settings, out of those in server.yaml; Procfile shows how it is started."""

import os
import sys
from typing import Any

from config import logs
from config.errors import ConfigError
from config.run import premade
from config.settings import load_settings

try:
    _settings = load_settings(os.environ)
except ConfigError as error:
    sys.exit(str(error))

bind = f"{_settings.address}:{_settings.port}"
backlog = 2048
workers = _settings.workers
# One greenlet for each connection: a parked wait costs memory, not a thread.
worker_class = "gevent"
worker_connections = 12000
# Workers prove that they live by touching a file, which must not wait for a disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
timeout = 60
graceful_timeout = 5
keepalive = 75
# The control socket is a file in the home folder: several servers of one user would collide.
control_socket_disable = True
loglevel = _settings.loglevel
logconfig_dict = logs.json_of_gunicorn(_settings.loglevel) if _settings.log_format == logs.JSON else {}
accesslog = "-" if os.environ.get("RESALLOC_ACCESS_LOG") == "1" else None


def on_starting(_server: object) -> None:
    """Have memory given back, by the workers as well, which are forked from this process, and shared with them."""
    from config.run import memory

    memory.share()
    memory.give_back()
    premade.TEMPLATES.begin(_compile_templates)


def on_reload(_server: object) -> None:
    """The new workers may have other templates."""
    premade.TEMPLATES.begin(_compile_templates)


def _compile_templates() -> bytes:
    from functions.pages.layout import compiled

    return compiled()


def pre_fork(_server: object, worker: Any) -> None:
    """Give each worker a place for what it counts ..."""
    from functions.web import request_counts as tally

    # While a reload is under way there are twice as many workers, or more.
    worker.tally_place = tally.take(4 * workers + 16)


def post_fork(_server: object, worker: Any) -> None:
    """... tell it ..."""
    from functions.web import request_counts as tally

    tally.begin(worker.tally_place)


def child_exit(_server: object, worker: Any) -> None:
    """... and let another one go on there. A worker may be from before an upgrade, and have none."""
    from functions.web import request_counts as tally

    tally.give_back(getattr(worker, "tally_place", None))


def post_worker_init(worker: object) -> None:
    """Make a worker that is told to stop answer its parked waits first."""
    from functions.web.lifetime import stop_on_signal

    stop_on_signal(worker)


def worker_exit(_server: object, _worker: object) -> None:
    """Let a worker take itself apart in the usual order."""
    import gc

    gc.unfreeze()
