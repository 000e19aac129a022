"""Records of the requests and replies of clients and operators, and what can be wrong with them (see `linear.py`).

Times are seconds of one clock, that of the server too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from state.documents import Ticket

FOREVER = float("inf")


class Call(StrEnum):
    TAKE = "take"
    READ = "read"
    """Any question for the ticket's resource, waiting for it or not."""
    CLOSE = "close"


class Seen(StrEnum):
    """The state of a ticket in a reply, besides its resource."""

    OPEN = "open"
    CLOSED = "closed"
    FAILED = "failed"
    ASSIGNED = "assigned"
    """It has, or had, a resource."""
    UNKNOWN = "unknown"
    """The server says that there is no such ticket."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One request. Times are seconds of one clock; `returned` is None when no answer came.

    `ticket` is what a TAKE was answered, else what was asked about. `key` joins the tries of one TAKE: all of them ask
    for the same ticket. `sandbox` belongs to a TAKE. `resource` is what an answer to a READ shows as granted.
    `bad`: a CLOSE said that the resource is bad; all closes of a ticket say the same.
    """

    call: Call
    invoked: float
    returned: float | None = None
    ticket: int | None = None
    key: str | None = None
    sandbox: str | None = None
    resource: str | None = None
    seen: Seen = Seen.ASSIGNED
    bad: bool = False


@dataclass(frozen=True)
class Kept:
    """A resource was certainly held by an operator: from when that was seen until it was over, or its end asked for."""

    resource: str
    begin: float
    end: float


@dataclass(frozen=True)
class Ending:
    """The documents on disk at the end, when which resource's `cmd_delete` began, and what operators held."""

    tickets: Mapping[int, Ticket]
    deletes: Sequence[tuple[str, float]] = ()
    kept: Sequence[Kept] = ()


class Rule(StrEnum):
    """The rules that can be broken."""

    ID_REUSED = "id reused"
    KEY_SPLIT = "key gave two tickets"
    ORDER = "ids out of order"
    LOST_TICKET = "lost ticket"
    LOST_CLOSE = "lost close"
    LOST_GRANT = "lost grant"
    CHANGED_GRANT = "changed grant"
    DOUBLE_GRANT = "double grant"
    SANDBOX = "sandbox broken"
    DELETED_IN_USE = "deleted in use"
    HELD = "given or deleted while held"
    BAD = "bad and used again"
    LOST_WORD = "lost word against a resource"


@dataclass(frozen=True)
class Fault:
    rule: Rule
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"
