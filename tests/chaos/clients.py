"""Clients that record their requests and the replies: over HTTP, over XML-RPC, through the shim."""

import http.client
import os
import random
import subprocess
import threading
import time
import urllib.parse
import uuid
import xmlrpc.client
from typing import Any, Protocol
from xml.parsers.expat import ExpatError

from tests.chaos.record import Call, Operation, Seen
from tests.system.farm import SHIM

PATIENCE = 10.0
"""Seconds after which an answer counts as lost."""
HOPELESS = 60.0
"""Seconds after which a failure counts as not cured by trying again."""

Answer = tuple[Seen, str | None]
"""The state of a ticket in a reply, and the resource that it shows."""


class NoAnswer(Exception):
    """No reply came, or one without content: the request may have been carried out."""


class Unexpected(Exception):
    """An answer that a client should never see."""


class Transport(Protocol):
    """The calls of one client. All of them raise NoAnswer and Unexpected."""

    keyed: bool
    """Whether a take can be repeated without making a second ticket."""
    outspoken: bool
    """Whether a close can say that the resource is bad."""

    def take(self, tag: str, sandbox: str | None, key: str) -> int: ...
    def read(self, ticket: int, wait: bool) -> Answer: ...
    def close(self, ticket: int, bad: bool = False) -> Seen: ...


class Http:
    """Over HTTP, with an idempotency key."""

    keyed = outspoken = True

    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=PATIENCE)

    def _request(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str, str]:
        """Status, Ticket-State and body of an answer."""
        try:
            self._connection.request(method, path, body, headers)
            reply = self._connection.getresponse()
            content = reply.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NoAnswer(repr(error)) from error
        if reply.status >= 500:
            raise NoAnswer(f"{reply.status} {content}")
        return reply.status, reply.headers.get("Ticket-State", ""), content.strip()

    def take(self, tag: str, sandbox: str | None, key: str) -> int:
        form = urllib.parse.urlencode({"tag": tag} | ({"sandbox": sandbox} if sandbox else {}))
        kind = "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, "Idempotency-Key": key}
        status, _, content = self._request("POST", "/tickets", form, **headers)
        if status != 201:
            raise Unexpected(f"POST /tickets: {status} {content}")
        return int(content)

    def read(self, ticket: int, wait: bool) -> Answer:
        path = f"/tickets/{ticket}/wait?timeout=2&closed=1" if wait else f"/tickets/{ticket}/output?closed=1"
        status, state, content = self._request("GET", path)
        if status == 200:
            return Seen(state.lower()), content
        if status == 404:
            return Seen.UNKNOWN, None
        if status in (408, 409):
            return Seen.OPEN, None
        if status == 410:
            return Seen(state.lower()), None
        raise Unexpected(f"GET {path}: {status} {content}")

    def close(self, ticket: int, bad: bool = False) -> Seen:
        status, _, content = self._request("DELETE", f"/tickets/{ticket}{'?bad=broken' if bad else ''}")
        if status not in (200, 404):
            raise Unexpected(f"DELETE /tickets/{ticket}: {status} {content}")
        return Seen.CLOSED if status == 200 else Seen.UNKNOWN


class _Patient(xmlrpc.client.Transport):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = self._seconds
        return connection


class Rpc:
    """Over XML-RPC, as the clients of resalloc do it."""

    keyed = outspoken = False

    def __init__(self, address: tuple[str, int], patience: float = PATIENCE) -> None:
        url = f"http://{address[0]}:{address[1]}/RPC2"
        self._server = xmlrpc.client.ServerProxy(url, transport=_Patient(patience), allow_none=True)

    def _call(self, method: str, *parameters: Any) -> Any:
        try:
            return getattr(self._server, method)(*parameters)
        except xmlrpc.client.Fault:
            raise
        except (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError) as error:
            # Where a killed worker had sent no more than the head of a reply, xmlrpc parses an empty body.
            raise NoAnswer(repr(error)) from error

    def take(self, tag: str, sandbox: str | None, key: str) -> int:
        return int(self._call("takeTicket", [tag], sandbox))

    def read(self, ticket: int, wait: bool) -> Answer:
        if not wait:
            state = self._call("collectTicket", ticket)
            if state["ready"] is None:
                return Seen.UNKNOWN, None
            seen = Seen.FAILED if state["failed"] else Seen.CLOSED if state["closed"] else Seen.OPEN
            return seen, state["output"].data.decode().strip() if state["ready"] else None
        try:
            return Seen.ASSIGNED, self._call("waitTicket", ticket).data.decode().strip()
        except xmlrpc.client.Fault as fault:
            if "never had" in fault.faultString:
                return Seen.CLOSED, None
            return Seen.UNKNOWN, None

    def close(self, ticket: int, bad: bool = False) -> Seen:
        try:
            self._call("closeTicket", ticket)
        except xmlrpc.client.Fault:
            return Seen.UNKNOWN
        return Seen.CLOSED


class Shim:
    """Through shim/resalloc, which tries again by itself, here for `retry_seconds`."""

    keyed = False
    outspoken = True

    def __init__(self, address: tuple[str, int], retry_seconds: int = 30) -> None:
        self._retry_seconds = str(retry_seconds)
        self._command = [str(SHIM / "resalloc"), "--connection", f"http://{address[0]}:{address[1]}"]

    def _run(self, *arguments: str) -> tuple[int, str, str]:
        environment = {**os.environ, "RESALLOC_RETRY_SECONDS": self._retry_seconds}
        command = [*self._command, *arguments]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=90)
        except subprocess.TimeoutExpired as error:
            raise NoAnswer(repr(error)) from error
        if done.returncode and "curl: " in done.stderr:
            raise NoAnswer(done.stderr)
        return done.returncode, done.stdout.strip(), done.stderr

    def take(self, tag: str, sandbox: str | None, key: str) -> int:
        options = ["--sandbox", sandbox] if sandbox else []
        status, printed, trouble = self._run("ticket", "--tag", tag, *options)
        if status:
            raise Unexpected(f"resalloc ticket: {trouble}")
        return int(printed)

    def read(self, ticket: int, wait: bool) -> Answer:
        status, printed, trouble = self._run("ticket-wait" if wait else "ticket-check", str(ticket))
        if status == 0:
            return Seen.ASSIGNED if wait else Seen.OPEN, printed
        for word, seen in (("unknown: ", Seen.UNKNOWN), ("still waiting: ", Seen.OPEN), ("closed: ", Seen.CLOSED)):
            if word in trouble:
                return seen, printed or None
        if "failed: " in trouble:
            return Seen.FAILED, printed or None
        raise Unexpected(f"resalloc, of ticket {ticket}: {trouble}")

    def close(self, ticket: int, bad: bool = False) -> Seen:
        status, _, trouble = self._run("ticket-close", *(["--bad", "broken"] if bad else []), str(ticket))
        if status and "unknown: " not in trouble:
            raise Unexpected(f"resalloc ticket-close {ticket}: {trouble}")
        return Seen.UNKNOWN if status else Seen.CLOSED


class Recorded:
    """A client whose every request goes into `record`, in which times are Unix seconds, as on the server."""

    def __init__(self, transport: Transport, record: list[Operation]) -> None:
        self.transport = transport
        self._record = record

    def take(self, tag: str, sandbox: str | None, give_up: threading.Event) -> int | None:
        """A ticket, None when it is unknown whether there is one."""
        key = str(uuid.uuid4())
        while True:
            ticket = self._take_once(tag, sandbox, key)
            if ticket is not None or not self.transport.keyed or give_up.wait(0.1):
                break
        if ticket is not None and self.transport.keyed and ticket % 5 == 0:
            # As if the answer had got lost: the same key must be answered the same.
            self._take_once(tag, sandbox, key)
        return ticket

    def _take_once(self, tag: str, sandbox: str | None, key: str) -> int | None:
        invoked = time.time()
        ticket = None
        try:
            ticket = self.transport.take(tag, sandbox, key)
        except NoAnswer:
            pass
        self._note(Call.TAKE, invoked, ticket is not None, ticket=ticket, key=key, sandbox=sandbox)
        return ticket

    def read(self, ticket: int, wait: bool) -> Answer | None:
        """The reply about a ticket, None when there was none."""
        invoked = time.time()
        try:
            seen, resource = self.transport.read(ticket, wait)
        except NoAnswer:
            self._note(Call.READ, invoked, False, ticket=ticket)
            return None
        self._note(Call.READ, invoked, True, ticket=ticket, seen=seen, resource=resource)
        return seen, resource

    def close(self, ticket: int, bad: bool = False) -> bool:
        """Whether the close was answered."""
        invoked = time.time()
        try:
            seen = self.transport.close(ticket, bad)
        except NoAnswer:
            self._note(Call.CLOSE, invoked, False, ticket=ticket, bad=bad)
            return False
        self._note(Call.CLOSE, invoked, True, ticket=ticket, seen=seen, bad=bad)
        return True

    def _note(self, call: Call, invoked: float, answered: bool, **facts: Any) -> None:
        self._record.append(Operation(call=call, invoked=invoked, returned=time.time() if answered else None, **facts))


def live(
    client: Recorded,
    source: random.Random,
    sandboxes: list[str | None],
    stop: threading.Event,
    hold: float = 0.3,
    bad: float = 0.0,
) -> None:
    """Take, read, hold, close, over and over, in ways that differ, until `stop`. Raises Unexpected.

    `hold` is the longest time (seconds) between two reads of its ticket, `bad` how many of the closes call that bad.
    """
    while not stop.is_set():
        ticket = client.take("work", source.choice(sandboxes), stop)
        if ticket is None:
            stop.wait(0.1)
            continue
        abandoned = source.random() < 0.15
        if abandoned:
            # Just when it is about to be served.
            time.sleep(source.uniform(0, 0.03))
        while not abandoned and not stop.is_set():
            answer = client.read(ticket, wait=source.random() < 0.8)
            if answer is None or answer == (Seen.OPEN, None):
                stop.wait(0.1)
            else:
                break
        for _ in range(0 if abandoned else source.randrange(3)):
            stop.wait(source.uniform(0, hold))
            client.read(ticket, wait=False)
        hopeless = time.monotonic() + HOPELESS
        is_bad = client.transport.outspoken and source.random() < bad
        while not client.close(ticket, is_bad):
            if time.monotonic() > hopeless:
                raise Unexpected(f"ticket {ticket} cannot be closed for {HOPELESS:g} s")
            time.sleep(0.1)
        if source.random() < 0.3:
            client.read(ticket, wait=source.random() < 0.5)
