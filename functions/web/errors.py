"""Every error that a client can see: a status, a code for programs, and a sentence for people.

Functions raise these classes. `reply_error_of` turns errors of the store and of Flask into them; anything else becomes
`InternalError`. web/replies.py makes replies of them, tickets/xmlrpc.py faults.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.exceptions import NotFound as NoSuchPath

from config.errors import Problem
from state import errors as state_errors
from state.documents import Resource, Ticket, TicketState

BODY_LIMIT = 64 * 1024
"""Bytes of a body where a function sets no limit of its own."""
MOST_FAULTS = 100
"""How many faults of a file an error lists."""
SHOWN = 60
"""How many characters of a client's text a sentence repeats."""
_SOON = {"Retry-After": "1"}


class ReplyError(Exception):
    """Base of all errors that become replies. `str(error)` is the sentence; several faults are one a line.

    `field` names what is wrong in the request, `headers` go into the reply, `facts` into `error` of a reply in JSON.
    """

    status: int
    code: str
    field: str | None = None
    headers: Mapping[str, str] = {}
    facts: Mapping[str, Any] = {}

    @property
    def sentence(self) -> str:
        """What happened, to which object, and what to do."""
        return str(self)


class BadParameter(ReplyError):
    """A value in the path, the query or a header is wrong: `field` names it, `why` ends "The FIELD ..."."""

    status, code = 400, "bad_parameter"

    def __init__(self, field: str, why: str) -> None:
        plain = field.isascii() and field.replace("-", "").isidentifier() and len(field) <= SHOWN
        super().__init__(f"The {field if plain else shown(field)} {why}.")
        self.field = field
        self.why = why


class BadField(ReplyError):
    """A field of the body is wrong: `field` names it, `why` ends the sentence "The field FIELD ..."."""

    status, code = 422, "bad_field"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"The field {shown(field)} {why}.")
        self.field = field
        self.why = why


class MalformedBody(ReplyError):
    """The body is not what its Content-Type says; `sentence` says why."""

    status, code = 400, "malformed_body"


class UnsupportedBody(ReplyError):
    """The body has a Content-Type that is not in `known`; `content_type` may be empty."""

    status, code = 415, "unsupported_body"

    def __init__(self, content_type: str, known: str = "application/x-www-form-urlencoded or application/json") -> None:
        kind = shown(content_type) if content_type else "a body without Content-Type"
        super().__init__(f"The body must be {known}, not {kind}.")


class BodyTooLarge(ReplyError):
    """The body has more than `limit` bytes."""

    status, code = 413, "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is over {limit // 1024} KiB.")


class FaultyPools(ReplyError):
    """The body is a pools.yaml with these problems."""

    status, code = 422, "faulty_pools"

    def __init__(self, problems: Sequence[Problem]) -> None:
        listed = problems[:MOST_FAULTS]
        lines = [str(problem) for problem in listed]
        if len(problems) > MOST_FAULTS:
            lines.append(f"and {len(problems) - MOST_FAULTS} more")
        super().__init__("\n".join(lines))
        self.facts = {
            "faults": [
                {"line": problem.line, "pool": problem.where, "option": problem.option, "message": problem.message}
                for problem in listed
            ]
        }


class CrossSite(ReplyError):
    """A web page of another site made the browser send this; `origin` is where it came from."""

    status, code = 403, "cross_site"

    def __init__(self, origin: str) -> None:
        super().__init__(f"Requests from pages of {shown(origin)} are refused.")


class KeyReused(ReplyError):
    """The Idempotency-Key was used before with another body, for `ticket`."""

    status, code, field = 422, "key_reused", "Idempotency-Key"

    def __init__(self, ticket: int) -> None:
        super().__init__(f"This Idempotency-Key was sent before with another body, for ticket {ticket}.")


class PoolDrains(ReplyError):
    """The pool drains, so it cannot be paused as well."""

    status, code = 409, "pool_drains"

    def __init__(self, pool: str) -> None:
        super().__init__(f"Pool {pool} drains, so it starts nothing already. To pause it instead, resume it first.")


class Held(ReplyError):
    """An operator holds `resource`, so it is not deleted."""

    status, code = 409, "held"

    def __init__(self, resource: Resource) -> None:
        why = f" ({resource.held_reason})" if resource.held_reason else ""
        super().__init__(f"Resource {resource.id} is held{why}. Release it first: resource-release {resource.id}.")


class NotUp(ReplyError):
    """`resource` is not UP, so it cannot be held."""

    status, code = 409, "not_up"

    def __init__(self, resource: Resource) -> None:
        super().__init__(f"Resource {resource.id} is {resource.state}; only a resource that is UP can be held.")


class ResourceEnded(ReplyError):
    """`resource` has ended, so nothing can be done with it."""

    status, code, field = 404, "unknown_resource", "id"

    def __init__(self, resource: Resource) -> None:
        super().__init__(f"Resource {resource.id} has ended.")


class AlreadyUnderWay(ReplyError):
    """`what` is so expensive that it runs once at a time."""

    status, code, headers = 429, "under_way", _SOON

    def __init__(self, what: str) -> None:
        super().__init__(f"There is {what} under way already.")


class StillWaiting(ReplyError):
    """`ticket` has no resource yet; `why` is a clause."""

    status, code = 409, "still_waiting"

    def __init__(self, ticket: Ticket, why: str) -> None:
        super().__init__(f"Ticket {ticket.id} still waits: {why}.")
        self.headers = {"Ticket-State": ticket.state.value}


class WaitedTooLong(StillWaiting):
    """`ticket` still waits after the time that the client allowed, or because this process stops."""

    status = 408

    def __init__(self, ticket: Ticket, why: str) -> None:
        super().__init__(ticket, why)
        self.headers = {**_SOON, **self.headers}


class TicketOver(ReplyError):
    """`ticket` is closed or failed."""

    status, code = 410, "ticket_over"

    def __init__(self, ticket: Ticket) -> None:
        reason = f": {ticket.reason}" if ticket.reason else ""
        super().__init__(f"Ticket {ticket.id} {ended(ticket)}{reason}.")
        self.headers = {"Ticket-State": ticket.state.value}


class CutShort(ReplyError):
    """The wait for `ticket` ends without an answer because this process stops."""

    status, code, headers = 503, "cut_short", _SOON

    def __init__(self, ticket: Ticket) -> None:
        super().__init__(f"The wait for ticket {ticket.id} was cut short because this server stops. Try again.")


class Unknown(ReplyError):
    """There is no document of this kind with this id or name."""

    status, field = 404, "id"

    def __init__(self, kind: str, key: int | str) -> None:
        super().__init__(f"There is no {kind} {key if isinstance(key, int) else shown(key)}.")
        self.code = f"unknown_{kind}"


class UnknownPath(ReplyError):
    """No function has this path."""

    status, code = 404, "unknown_path"

    def __init__(self, path: str) -> None:
        super().__init__(f"There is nothing at {shown(path)}.")


class WrongMethod(ReplyError):
    """The path has functions, but not with this method."""

    status, code = 405, "wrong_method"

    def __init__(self, method: str, path: str, allowed: Sequence[str]) -> None:
        listed = ", ".join(sorted(allowed))
        super().__init__(f"{method} is not possible at {shown(path)}, only {listed}.")
        self.headers = {"Allow": listed}


class BadRequest(ReplyError):
    """Flask or werkzeug refused the request, with this status."""

    code = "bad_request"

    def __init__(self, status: int, name: str) -> None:
        super().__init__(f"The request cannot be served: {name.lower()}.")
        self.status = status


class Conflicting(ReplyError):
    """Another process changed the document in the meantime."""

    status, code = 409, "conflict"


class WriteLost(ReplyError):
    """A write did not reach the disk, so this process writes nothing more."""

    status, code, headers = 503, "store_frozen", _SOON

    def __init__(self) -> None:
        super().__init__("The disk failed to keep a write; this server must be restarted.")


class DocumentUnreadable(ReplyError):
    """A document is corrupt."""

    status, code, headers = 503, "store_unreadable", _SOON

    def __init__(self) -> None:
        super().__init__("A state document cannot be read.")


class WrittenByNewerVersion(ReplyError):
    """A document has a word that this version does not know."""

    status, code, headers = 503, "store_unreadable", _SOON

    def __init__(self, kind: str, key: int | str) -> None:
        name = {"poolrecord": "Pool"}.get(kind, kind.capitalize())
        super().__init__(f"{name} {key} was written by a newer version of this program.")


class StateFolderUnusable(ReplyError):
    """The store cannot be used."""

    status, code, headers = 503, "store_unavailable", _SOON

    def __init__(self) -> None:
        super().__init__("The state folder cannot be used at the moment.")


class InternalError(ReplyError):
    """A fault of this program."""

    status, code = 500, "internal_error"

    def __init__(self) -> None:
        super().__init__("The server made an error; its log says more.")


def reply_error_of(error: Exception) -> ReplyError:
    """The error for the client, for any error that a function raised."""
    match error:
        case ReplyError():
            return error
        case state_errors.StateError() | OSError():
            return _of_store(error)
        case NoSuchPath():
            return UnknownPath(request.path)
        case MethodNotAllowed():
            return WrongMethod(request.method, request.path, tuple(error.valid_methods or ()))
        case RequestEntityTooLarge():
            return BodyTooLarge(request.max_content_length or BODY_LIMIT)
        case HTTPException() if error.code is not None and error.code < 500:
            return BadRequest(error.code, error.name)
    return InternalError()


def _of_store(error: Exception) -> ReplyError:
    match error:
        case state_errors.NotFound():
            return Unknown(error.kind, error.key)
        case state_errors.Conflict():
            return Conflicting(f"The {error.kind} {error.key} has changed: {error.reason}.")
        case state_errors.StoreFrozen():
            return WriteLost()
        case state_errors.CorruptDocument():
            return DocumentUnreadable()
        case state_errors.NewerDocument():
            return WrittenByNewerVersion(error.kind, error.key)
    return StateFolderUnusable()


def shown(value: str) -> str:
    """A client's text in quotes, escaped and shortened, for use in a sentence."""
    return repr(value if len(value) <= SHOWN else value[:SHOWN] + "...")


def ended(ticket: Ticket) -> str:
    """What a sentence says of a ticket that is closed or failed."""
    return "has failed" if ticket.state is TicketState.FAILED else "is closed"
