"""Runs the whole server, the processes of the Procfile, in the foreground; Ctrl-C or SIGTERM stops it."""

import argparse
import errno
import http.client
import os
import shlex
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from config.agents import load_agents
from config.errors import ConfigError
from config.pools import load_pools
from config.run.processes import Processes
from config.settings import Settings, load_settings

PROCFILE = Path(__file__).resolve().parent.parent.parent / "Procfile"
_PORT_TIME = 5.0
_READY_TIME = 30.0


def main() -> int:
    """Serve until a signal. Returns the exit status: 1 if the server cannot start."""
    epilog = "The configuration is read from $CONFIG_DIR; $PORT and $RESALLOC_STATE_DIR override it."
    argparse.ArgumentParser(prog="python -m config.run.serve", description=__doc__, epilog=epilog).parse_args()
    try:
        settings = load_settings(os.environ)
        load_agents(settings.config_dir)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    for notice in settings.notices:
        print(notice, file=sys.stderr)
    if problem := _port_problem(settings):
        print(problem, file=sys.stderr)
        return 1
    processes = Processes(PROCFILE, _environment(settings))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: processes.stop())
    threading.Thread(target=_show_when_ready, args=(settings, processes), daemon=True).start()
    processes.run()
    print(
        "Stopped. Resources and running hooks continue; the next start finds them.",
        file=sys.stderr,
        flush=True,
    )
    return 0


def how_to_try(settings: Settings) -> str:
    """The text with the URL, and with commands that take a ticket, wait for its resource and close it."""
    url = settings.url
    connection = "" if url == "http://localhost:49100" else f" --connection {url}"
    resalloc = f"shim/resalloc{connection}"
    tag = _first_tag(settings.pools_file)
    option = f" --tag {shlex.quote(tag)}" if tag else ""
    data = f" --data-urlencode {shlex.quote(f'tag={tag}')}" if tag else " -X POST"
    return f"""
The server is ready at {url} (Ctrl-C stops it). To try it, in another terminal:

    id=$({resalloc} ticket{option})
    {resalloc} ticket-wait $id
    {resalloc} ticket-close $id

or the same with nothing but curl:

    id=$(curl -fsS{data} {url}/tickets)
    curl -fsS --retry 1000 --retry-delay 1 --retry-connrefused {url}/tickets/$id/wait
    curl -fsS -X DELETE {url}/tickets/$id

"""


def _environment(settings: Settings) -> dict[str, str]:
    """The caller's environment with the settings for all processes, and with this Python's programs on PATH."""
    programs = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PORT": str(settings.port),
        "CONFIG_DIR": str(settings.config_dir),
        "RESALLOC_STATE_DIR": str(settings.state_dir),
        "PYTHONUNBUFFERED": "1",
    }


def _port_problem(settings: Settings) -> str | None:
    """Why the server cannot listen; None if it can. Waits some seconds for a port that is in use."""
    deadline = time.monotonic() + _PORT_TIME
    while True:
        try:
            host = settings.address.strip("[]")
            family, kind, *_, address = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
            return None
        except OSError as error:
            busy = error.errno == errno.EADDRINUSE
            if not busy or time.monotonic() > deadline:
                advice = "; is the server already running? PORT=N make run uses another port" if busy else ""
                return f"cannot listen on {settings.hostname} port {settings.port}: {error.strerror}{advice}"
        time.sleep(0.2)


def _show_when_ready(settings: Settings, processes: Processes) -> None:
    """Print how to use the server as soon as it replies."""
    late_at = time.monotonic() + _READY_TIME
    while not _answers(settings):
        if time.monotonic() > late_at:
            processes.show(
                f"No reply from {settings.url} after {_READY_TIME:g} s; the lines above may show the reason.\n"
            )
            late_at = float("inf")
        time.sleep(0.1)
    processes.show(how_to_try(settings))


def _answers(settings: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.hostname, settings.address.strip("[]"))
    connection = http.client.HTTPConnection(host, settings.port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _first_tag(pools_file: Path) -> str | None:
    """A tag for the example; None if pools.yaml is not valid, which the server itself reports."""
    try:
        pools = load_pools(pools_file).pools
    except ConfigError:
        return None
    return next((tag for pool in pools for tag in pool.offers), None)


if __name__ == "__main__":
    sys.exit(main())
