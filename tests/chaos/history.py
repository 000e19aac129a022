"""History: many clients while pieces are killed, and a checker of all replies that they received.

Clients of three kinds take, wait, use and close, and call some of what they had bad; an operator holds resources for
a while. Web workers, the web, the scheduler, hooks and their supervisors are killed and started again. Every request
is recorded with its interval. At the end the history is checked (`linear.py`), and that everything comes to rest, and
that what exists is what the documents say.
"""

import random
import tempfile
import threading
import time
from pathlib import Path

from tests.chaos.clients import Http, Recorded, Rpc, Shim, Transport, live
from tests.chaos.ending import judge
from tests.chaos.killing import Killers
from tests.chaos.operator import Operator
from tests.chaos.record import Operation
from tests.chaos.report import Report
from tests.chaos.server import RELEASE, Server

CLIENTS: tuple[type[Transport], ...] = (Http, Http, Http, Http, Http, Rpc, Rpc, Rpc, Rpc, Shim)
SANDBOXES: list[str | None] = ["a", "b", "c", None]
BAD = 0.1
"""How many of the closes call the resource bad, of those that can."""
POOLS = {
    "fresh": {"max": 8, "max_starting": 4, "max_prealloc": 3, "tags": ["work"]},
    "kept": {
        "max": 8,
        "max_starting": 4,
        "max_prealloc": 3,
        "cmd_release": RELEASE,
        "cmd_livecheck": "true",
        "livecheck_period": 2,
        "reuse_opportunity_time": 20,
        "tags": ["work"],
    },
}


def run(seconds: float, seed: int) -> Report:
    """Go on for so long and a little more; the seed decides what clients do and what is killed."""
    report = Report("history")
    with tempfile.TemporaryDirectory(prefix="resalloc-history-") as folder:
        server = Server(Path(folder), work=0.1)
        server.set_pools(POOLS)
        try:
            server.start()
            _suffer(server, seconds, seed, report)
        except AssertionError as error:
            report.faults.append(str(error))
        finally:
            server.stop()
    return report


def _suffer(server: Server, seconds: float, seed: int, report: Report) -> None:
    record: list[Operation] = []
    stop = threading.Event()
    clients = [
        threading.Thread(target=_client, args=(server, kind, f"{seed} client {number}", record, stop, report))
        for number, kind in enumerate(CLIENTS)
    ]
    operator = Operator(server.address, seed, report)
    killers = Killers(server, seed, report, web=2.0, scheduler=2.5, hooks=0.7)
    end = time.monotonic() + seconds
    for thread in clients:
        thread.start()
    try:
        with killers, operator:
            while time.monotonic() < end:
                stop.wait(min(5.0, end - time.monotonic()))
                server.close_lost(record)
    finally:
        stop.set()
        for thread in clients:
            thread.join()
    report.faults += killers.troubles
    report.count("reuses", len(server.traced("release")))
    judge(server, record, report, operator.kept)


def _client(
    server: Server, kind: type[Transport], seed: str, record: list[Operation], stop: threading.Event, report: Report
) -> None:
    try:
        client = Recorded(kind(server.address), record)  # type: ignore[call-arg]
        live(client, random.Random(seed), SANDBOXES, stop, bad=BAD)
    except Exception as error:
        report.faults.append(f"a client of kind {kind.__name__} saw {error!r}")
