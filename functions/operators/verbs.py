"""What operators ask for: who asks and why, and the intent that the next reconcile pass decides."""

from typing import Any

from flask import request

from functions.tickets.validation import fault_of_name, fault_of_reason, one_line
from functions.web.context import Context
from functions.web.errors import BadField, BadParameter
from functions.web.requests import Body
from state.documents import Intent, IntentKind

WHO = "Resalloc-User"
"""The header that names who asks; a proxy that knows better sets it."""


def who() -> str | None:
    """Who asks: the name in the header, else the address; raises BadParameter."""
    name = request.headers.get(WHO)
    if not name:
        return request.remote_addr
    fault = fault_of_name(name)
    if fault:
        raise BadParameter(WHO, fault)
    return name


def read_reason(body: Body, required: bool = False) -> str | None:
    """Why, in one line, None when nothing is said; raises BadField."""
    reason = one_line(body.string("reason") or "")
    if (reason or required) and (fault := fault_of_reason(reason)):
        raise BadField("reason", fault)
    return reason or None


def ask(context: Context, kind: IntentKind, **fields: Any) -> Intent:
    """The intent, durable; raises StoreUnavailable and StoreFrozen. It blocks on the disk."""
    return context.store.intents.create(
        lambda number: Intent(id=number, kind=kind, created_at=context.clock(), **fields)
    )
