"""gunicorn's settings, made from those of server.yaml: `gunicorn -c functions/web/gunicorn.py`, see Procfile."""

import os
import sys
from typing import Any

from config import logs
from config.errors import ConfigError
from config.settings import load_settings
from functions.web import request_counts

try:
    _settings = load_settings(os.environ)
except ConfigError as error:
    sys.exit(str(error))

bind = f"{_settings.address}:{_settings.port}"
backlog = 2048
workers = _settings.workers
# One greenlet a connection: a parked request costs memory, not a thread.
worker_class = "gevent"
worker_connections = 12000
# Workers show that they live by touching a file, which must not wait for a disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
timeout = 60
graceful_timeout = 5
keepalive = 75
# The control socket is a file in the home folder: several servers of one user would collide.
control_socket_disable = True
loglevel = _settings.loglevel
logconfig_dict = logs.json_of_gunicorn(_settings.loglevel) if _settings.log_format == logs.JSON else {}
accesslog = "-" if os.environ.get("RESALLOC_ACCESS_LOG") == "1" else None


_LIBRARIES = (
    "concurrent.futures._base",
    "defusedxml.xmlrpc",
    "flask",
    "gevent.events",
    "gevent.selectors",
    "gevent.signal",
    "gevent.ssl",
    "gevent.subprocess",
    "gevent.threading",
    "msgspec",
    "prometheus_client",
    "sortedcontainers",
    "statistics",
    "yaml",
)
"""What the master loads for all workers: libraries that workers need, and no module of this program, because a reload
must load those again. None of them keeps anything that gevent would have to patch first, as filelock does
(`threading.local`).
"""


def on_starting(_server: object) -> None:
    """Load libraries before the workers are forked, so that they share the memory of these.

    The objects are frozen, because the garbage collector would otherwise write to their pages in each worker.
    """
    import gc
    import importlib

    for name in _LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def pre_fork(_server: object, worker: Any) -> None:
    """Reserve a slot for the new worker's counts of replies."""
    # During a reload there are twice as many workers, or more.
    worker.slot = request_counts.take_slot(4 * workers + 16)


def post_fork(_server: object, worker: Any) -> None:
    """Let the new worker count in its slot."""
    request_counts.use_slot(worker.slot)


def child_exit(_server: object, worker: Any) -> None:
    """Free the slot of a worker that has ended. A worker from before an upgrade may have none."""
    request_counts.free_slot(getattr(worker, "slot", None))


def post_worker_init(worker: object) -> None:
    """Let a worker answer its parked requests when it must stop."""
    from functions.web.lifetime import stop_on_signal

    stop_on_signal(worker)


def worker_exit(_server: object, _worker: object) -> None:
    """Undo `gc.freeze`, so that a worker frees its objects in the usual order when it ends."""
    import gc

    gc.unfreeze()
