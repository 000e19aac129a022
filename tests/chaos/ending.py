"""Checks of a real farm at the end of a run."""

import subprocess
import sys
from collections.abc import Sequence

from tests.chaos.linear import check
from tests.chaos.record import Ending, Kept, Operation
from tests.chaos.report import Report
from tests.chaos.server import LIST, Server


def judge(server: Server, record: Sequence[Operation], report: Report, kept: Sequence[Kept] = ()) -> None:
    """Let the farm come to rest, stop it, and put every fault into `report`; `kept` is what operators held."""
    # Looked at before, too: what is left open is closed then, and with it a close that got lost.
    faults = check(record, Ending(server.tickets(), server.traced("delete"), kept))
    report.faults += server.come_to_rest()
    report.faults += _unlisted(server, report)
    tickets = server.tickets()
    report.count("requests", len(record))
    report.count("requests without an answer", sum(operation.returned is None for operation in record))
    report.count("tickets", len(tickets))
    report.count("grants", sum(ticket.resource is not None for ticket in tickets.values()))
    report.count("starts", len(server.traced("new")))
    faults += check(record, Ending(tickets, server.traced("delete"), kept))
    report.faults += list(dict.fromkeys(map(str, faults)))
    for name in ("web", "scheduler"):
        server.end(name)
    report.faults += server.tracebacks()
    report.faults += _fsck(server)


def _unlisted(server: Server, report: Report) -> list[str]:
    """Differences between the output of `cmd_list` and the living resources."""
    command = LIST.format(things=server.things)
    done = subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, text=True, timeout=30)
    listed, known = set(done.stdout.split()), {found.name for found in server.resources()}
    report.count("resources accounted for", len(listed & known))
    return [f"{name}: listed: {name in listed}, a resource: {name in known}" for name in sorted(listed ^ known)]


def _fsck(server: Server) -> list[str]:
    """The faults that fsck finds in the folder of the stopped farm."""
    command = [sys.executable, "-m", "scheduler", "fsck", str(server.state)]
    # After an hour at full load there are a million documents to read.
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=900, env=server.environment, cwd=server.folder
    )
    if done.returncode == 0:
        return []
    return [f"fsck: {line}" for line in (done.stdout + done.stderr).splitlines()] or [f"fsck: exit {done.returncode}"]
