"""Redeploy under load: clients take, wait, use and close while everything is reloaded, restarted and reconfigured.

Each client does as those of resalloc do: after any fault, HTTP error or lost connection it asks again. None may see a
failure that this does not cure, none may wait much longer than something was down, and at the end `cmd_list` must
print the names of the living resources and no others.
"""

import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos.clients import HOPELESS, NoAnswer, Rpc, Shim, Transport
from tests.chaos.ending import judge
from tests.chaos.pauses import Pauses, Probe
from tests.chaos.record import Call, Operation, Seen
from tests.chaos.report import Report
from tests.chaos.server import RELEASE, Server
from tests.waiting import until

CLIENTS = 200
SHIMS = 5
"""One client in so many is a shim."""
RETRY = 0.5
"""Seconds between two tries of an XML-RPC client; those of resalloc take three."""
SHIM_RETRY = 3.0
"""The longest pause (seconds) between two tries of the shim."""
ALLOWED = 1.0
"""Seconds that any answer may take beyond the pause. Two processors are busy for two thirds of the time with clients,
server and hooks; other work on the machine takes its share of the second.
"""


def run(seconds: float, seed: int, clients: int = CLIENTS, allowed: float = ALLOWED) -> Report:
    """Go on for so long and a little more; the seed decides what is done when."""
    report = Report("redeploy")
    with tempfile.TemporaryDirectory(prefix="resalloc-redeploy-") as folder:
        server = Server(Path(folder))
        server.set_pools(_pools(clients, 0))
        try:
            server.start()
            _Redeploy(server, clients, seed, report).run(seconds, allowed)
        except AssertionError as error:
            report.faults.append(str(error))
        finally:
            server.stop()
    return report


def _pools(clients: int, edition: int) -> dict[str, dict[str, Any]]:
    """Resources that clients with a sandbox get again and again, and that are deleted after one use otherwise."""
    return {
        "demo": {
            "description": f"edition {edition}",
            "max": 4 * clients + edition % 3,
            "max_starting": 16,
            "max_prealloc": max(6, clients // 8),
            "cmd_release": RELEASE if edition % 2 else None,
            "reuse_opportunity_time": 20,
            "tags": ["work"],
        }
    }


@dataclass(frozen=True)
class _Asked:
    """One request until its answer, tries included. Times are seconds of the monotonic clock; `repeated`: whether
    its client asked again, which the shim does by itself, unseen.
    """

    call: Call
    begun: float
    ended: float
    shim: bool
    repeated: bool

    def late(self, pauses: Pauses) -> float:
        """How many seconds it took, without the time that something was down and the client's own pause."""
        down = pauses.within(self.begun, self.ended)
        own = (SHIM_RETRY if down else 0.0) if self.shim else (RETRY if self.repeated else 0.0)
        return max(0.0, self.ended - self.begun - down - own)


class _Redeploy:
    def __init__(self, server: Server, clients: int, seed: int, report: Report) -> None:
        self.server = server
        self.report = report
        self.pauses = Pauses()
        self.source = random.Random(seed)
        self.stop = threading.Event()
        self.record: list[Operation] = []
        self.asked: list[_Asked] = []
        self.edition = 0
        self.warm: set[int] = set()
        self.warm_at = 0.0
        self.use = max(0.3, clients / 40)
        """The mean time (seconds) that a client has its resource, such that two processors are not the limit."""
        self.threads = [
            threading.Thread(target=self._client, args=(number, f"{seed} client {number}")) for number in range(clients)
        ]

    def run(self, seconds: float, allowed: float) -> None:
        with Probe(self.server.address, self.pauses):
            for thread in self.threads:
                thread.start()
            try:
                self._redeploy(seconds)
            finally:
                self.stop.set()
                for thread in self.threads:
                    thread.join()
        self._judge(allowed)

    # What is done to the server

    def _redeploy(self, seconds: float) -> None:
        """One deed after the other, for so long."""
        deeds = (
            self._reload_web,
            self._restart_web,
            self._kill_scheduler,
            self._change_pools,
            self._restart_scheduler,
            self._kill_web,
        )
        # Until the first resource of each client has been made, they wait for those and not for what is done here.
        until(lambda: self.warm == set(range(len(self.threads))) or self.report.faults, 120, "all clients' resources")
        self.warm_at = time.monotonic()
        number = 0
        while time.monotonic() < self.warm_at + seconds:
            self.stop.wait(self.source.uniform(0.5, 2.5))
            what = deeds[number % len(deeds)]
            what()
            self.report.count(what.__name__.strip("_").replace("_", " "))
            self.server.close_lost(self.record)
            number += 1
        self.stop.wait(1)

    def _reload_web(self) -> None:
        self.server.send("web", signal.SIGHUP)

    def _restart_web(self) -> None:
        self.server.end("web")
        self.server.begin_ready("web")

    def _kill_web(self) -> None:
        self.server.end("web", signal.SIGKILL)
        self.server.begin_ready("web")

    def _kill_scheduler(self) -> None:
        self._replace_scheduler(signal.SIGKILL)

    def _restart_scheduler(self) -> None:
        self._replace_scheduler(signal.SIGTERM)

    def _replace_scheduler(self, number: int) -> None:
        begin = time.monotonic()
        self.server.end("scheduler", number)
        self.server.begin_ready("scheduler")
        self.pauses.add(begin, time.monotonic())

    def _change_pools(self) -> None:
        self.edition += 1
        self.server.set_pools(_pools(len(self.threads), self.edition))

    # Clients

    def _client(self, number: int, seed: str) -> None:
        shim = number % SHIMS == 0
        try:
            transport: Transport = Shim(self.server.address, 600) if shim else Rpc(self.server.address, 600)
            self._live(number, transport, random.Random(seed), f"sandbox {number}" if number % 10 else None)
        except Exception as error:
            self.report.faults.append(f"client {number} ({'shim' if shim else 'XML-RPC'}) saw {error!r}")

    def _live(self, number: int, transport: Transport, source: random.Random, sandbox: str | None) -> None:
        while not self.stop.is_set():
            ticket = self._ask(transport, Call.TAKE, partial(transport.take, "work", sandbox, ""), sandbox=sandbox)
            seen, resource = self._ask(transport, Call.READ, partial(transport.read, ticket, True), ticket=ticket)
            if seen is not Seen.ASSIGNED or resource is None:
                raise AssertionError(f"ticket {ticket}: {seen}, resource {resource}")
            self.warm.add(number)
            self.stop.wait(source.uniform(0.5, 1.5) * self.use)
            if self._ask(transport, Call.CLOSE, partial(transport.close, ticket), ticket=ticket) is not Seen.CLOSED:
                raise AssertionError(f"ticket {ticket} cannot be closed")
            self.stop.wait(source.uniform(0, 0.5) * self.use)

    def _ask(self, transport: Transport, call: Call, ask: Callable[[], Any], **facts: Any) -> Any:
        """The answer, asked for until it comes."""
        begun = time.monotonic()
        repeated = False
        while True:
            invoked = time.time()
            try:
                answer = ask()
            except NoAnswer as error:
                self.record.append(Operation(call=call, invoked=invoked, **facts))
                if time.monotonic() - begun > HOPELESS:
                    raise AssertionError(f"{call}: no answer for {HOPELESS:g} s, at last: {error}") from error
                repeated = True
                time.sleep(RETRY)
                continue
            self.asked.append(_Asked(call, begun, time.monotonic(), isinstance(transport, Shim), repeated))
            fields: dict[str, Any] = dict(facts)
            if call is Call.TAKE:
                fields["ticket"] = answer
            elif call is Call.READ:
                fields["seen"], fields["resource"] = answer
            self.record.append(Operation(call=call, invoked=invoked, returned=time.time(), **fields))
            return answer

    # The end

    def _judge(self, allowed: float) -> None:
        report = self.report
        late = sorted(asked.late(self.pauses) for asked in self.asked if asked.ended > self.warm_at)
        if not late:
            raise AssertionError(f"no client was served: {report.faults}")
        report.count("clients", len(self.threads))
        report.count("requests that clients repeated", sum(asked.repeated for asked in self.asked))
        report.figures["longest pause"] = f"{self.pauses.longest:.2f} s"
        report.figures["beyond the pauses, 99 % under"] = f"{late[len(late) * 99 // 100]:.2f} s"
        report.figures["beyond the pauses, at most"] = f"{late[-1]:.2f} s"
        if late[-1] > allowed:
            report.faults.append(f"clients waited up to {late[-1]:.2f} s longer than something was down")
        judge(self.server, self.record, report)
