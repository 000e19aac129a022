"""The table from errors to status codes, words and sentences."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flask import request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.exceptions import NotFound as NoSuchPath

from config.errors import Problem
from functions.web import errors
from functions.web.errors import shown
from state import errors as state_errors

BODY_LIMIT = 64 * 1024
"""Bytes of a body where a function says nothing else."""
MOST_FAULTS = 100
"""Faults of a file that are told one by one."""


class Answer(NamedTuple):
    """What a client is told instead of what it wanted: a status, a word for programs, a sentence for people (of several
    faults one a line), and what programs can know besides.
    """

    status: int
    code: str
    sentence: str
    field: str | None = None
    headers: Mapping[str, str] = {}
    more: Mapping[str, Any] = {}


def answer_to(error: Exception) -> Answer:
    """The table from errors to status codes."""
    soon = {"Retry-After": "1"}
    match error:
        case errors.BadParameter():
            return Answer(400, "bad_parameter", f"The {error.field} {error.why}.", error.field)
        case errors.BadField():
            return Answer(422, "bad_field", f"The field {shown(error.field)} {error.why}.", error.field)
        case errors.MalformedBody():
            return Answer(400, "malformed_body", error.why)
        case errors.UnsupportedBody():
            kind = shown(error.content_type) if error.content_type else "a body without Content-Type"
            return Answer(415, "unsupported_body", f"The body must be {error.known}, not {kind}.")
        case errors.FaultyPools():
            return _faults(error.problems)
        case errors.CrossSite():
            return Answer(403, "cross_site", f"Requests from pages of {shown(error.origin)} are refused.")
        case errors.KeyReused():
            sentence = f"This Idempotency-Key was sent before with another body, for ticket {error.ticket}."
            return Answer(422, "key_reused", sentence, "Idempotency-Key")
        case errors.PoolDrains():
            sentence = f"Pool {error.pool} drains, so it starts nothing anyhow. Resume it first to pause it instead."
            return Answer(409, "pool_drains", sentence)
        case errors.Held():
            resource = error.resource
            why = f" ({resource.held_reason})" if resource.held_reason else ""
            sentence = f"Resource {resource.id} is held{why}. Release it first: resource-release {resource.id}."
            return Answer(409, "held", sentence)
        case errors.NotUp():
            resource = error.resource
            return Answer(
                409, "not_up", f"Resource {resource.id} is {resource.state}; only one that is UP can be held."
            )
        case errors.AlreadyUnderWay():
            return Answer(429, "under_way", f"There is {error.what} under way already.", None, soon)
        case errors.WaitedTooLong():
            headers = {**soon, "Ticket-State": error.ticket.state.value}
            return Answer(408, "still_waiting", f"Ticket {error.ticket.id} still waits: {error.why}.", None, headers)
        case errors.StillWaiting():
            headers = {"Ticket-State": error.ticket.state.value}
            return Answer(409, "still_waiting", f"Ticket {error.ticket.id} still waits: {error.why}.", None, headers)
        case errors.CutShort():
            return Answer(503, "cut_short", f"The wait for ticket {error.ticket.id} was cut short.", None, soon)
        case errors.TicketOver():
            ticket = error.ticket
            reason = f": {ticket.reason}" if ticket.reason else ""
            headers = {"Ticket-State": ticket.state.value}
            return Answer(410, "ticket_over", f"Ticket {ticket.id} {errors.ended(ticket)}{reason}.", None, headers)
        case state_errors.NotFound():
            key = error.key if isinstance(error.key, int) else shown(error.key)
            return Answer(404, f"unknown_{error.kind}", f"There is no {error.kind} {key}.", "id")
        case state_errors.Conflict():
            return Answer(409, "conflict", f"The {error.kind} {error.key} has changed: {error.why}.")
        case state_errors.StoreFrozen():
            return Answer(503, "store_frozen", "The disk failed to keep a write; this server must be restarted.",
                          None, soon)  # fmt: skip
        case state_errors.CorruptDocument():
            return Answer(503, "store_unreadable", "A state document cannot be read.", None, soon)
        case state_errors.StateError() | OSError():
            return Answer(503, "store_unavailable", "The state folder cannot be used at the moment.", None, soon)
        case NoSuchPath():
            return Answer(404, "unknown_path", f"There is nothing at {shown(request.path)}.")
        case MethodNotAllowed():
            allowed = ", ".join(sorted(error.valid_methods or ()))
            sentence = f"{request.method} is not possible at {shown(request.path)}, only {allowed}."
            return Answer(405, "wrong_method", sentence, None, {"Allow": allowed})
        case RequestEntityTooLarge():
            limit = (request.max_content_length or BODY_LIMIT) // 1024
            return Answer(413, "body_too_large", f"The body is over {limit} KiB.")
        case HTTPException() if error.code is not None and error.code < 500:
            return Answer(error.code, "bad_request", f"The request cannot be served: {error.name.lower()}.")
        case _:
            return Answer(500, "internal_error", "The server made an error; its log says more.")


def _faults(problems: Sequence[Problem]) -> Answer:
    told = [str(problem) for problem in problems[:MOST_FAULTS]]
    if len(problems) > MOST_FAULTS:
        told.append(f"and {len(problems) - MOST_FAULTS} more")
    faults = [
        {"line": problem.line, "pool": problem.where, "option": problem.option, "message": problem.message}
        for problem in problems[:MOST_FAULTS]
    ]
    return Answer(422, "faulty_pools", "\n".join(told), more={"faults": faults})
