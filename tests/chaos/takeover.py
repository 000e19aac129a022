"""Two schedulers: the second is on standby, takes over within a second, and does nothing before.

The leader's role is a lock that the kernel takes from a process when it ends, and only then. So a leader that was
stopped (SIGSTOP) still leads: the other does not take over, tickets and closes are answered and wait, and when it
goes on nothing was decided behind its back.
"""

import os
import random
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path

from functions.policy.transitions.history import lines_of
from functions.timed.events import last_written
from state.files.store import FileStore
from tests.chaos.clients import Http, Recorded, live
from tests.chaos.ending import judge
from tests.chaos.record import Operation
from tests.chaos.report import Report
from tests.chaos.server import Server
from tests.waiting import until

POOLS = {"pool": {"max": 20, "max_starting": 4, "max_prealloc": 4, "reuse_opportunity_time": 3, "tags": ["work"]}}
TAKEOVER = 1.0
"""Seconds from the death of the first scheduler until the second one leads."""
CLIENTS = 4


def run(seconds: float, seed: int, allowed: float = TAKEOVER) -> Report:
    """Let one scheduler after the other die, or be suspended, under load; go on for so long and a little more."""
    report = Report("takeover")
    with tempfile.TemporaryDirectory(prefix="resalloc-takeover-") as folder:
        server = Server(Path(folder), work=0.05)
        server.set_pools(POOLS)
        try:
            server.start()
            _started_by_mistake(server, report)
            _under_load(server, seconds, seed, report, allowed)
        except AssertionError as error:
            report.faults.append(str(error))
        finally:
            server.stop()
    return report


def _started_by_mistake(server: Server, report: Report) -> None:
    """A second scheduler, with another pools.yaml, beside a quiet farm: not one file changes."""
    until(lambda: len(server.resources()) == 4 and not server.moving(), what="the spares")
    until(lambda: _all_written(server), what="the events and statistics of the spares, which are written behind them")
    before = _files(server.state)
    elsewhere = server.folder / "mistake"
    elsewhere.mkdir()
    (elsewhere / "pools.yaml").write_text("other: {cmd_new: echo wrong, cmd_delete: 'true', tags: [work]}\n")
    server.begin("standby", CONFIG_DIR=str(elsewhere))
    until(lambda: "standing by" in server.printed("standby"), what="the second scheduler")
    server.end("standby")
    changed = {name for name, _ in {*before.items()} ^ {*_files(server.state).items()}}
    report.count("schedulers started by mistake")
    report.faults += [f"a second scheduler that stood by changed {name}" for name in sorted(changed)]


def _all_written(server: Server) -> bool:
    """Are all the changes of the farm among its events, and all starts in the pool's statistics?"""
    store = FileStore(server.state)
    resources, record = server.resources(), store.pools.get("pool")
    if record is None or record.startup_samples < len(resources):
        return False
    documents = [record, *resources]
    written = last_written(store.events, documents, time.time())
    return not any(lines_of(document, number) for document, number in zip(documents, written.values(), strict=True))


def _files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Facts that change when a file is replaced or written, without the view and samples, which the leader renews."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name not in ("view", "samples"):
            status = path.stat()
            found[str(path.relative_to(folder))] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def _under_load(server: Server, seconds: float, seed: int, report: Report, allowed: float) -> None:
    source = random.Random(seed)
    record: list[Operation] = []
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=live,
            args=(Recorded(Http(server.address), record), random.Random(f"{seed} {number}"), ["a", "b", None], stop),
        )
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    took: list[float] = []
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end or len(took) < 2:
            time.sleep(source.uniform(0.2, 1.0))
            took.append(_die(server, source, report, stopped=len(took) % 2 == 1))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    report.figures["from death to leading, median"] = f"{statistics.median(took):.2f} s"
    report.figures["at most"] = f"{max(took):.2f} s"
    if max(took) > allowed:
        report.faults.append(f"the second scheduler led {max(took):.2f} s after the first one's death")
    judge(server, record, report)


def _die(server: Server, source: random.Random, report: Report, stopped: bool) -> float:
    """Kill the leader beside a second one, after a time in which it stood still; the seconds until that one leads."""
    server.begin("standby")
    until(lambda: "standing by" in server.printed("standby"), 30, "the second scheduler")
    if stopped:
        _stand_still(server, source, report)
    died = time.monotonic()
    server.end("scheduler", signal.SIGKILL)
    until(lambda: server.is_ready("standby"), 30, "the second scheduler's lead")
    took = time.monotonic() - died
    server.rename("standby", "scheduler")
    report.count("killed leaders")
    return took


def _stand_still(server: Server, source: random.Random, report: Report) -> None:
    """Stop the leader for some seconds: the other does not take over, and the leader goes on as before."""
    server.send("scheduler", signal.SIGSTOP)
    leader = server.leader()
    client = Http(server.address)
    ticket = client.take("work", None, os.urandom(8).hex())
    time.sleep(source.uniform(1.0, 2.0))
    if server.leader() != leader:
        report.faults.append("the other scheduler took over from a leader that was only stopped")
    _, resource = client.read(ticket, wait=False)
    if resource is not None:
        report.faults.append(f"ticket {ticket} got resource {resource} while the only leader stood still")
    server.send("scheduler", signal.SIGCONT)
    until(lambda: client.read(ticket, wait=True)[1] is not None, 20, "a grant by the leader that went on")
    if server.leader() != leader:
        report.faults.append("a leader that was stopped and went on does not lead any more")
    client.close(ticket)
    report.count("leaders that stood still")
