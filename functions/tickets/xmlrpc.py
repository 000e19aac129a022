"""XML-RPC for clients of the original resalloc: `POST /RPC2` and `POST /`, over create, check, wait and close."""

import xmlrpc.client
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from defusedxml.xmlrpc import DefusedExpatParser  # type: ignore[import-untyped]
from flask import Response

from functions.tickets.check import read_ticket
from functions.tickets.close import close
from functions.tickets.create import create
from functions.tickets.validation import fault_of_name, fault_of_tags
from functions.tickets.wait import until_served
from functions.web import replies
from functions.web.context import Context, current
from functions.web.errors import BadField, CutShort, ended, shown
from functions.web.requests import HIGHEST_ID, client_socket, read_body
from state.documents import TicketState
from state.errors import NotFound

# Fault codes: the usual ones of XML-RPC servers, and one for what this application refuses.
NOT_XML_RPC, NO_METHOD, BAD_PARAMETERS, REFUSED = -32700, -32601, -32602, 1

Fault = xmlrpc.client.Fault


def call() -> Response:
    """200 with a result or a fault; 503 if a wait is cut short because this process stops."""
    context, content, client = current(), read_body(), client_socket()
    return replies.DeferredReply(lambda: _answer(context, content, client))


def _answer(context: Context, content: bytes, client: Any) -> Response:
    try:
        result = _called(Caller(context, client), content)
        answer = xmlrpc.client.dumps((result,), methodresponse=True, allow_none=True)
    except Fault as fault:
        answer = xmlrpc.client.dumps(fault, methodresponse=True)
    return Response(answer, 200, content_type="text/xml; charset=utf-8")


class Caller(NamedTuple):
    """The caller: the application's context, and the socket of the connection if it is known."""

    context: Context
    client: Any


def _called(caller: Caller, content: bytes) -> Any:
    name, parameters = _parse(content)
    method = METHODS.get(name)
    if method is None:
        raise Fault(NO_METHOD, f"There is no method {shown(name)}.")
    if not method.least <= len(parameters) <= method.most:
        takes = method.least if method.least == method.most else f"{method.least} to {method.most}"
        raise Fault(BAD_PARAMETERS, f"{name} takes {takes} parameters, not {len(parameters)}.")
    try:
        return method.function(caller, *parameters)
    except NotFound as error:
        raise Fault(REFUSED, f"There is no ticket {error.key}.") from error
    except BadField as error:
        raise Fault(BAD_PARAMETERS, f"{name}: the {error.field} {error.why}.") from error


def _parse(content: bytes) -> tuple[str, Sequence[Any]]:
    target = xmlrpc.client.Unmarshaller(use_builtin_types=True)
    try:
        parser = DefusedExpatParser(target, forbid_dtd=True)
        parser.feed(content)
        parser.close()
        parameters: Sequence[Any] = target.close()
        name = target.getmethodname()
    except Exception as error:  # the standard library's parser raises various errors for malformed input
        raise Fault(NOT_XML_RPC, "The request is not an XML-RPC call.") from error
    if not isinstance(name, str):
        raise Fault(NOT_XML_RPC, "The request names no method.")
    return name, parameters


def take_ticket(caller: Caller, tags: Any = None, sandbox: Any = None) -> int:
    """takeTicket([tags [, sandbox]]) returns the id of a new ticket for a resource that has all the tags."""
    wanted = [] if tags is None else tags
    if not isinstance(wanted, list) or not all(isinstance(tag, str) for tag in wanted):
        raise BadField("tags", "must be an array of strings")
    distinct = tuple(dict.fromkeys(wanted))
    if fault := fault_of_tags(distinct, least=0):
        raise BadField("tags", fault)
    if sandbox is not None and not isinstance(sandbox, str):
        raise BadField("sandbox", "must be a string")
    # Clients of this protocol send an empty string for no sandbox.
    if sandbox and (fault := fault_of_name(sandbox)):
        raise BadField("sandbox", fault)
    return create(caller.context, distinct, sandbox or None).id


def collect_ticket(caller: Caller, ticket_id: Any) -> dict[str, Any]:
    """collectTicket(id) returns {ready, output, closed, failed} at once; all are nil if there is no such ticket."""
    try:
        ticket = read_ticket(caller.context, _number(ticket_id))
    except (BadField, NotFound):
        return dict.fromkeys(("ready", "output", "closed", "failed"))
    ready = ticket.resource is not None
    return {
        "ready": ready,
        "output": xmlrpc.client.Binary(ticket.output or b"") if ready else None,
        "closed": ticket.state is TicketState.CLOSED,
        "failed": ticket.state is TicketState.FAILED,
    }


def wait_ticket(caller: Caller, ticket_id: Any) -> xmlrpc.client.Binary:
    """waitTicket(id) returns the output of the ticket's resource as soon as the ticket has one."""
    number = _number(ticket_id)
    ticket = until_served(caller.context, number, float("inf"), caller.client)
    if ticket.waiting:
        raise CutShort(ticket)
    if ticket.resource is None:
        raise Fault(REFUSED, f"Ticket {number} {ended(ticket)} and never had a resource.")
    return xmlrpc.client.Binary(ticket.output or b"")


def close_ticket(caller: Caller, ticket_id: Any) -> None:
    """closeTicket(id) closes the ticket and releases its resource; closing it again is fine."""
    close(caller.context, _number(ticket_id))


def list_methods(caller: Caller) -> list[str]:
    """system.listMethods() returns the names of all methods."""
    return sorted(METHODS)


def method_help(caller: Caller, name: Any) -> str:
    """system.methodHelp(name) returns a sentence about a method."""
    return _method(name).function.__doc__ or ""


def method_signature(caller: Caller, name: Any) -> list[list[str]]:
    """system.methodSignature(name) returns the signatures of a method: the type of the result, then of parameters."""
    method = _method(name)
    return [[method.types[0], *method.types[1 : 1 + count]] for count in range(method.least, method.most + 1)]


def _method(name: Any) -> "Method":
    method = METHODS.get(name) if isinstance(name, str) else None
    if method is None:
        raise BadField("name", "must be a name that system.listMethods returns")
    return method


def _number(ticket_id: Any) -> int:
    if isinstance(ticket_id, str) and ticket_id.isascii() and ticket_id.isdigit() and len(ticket_id) <= 17:
        ticket_id = int(ticket_id)
    if not isinstance(ticket_id, int) or isinstance(ticket_id, bool) or not 1 <= ticket_id <= HIGHEST_ID:
        raise BadField("id", f"must be a whole number from 1 to {HIGHEST_ID}")
    return ticket_id


class Method(NamedTuple):
    """A function, its least and most parameters, and the types of its result and its parameters."""

    function: Callable[..., Any]
    least: int
    most: int
    types: tuple[str, ...]


METHODS = {
    "takeTicket": Method(take_ticket, 0, 2, ("int", "array", "string")),
    "collectTicket": Method(collect_ticket, 1, 1, ("struct", "int")),
    "waitTicket": Method(wait_ticket, 1, 1, ("base64", "int")),
    "closeTicket": Method(close_ticket, 1, 1, ("nil", "int")),
    "system.listMethods": Method(list_methods, 0, 0, ("array",)),
    "system.methodHelp": Method(method_help, 1, 1, ("string", "string")),
    "system.methodSignature": Method(method_signature, 1, 1, ("array", "string")),
}
