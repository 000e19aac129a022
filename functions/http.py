"""Replies: text or JSON as the client likes it, and errors in one shape."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from flask import Response, request

from functions import errors
from functions.answers import answer_to
from functions.fields import is_json
from state.errors import StateError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)


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


def reply_to_error(error: Exception) -> Response:
    """The one shape of errors: a sentence in text, or JSON `{"error": {code, message, field, status}}`."""
    return _error_reply(error, wants_json(), f"{request.method} {request.path}")


def _error_reply(error: Exception, json: bool, asked: str) -> Response:
    answer = answer_to(error)
    if isinstance(error, StateError | OSError) and answer.status == 503:
        log.error("%s: %s", asked, error)
    elif answer.status == 500:
        log.error("%s failed", asked, exc_info=error)
    if json:
        fields = {"code": answer.code, "message": answer.sentence, "field": answer.field, "status": answer.status}
        return json_reply({"error": fields}, answer.status, answer.headers)
    return text_reply(answer.sentence + "\n", answer.status, answer.headers)


class Later(Response):
    """A reply that is made after Flask has let go of the request, so that one that waits for long holds little.

    `make` gives the reply, or raises what becomes one; it must not use Flask's `request`.
    """

    def __init__(self, make: Callable[[], Response]) -> None:
        super().__init__()
        self._make = make
        self._json = wants_json()
        self._asked = f"{request.method} {request.path}"

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        try:
            reply = self._make()
        except Exception as error:
            reply = _error_reply(error, self._json, self._asked)
        yield from finish(reply)(environ, start_response)


def finish(response: Response) -> Response:
    """Headers of every reply."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
