"""Requests in, replies out: forms and JSON, text and JSON, and one table from errors to status codes."""

import logging
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec
from flask import Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.exceptions import NotFound as NoSuchPath

from functions import errors
from state import errors as state_errors

log = logging.getLogger(__name__)

BODY_LIMIT = 64 * 1024
HIGHEST_ID = 2**53
_SHOWN = 60
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_YES = frozenset(("1", "true", "yes", "on"))
_NO = frozenset(("0", "false", "no", "off", ""))


def text_reply(text: str | bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply for people and shells."""
    return Response(text, status, headers, content_type="text/plain; charset=utf-8")


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply for programs: one line of JSON."""
    return Response(msgspec.json.encode(value) + b"\n", status, headers, content_type="application/json")


def bytes_reply(content: bytes, headers: Mapping[str, str]) -> Response:
    """A reply with exactly these bytes."""
    return Response(content, 200, headers, content_type="application/octet-stream")


def wants_json() -> bool:
    """Whether the client sent JSON or prefers it to text."""
    if is_json(request.content_type):
        return True
    accept = request.headers.get("Accept")
    if not accept or accept == "*/*":
        return False
    return request.accept_mimetypes.best_match(("text/plain", "application/json")) == "application/json"


def is_json(content_type: str | None) -> bool:
    """Whether this is `application/json` or `application/ANYTHING+json`."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def shown(value: str) -> str:
    """A client's text in quotes, escaped and shortened, for use in a sentence."""
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")


def read_id(text: str, kind: str) -> int:
    """The number of a ticket or resource out of a path; raises BadParameter."""
    if text.isascii() and text.isdigit() and len(text) <= 17 and 1 <= (number := int(text)) <= HIGHEST_ID:
        return number
    raise errors.BadParameter("id", f"of a {kind} is a whole number from 1 to {HIGHEST_ID}, not {shown(text)}")


class Query:
    """The parameters after the `?`. Ask for each that is known, then `finish`; all raise BadParameter."""

    def __init__(self) -> None:
        self._values = request.args.to_dict(flat=False) if request.query_string else {}

    def string(self, name: str) -> str | None:
        values = self._values.pop(name, None)
        if values is not None and len(values) > 1:
            raise errors.BadParameter(name, "may be given only once")
        return values[0] if values else None

    def seconds(self, name: str, default: float, most: float) -> float:
        value = self.string(name)
        return default if value is None else self._number(name, value, most)

    def whole(self, name: str, default: int, most: int) -> int:
        value = self.string(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 17 and int(value) <= most):
            raise errors.BadParameter(name, f"must be a whole number from 0 to {most}, not {shown(value)}")
        return int(value)

    def flag(self, name: str) -> bool:
        value = self.string(name)
        return False if value is None else _flag(name, value, errors.BadParameter)

    def finish(self) -> None:
        for name in self._values:
            raise errors.BadParameter(name, "is not known here")

    def _number(self, name: str, value: str, most: float) -> float:
        try:
            number = float(value) if value.isascii() and "_" not in value else math.nan
        except ValueError:
            number = math.nan
        if not 0 <= number <= most:
            raise errors.BadParameter(name, f"must be a number of seconds from 0 to {most:g}, not {shown(value)}")
        return number


class Body:
    """The fields of a form or of a JSON object. Ask for each that is known, then `finish`.

    Raises MalformedBody and UnsupportedBody when it is neither, BadField for fields that cannot be taken.
    """

    def __init__(self) -> None:
        self._json: dict[str, Any] | None = None
        self._form: dict[str, list[str]] = {}
        content = request.get_data(cache=False)
        if is_json(request.content_type):
            self._json = _json_object(content)
        elif request.mimetype == "application/x-www-form-urlencoded" or not content:
            self._form = _form(content)
        else:
            raise errors.UnsupportedBody(request.content_type or "")

    def strings(self, name: str, form_name: str) -> tuple[str, list[str]]:
        """A list of texts, and what it is called: in a form the field `form_name`, given again and again."""
        if self._json is None:
            return form_name, self._form.pop(form_name, [])
        value = self._json.pop(name, None)
        if value is None:
            return name, []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise errors.BadField(name, "must be a list of strings")
        return name, value

    def string(self, name: str) -> str | None:
        if self._json is None:
            values = self._form.pop(name, [])
            if len(values) > 1:
                raise errors.BadField(name, "may be given only once")
            return values[0] if values else None
        value = self._json.pop(name, None)
        if value is not None and not isinstance(value, str):
            raise errors.BadField(name, "must be a string")
        return value

    def flag(self, name: str) -> bool:
        if self._json is None:
            value = self.string(name)
            return False if value is None else _flag(name, value, errors.BadField)
        value = self._json.pop(name, False)
        if not isinstance(value, bool):
            raise errors.BadField(name, "must be true or false")
        return value

    def finish(self) -> None:
        for name in self._json if self._json is not None else self._form:
            raise errors.BadField(name, "is not known here")


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.MalformedBody(f"The body is not JSON: {str(error) or type(error).__name__}.") from error
    if not isinstance(value, dict):
        raise errors.MalformedBody("The body must be a JSON object.")
    return value


def _form(content: bytes) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for pair in content.split(b"&"):
        if not pair:
            continue
        name, equals, value = pair.replace(b"+", b" ").partition(b"=")
        if not equals or _BROKEN_ESCAPE.search(pair):
            raise errors.MalformedBody("The body is not a form: NAME=VALUE pairs joined by &, escaped with %XX.")
        try:
            fields.setdefault(unquote_to_bytes(name).decode(), []).append(unquote_to_bytes(value).decode())
        except UnicodeDecodeError as error:
            raise errors.MalformedBody("The body is a form that is not in UTF-8.") from error
    return fields


def _flag(name: str, value: str, error: type[errors.BadParameter] | type[errors.BadField]) -> bool:
    if value.lower() in _YES:
        return True
    if value.lower() in _NO:
        return False
    raise error(name, f"must be 1 or 0, not {shown(value)}")


def refuse_cross_site() -> None:
    """Raises CrossSite for what a web page of another site makes a browser send."""
    origin = request.headers.get("Origin")
    if origin is not None:
        hosts = (request.headers.get("Host"), request.headers.get("X-Forwarded-Host"))
        if not (host := _host_of(origin)) or host not in hosts:
            raise errors.CrossSite(origin)
    elif request.method not in ("GET", "HEAD") and request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise errors.CrossSite("another site")


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


class Answer(NamedTuple):
    """What a client is told instead of what it wanted: a status, a word for programs, a sentence for people."""

    status: int
    code: str
    sentence: str
    field: str | None = None
    headers: Mapping[str, str] = {}


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
            known = "application/x-www-form-urlencoded or application/json"
            return Answer(415, "unsupported_body", f"The body must be {known}, not {kind}.")
        case errors.CrossSite():
            return Answer(403, "cross_site", f"Requests from pages of {shown(error.origin)} are refused.")
        case errors.KeyReused():
            sentence = f"This Idempotency-Key was sent before with another body, for ticket {error.ticket}."
            return Answer(422, "key_reused", sentence, "Idempotency-Key")
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
            return Answer(410, "ticket_over", f"Ticket {ticket.id} is {ticket.state.lower()}{reason}.", None, headers)
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
            return Answer(413, "body_too_large", f"The body is over {BODY_LIMIT // 1024} KiB.")
        case HTTPException() if error.code is not None and error.code < 500:
            return Answer(error.code, "bad_request", f"The request cannot be served: {error.name.lower()}.")
        case _:
            return Answer(500, "internal_error", "The server made an error; its log says more.")


def reply_to_error(error: Exception) -> Response:
    """The one shape of errors: a sentence in text, or JSON `{"error": {code, message, field, status}}`."""
    answer = answer_to(error)
    if isinstance(error, state_errors.StateError | OSError) and answer.status == 503:
        log.error("%s %s: %s", request.method, request.path, error)
    elif answer.status == 500:
        log.error("%s %s failed", request.method, request.path, exc_info=error)
    if wants_json():
        fields = {"code": answer.code, "message": answer.sentence, "field": answer.field, "status": answer.status}
        return json_reply({"error": fields}, answer.status, answer.headers)
    return text_reply(answer.sentence + "\n", answer.status, answer.headers)


def finish(response: Response) -> Response:
    """Headers of every reply."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
