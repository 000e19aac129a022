"""Makes replies: text, JSON or a page, as the client prefers, and errors in one shape."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from flask import Response, request

from functions.logfields import of_request
from functions.web.context import Context, current
from functions.web.errors import CrossSite, reply_error_of
from functions.web.requests import is_json
from state.errors import StateError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load: only from this server, no inline scripts or styles."""


class ReplyType(StrEnum):
    """The types of a reply: text for people and shells, JSON for programs, a page for browsers."""

    TEXT = "text/plain"
    JSON = "application/json"
    PAGE = "text/html"


def text_reply(text: str | bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply in plain text, for people and shells."""
    return Response(text, status, headers, content_type="text/plain; charset=utf-8")


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply for programs: one line of JSON."""
    return Response(msgspec.json.encode(value) + b"\n", status, headers, content_type="application/json")


def bytes_reply(content: bytes, headers: Mapping[str, str]) -> Response:
    """A reply with exactly these bytes."""
    return Response(content, 200, headers, content_type="application/octet-stream")


def html_reply(html: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A page for browsers. The referrer policy keeps the `Origin` of forms, which `no-referrer` would hide from us."""
    reply = Response(html, status, headers, content_type="text/html; charset=utf-8")
    reply.headers["Content-Security-Policy"] = PAGE_POLICY
    reply.headers["Referrer-Policy"] = "same-origin"
    return reply


def see_other(place: str) -> Response:
    """Send the browser to the page at `place` after a form was sent."""
    return Response(status=303, headers={"Location": place})


def preferred_type() -> ReplyType:
    """The type that the client prefers: JSON if it sent JSON, a page only if its `Accept` names HTML (browsers do)."""
    if is_json(request.content_type):
        return ReplyType.JSON
    accept = request.headers.get("Accept")
    if not accept or accept == "*/*":
        return ReplyType.TEXT
    return ReplyType(request.accept_mimetypes.best_match(tuple(ReplyType), ReplyType.TEXT))


def wants_json() -> bool:
    """Whether the client sent JSON or prefers it to text and pages."""
    return preferred_type() is ReplyType.JSON


def for_browsers(page: Callable[..., Response], otherwise: Callable[..., Response]) -> Callable[..., Response]:
    """A view that calls `page` for browsers and `otherwise` for other clients."""

    @functools.wraps(otherwise)
    def view(**arguments: str) -> Response:
        return page(**arguments) if preferred_type() is ReplyType.PAGE else otherwise(**arguments)

    return view


def refuse_cross_site() -> None:
    """Raises CrossSite for a request that a web page of another site made a browser send."""
    origin = request.headers.get("Origin")
    if origin is not None:
        hosts = (request.headers.get("Host"), request.headers.get("X-Forwarded-Host"))
        if not (host := _host_of(origin)) or host not in hosts:
            raise CrossSite(origin)
    elif request.method not in ("GET", "HEAD") and request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise CrossSite("another site")


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def reply_to_error(error: Exception) -> Response:
    """The one shape of errors: a sentence in text or on a page, or JSON `{"error": {code, message, field, status}}`."""
    return _error_reply(current(), error, preferred_type(), f"{request.method} {request.path}")


def _error_reply(context: Context, error: Exception, reply_type: ReplyType, method_and_path: str) -> Response:
    reply_error = reply_error_of(error)
    if isinstance(error, StateError | OSError) and reply_error.status == 503:
        log.error("%s: %s", method_and_path, error, extra=of_request(method_and_path))
    elif reply_error.status == 500:
        log.error("%s failed", method_and_path, exc_info=error, extra=of_request(method_and_path))
    if reply_type is ReplyType.PAGE:
        return html_reply(context.error_page(reply_error, method_and_path), reply_error.status, reply_error.headers)
    if reply_type is ReplyType.JSON:
        fields = error_fields(
            reply_error.code, reply_error.sentence, reply_error.field, reply_error.status, reply_error.facts
        )
        return json_reply(fields, reply_error.status, reply_error.headers)
    return text_reply(reply_error.sentence + "\n", reply_error.status, reply_error.headers)


def error_fields(
    code: str, message: str, field: str | None, status: int, more: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """The shape of an error in JSON."""
    return {"error": {"code": code, "message": message, "field": field, "status": status, **more}}


class DeferredReply(Response):
    """A reply that is made after Flask has released the request, so that a long wait holds little memory.

    `make` returns the reply or raises an error; it must not use Flask's `request`.
    """

    def __init__(self, make: Callable[[], Response]) -> None:
        super().__init__()
        self._context = current()
        self._make = make
        self._reply_type = preferred_type()
        self._method_and_path = f"{request.method} {request.path}"

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        try:
            reply = self._make()
        except Exception as error:
            reply = _error_reply(self._context, error, self._reply_type, self._method_and_path)
        yield from finish(reply)(environ, start_response)


def finish(response: Response) -> Response:
    """Add the headers of every reply; a `DeferredReply` gets them when it is made."""
    if not isinstance(response, DeferredReply):
        headers = response.headers
        headers.setdefault("Cache-Control", "no-store")
        headers.setdefault("Vary", "Accept")
        headers["X-Content-Type-Options"] = "nosniff"
    return response
