"""Soak: full load for a while, and nothing grows that should not: descriptors, memory, files of every passing kind.

Clients take, wait, use and close as fast as they are served. Half of the resources are used once, so that hooks start
and end all the time. After a warm-up everything is measured again and again; what grows with the work shows as a
trend.
"""

import os
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import processes
from tests.chaos.clients import Http, Recorded, Rpc, live
from tests.chaos.ending import judge
from tests.chaos.record import Operation
from tests.chaos.report import Report
from tests.chaos.server import RELEASE, Server
from tests.chaos.trend import growth

CLIENTS = 12
SANDBOXES: list[str | None] = ["a", "b", "c", None, None]
WARM_UP = 0.4
"""This share of the time is not judged: caches fill, pools of threads come up."""
SAMPLES = 40
POOLS = {
    "fresh": {"max": 8, "max_starting": 4, "max_prealloc": 4, "cmd_livecheck": "true", "tags": ["work"]},
    "kept": {
        "max": 8,
        "max_starting": 4,
        "max_prealloc": 4,
        "cmd_release": RELEASE,
        "cmd_livecheck": "true",
        "livecheck_period": 1,
        "reuse_opportunity_time": 5,
        "tags": [{"name": "work", "priority": 1}],
    },
}


@dataclass(frozen=True)
class Quantity:
    """A measured quantity, and the growth over the whole time that is no more than noise."""

    name: str
    unit: str
    measure: Callable[[Server], float]
    noise: float


def _descriptors(name: str) -> Callable[[Server], float]:
    def measure(server: Server) -> float:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in server.pids(name))

    return measure


def _memory(name: str) -> Callable[[Server], float]:
    """Not what is mapped from files: how much of it counts depends on which other processes of the machine use it."""
    return lambda server: processes.own_memory(server.pids(name))


def _files(folder: str) -> Callable[[Server], float]:
    return lambda server: sum(len(names) for _, _, names in os.walk(server.state / folder))


def _few(server: Server) -> float:
    return sum(_files(folder)(server) for folder in ("intents", "view", "quarantine"))


QUANTITIES = (
    Quantity("descriptors of the web", "", _descriptors("web"), noise=CLIENTS),
    Quantity("descriptors of the scheduler", "", _descriptors("scheduler"), noise=8),
    Quantity("memory of the web", "MB", _memory("web"), noise=5),
    Quantity("memory of the scheduler", "MB", _memory("scheduler"), noise=4),
    Quantity("files in tmp/", "", _files("tmp"), noise=CLIENTS),
    Quantity("files in runs/", "", _files("runs"), noise=40),
    Quantity("files in locks/", "", _files("locks"), noise=300),
    Quantity("files in tickets/open/", "", _files("tickets/open"), noise=2 * CLIENTS),
    Quantity("files in resources/live/", "", _files("resources/live"), noise=20),
    Quantity("files in intents/, view/, quarantine/", "", _few, noise=1),
    Quantity("processes", "", lambda server: len(server.pids()), noise=1),
)


def run(seconds: float, seed: int) -> Report:
    """Go on for so long and a little more."""
    report = Report("soak")
    with tempfile.TemporaryDirectory(prefix="resalloc-soak-") as folder:
        server = Server(Path(folder))
        server.set_pools(POOLS)
        try:
            server.start()
            _soak(server, seconds, seed, report)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            report.faults.append(str(error))
        finally:
            server.stop()
    return report


def _soak(server: Server, seconds: float, seed: int, report: Report) -> None:
    record: list[Operation] = []
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=live,
            args=(
                Recorded((Http if number % 2 else Rpc)(server.address), record),
                random.Random(f"{seed} client {number}"),
                SANDBOXES,
                stop,
                0.0,
            ),
        )
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    series: dict[str, list[tuple[float, float]]] = {quantity.name: [] for quantity in QUANTITIES}
    began = time.monotonic()
    try:
        stop.wait(seconds * WARM_UP)
        while (now := time.monotonic()) < began + seconds:
            for quantity in QUANTITIES:
                series[quantity.name].append((now, quantity.measure(server)))
            stop.wait(seconds * (1 - WARM_UP) / SAMPLES)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for quantity in QUANTITIES:
        _judge(quantity, series[quantity.name], report)
    judge(server, record, report)


def _judge(quantity: Quantity, samples: list[tuple[float, float]], report: Report) -> None:
    grown = growth(samples)
    unit = f" {quantity.unit}" if quantity.unit else ""
    most = max(value for _, value in samples)
    shown = f"{samples[0][1]:.4g} → {samples[-1][1]:.4g}{unit}, at most {most:.4g}"
    report.figures[quantity.name] = f"{shown} (trend {grown:+.2g}, allowed {quantity.noise:g})"
    if grown > quantity.noise:
        report.faults.append(f"{quantity.name} grew by {grown:.3g}{unit}: {shown}")
