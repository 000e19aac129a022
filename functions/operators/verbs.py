"""What the verbs on pools and on resources share: who asks and why, and the intent that the next pass decides."""

from typing import Any

from flask import request

from functions.tickets.validation import fault_of_name, fault_of_reason, one_line
from functions.web.context import Context
from functions.web.errors import BadField, BadParameter
from functions.web.requests import Body
from state.documents import Intent, IntentKind

USER_HEADER = "Resalloc-User"
"""The header that names the operator; a proxy that authenticates users sets it."""


def read_operator() -> str | None:
    """The operator's name from the header, else the client's address; raises BadParameter."""
    name = request.headers.get(USER_HEADER)
    if not name:
        return request.remote_addr
    fault = fault_of_name(name)
    if fault:
        raise BadParameter(USER_HEADER, fault)
    return name


def read_reason(body: Body, required: bool = False) -> str | None:
    """The field `reason` on one line, None without one; raises BadField."""
    reason = one_line(body.string("reason") or "")
    if (reason or required) and (fault := fault_of_reason(reason)):
        raise BadField("reason", fault)
    return reason or None


def write_intent(context: Context, kind: IntentKind, **fields: Any) -> Intent:
    """Write an intent of this kind, durably; raises StoreUnavailable and StoreFrozen. Blocks on the disk."""
    return context.store.intents.create(
        lambda number: Intent(id=number, kind=kind, created_at=context.clock(), **fields)
    )
