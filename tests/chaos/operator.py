"""An operator who holds one resource after the other for a while, and records when each was certainly held."""

import http.client
import json
import random
import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from tests.chaos.record import Kept
from tests.chaos.report import Report

PATIENCE = 5.0
"""Seconds until an answer counts as lost."""
LONGEST = 4
"""Seconds of the longest hold."""


class Operator(AbstractContextManager["Operator"]):
    """A thread that holds and releases, while other things are killed. `seed` decides what it does."""

    def __init__(self, address: tuple[str, int], seed: int, report: Report) -> None:
        self.kept: list[Kept] = []
        self._address = address
        self._source = random.Random(f"{seed} operator")
        self._report = report
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "Operator":
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(self._source.uniform(0.05, 0.4)):
            up = [found["id"] for found in self._resources() if found["state"] == "UP" and not found["held_until"]]
            if up:
                self._hold(self._source.choice(up))

    def _hold(self, number: int) -> None:
        span = self._source.randint(1, LONGEST)
        over = time.monotonic() + span
        if self._ask("POST", f"/resources/{number}/hold", {"reason": "to inspect it", "for": f"{span}s"}) is None:
            return
        until = self._seen_held(number, over)
        begin = time.time()
        if until is None:
            return
        released = self._source.random() < 0.5
        if released:
            self._stop.wait(self._source.uniform(0, max(0.0, until - begin)))
            end = min(until, time.time())
            self._ask("POST", f"/resources/{number}/release", {})
        else:
            self._stop.wait(max(0.0, until - begin))
            end = min(until, time.time())
        self.kept.append(Kept(str(number), begin, end))
        self._report.count("holds released" if released else "holds that ended")

    def _seen_held(self, number: int, over: float) -> float | None:
        """The end of the hold (Unix seconds); None when the resource was deleted or time ran out before it was held."""
        while time.monotonic() < over and not self._stop.wait(0.02):
            for found in self._resources():
                if found["id"] == number and found["state"] in ("UP", "RELEASING"):
                    if found["held_until"]:
                        return float(found["held_until"])
                    break
            else:
                return None
        return None

    def _resources(self) -> list[Any]:
        """All that live; asked for until there is an answer, or none is wanted any more."""
        while not self._stop.is_set():
            answer = self._ask("GET", "/resources")
            if answer is not None:
                resources: list[Any] = answer["resources"]
                return resources
            self._stop.wait(0.1)
        return []

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        """The answer, None when none came or it is no good one: a resource may go at any time."""
        connection = http.client.HTTPConnection(*self._address, timeout=PATIENCE)
        try:
            headers = {"Accept": "application/json", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            content = reply.read()
            return json.loads(content) if reply.status < 300 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
