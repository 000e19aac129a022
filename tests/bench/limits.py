"""Bare limits of the machine, measured beside each row so that a slow machine neither hides nor fakes a result."""

import os
import subprocess
import time
from pathlib import Path

from state.documents import Ticket
from tests.bench.clients import Http
from tests.bench.table import quantile

DOCUMENT = Ticket(id=1, tags=("A",), created_at=1.0).to_json()


def durable_writes(folder: Path, seconds: float, replace: bool = False) -> float:
    """Documents a second that one process makes durable, one after the other: write, fsync, rename, fsync of the
    folder. New names each time, or with `replace` the same one.
    """
    directory = os.open(folder, os.O_RDONLY)
    count = 0
    begun = time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        staged = folder / "staged"
        file = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(file, DOCUMENT)
        os.fsync(file)
        os.close(file)
        os.rename(staged, folder / ("0.json" if replace else f"{count}.json"))
        os.fsync(directory)
        count += 1
    os.close(directory)
    return count / took


def hello_ms(address: tuple[str, int], count: int) -> float:
    """Median milliseconds of a request to an application that says hello, over one kept connection."""
    client = Http(address)
    took = []
    for _ in range(count):
        begun = time.perf_counter()
        client.request("GET", "/")
        took.append((time.perf_counter() - begun) * 1000)
    return quantile(took, 0.5)


def shells(seconds: float, command: str = "echo") -> float:
    """Shells a second that are started one after the other, each for one command."""
    count = 0
    begun = time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        subprocess.run(["/bin/sh", "-c", command], stdout=subprocess.DEVNULL, check=True)
        count += 1
    return count / took
