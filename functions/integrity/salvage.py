"""Recovers what can still be read of a corrupt document.

A corrupt document mostly lost its end or a few bits. The fields that survived show which numbers a resource occupies,
and are enough to delete it. Where only the check sum is wrong, any field may be wrong, and the document is not whole.
"""

import json
import re
from typing import Any, TypeVar

import msgspec

from state.documents import Document, Resource, ResourceState, Ticket, TicketState

D = TypeVar("D", bound=Document)

REASON = "its document was corrupt"
_DECODER = json.JSONDecoder(strict=False)


def fields_of(document_type: type[Document], content: bytes) -> dict[str, Any]:
    """The fields of this type of document that the content contains, complete and of the right type."""
    text = content.decode(errors="replace")
    found = {}
    for field in msgspec.structs.fields(document_type):
        place = re.search(rf'"{field.encode_name}"\s*:\s*', text)
        if place is None or field.name == "unknown":
            continue
        try:
            value, _ = _DECODER.raw_decode(text, place.end())
            found[field.name] = msgspec.convert(value, field.type)
        except (ValueError, RecursionError):
            continue
    return found


def whole(document_type: type[D], content: bytes, key: int | str) -> D | None:
    """The document itself when all of its fields can be read: only what is around them is corrupt.

    A check sum is not examined here.
    """
    fields = fields_of(document_type, content)
    known = {field.name for field in msgspec.structs.fields(document_type)} - {"unknown"}
    if fields.keys() != known or fields[document_type.KEY] != key:
        return None
    return document_type(**fields)


def resource_to_delete(key: int, content: bytes) -> Resource | None:
    """The resource, to be deleted; None when its name or one of the numbers that hooks need is lost."""
    fields = fields_of(Resource, content)
    if not {"name", "pool", "id_in_pool", "counters"} <= fields.keys():
        return None
    numbers = ("id_in_pool", "counters", "releases_counter")
    kept = ("name", "pool", "tags", *numbers, "data", "user", "created_at", "up_at", "history")
    return Resource(
        id=key,
        state=ResourceState.DELETE_REQUEST,
        reason=REASON,
        **{name: fields[name] for name in kept if name in fields},
    )


def may_have(number: int, content: bytes, at: float, resource: Resource) -> bool:
    """Whether ticket `number`, of which `content` was left at time `at`, may have this resource, which no other has."""
    fields = fields_of(Ticket, content)
    if fields.get("state") is TicketState.FAILED or resource.released_ticket == number:
        return False
    if fields.get("turn") is not None and resource.releases_counter > fields["turn"]:
        return False
    if "resource" in fields:
        return bool(fields["resource"] == resource.id)
    was_there = max(resource.up_at or 0.0, resource.released_at or 0.0) <= at
    own = resource.sandbox is None or fields.get("sandbox", resource.sandbox) == resource.sandbox
    return was_there and own and set(fields.get("tags", ())) <= resource.tags.keys()


def failed_ticket(key: int, content: bytes, now: float) -> Ticket:
    """The ticket as FAILED, so that its client gets an answer and takes another; as CLOSED if it was closed."""
    fields = fields_of(Ticket, content)
    kept = (
        "tags",
        "sandbox",
        "created_at",
        "resource",
        "resource_name",
        "pool",
        "assigned_at",
        "output",
        "closed_at",
        "bad",
        "turn",
    )
    state = TicketState.CLOSED if fields.get("state") is TicketState.CLOSED else TicketState.FAILED
    return Ticket(
        id=key,
        state=state,
        failed_at=now if state is TicketState.FAILED else None,
        reason=REASON,
        **{name: fields[name] for name in kept if name in fields},
    )
