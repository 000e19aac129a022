"""What the verbs on pools and on resources share: who asks and why, and the intent that the next pass decides."""

from typing import Annotated, Any

from flask import request
from msgspec import Meta

from functions.tickets.validation import fault_of_name, fault_of_reason, one_line
from functions.web.context import Context
from functions.web.errors import BadField, BadParameter
from functions.web.requests import Fields, NoFields, parse_body, parse_query
from state.documents import Intent, IntentKind

USER_HEADER = "Resalloc-User"
"""The header that names the operator; a proxy that authenticates users sets it."""

Reason = Annotated[str, Meta(extra_json_schema={"maxLength": 255}, description="Why, for people.")]


class ReasonBody(Fields):
    """The body of the verbs that need no more than a reason."""

    reason: Reason | None = None


def read_operator() -> str | None:
    """The operator's name from the header, else the client's address; raises BadParameter."""
    name = request.headers.get(USER_HEADER)
    if not name:
        return request.remote_addr
    fault = fault_of_name(name)
    if fault:
        raise BadParameter(USER_HEADER, fault)
    return name


def read_reason() -> str | None:
    """The reason in the body of a verb that takes nothing else; raises BadParameter and BadField."""
    parse_query(NoFields)
    return checked_reason(parse_body(ReasonBody).reason)


def checked_reason(text: str | None, required: bool = False) -> str | None:
    """The field `reason` on one line, None without one; raises BadField."""
    reason = one_line(text or "")
    if (reason or required) and (fault := fault_of_reason(reason)):
        raise BadField("reason", fault)
    return reason or None


def write_intent(context: Context, kind: IntentKind, **fields: Any) -> Intent:
    """Write an intent of this kind, durably; raises StoreUnavailable and StoreFrozen. Blocks on the disk."""
    return context.store.intents.create(
        lambda number: Intent(id=number, kind=kind, created_at=context.clock(), **fields)
    )
