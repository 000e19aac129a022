"""Resources: `GET /resources`, `GET /resources/ID|NAME`. Reads tickets and resources."""

import re
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from flask import Response

from functions.operators.living import find, holder, holders, read_living
from functions.tickets.check import output_fields
from functions.web import replies as http
from functions.web.context import current
from functions.web.errors import BadParameter, shown
from functions.web.offload import in_thread
from functions.web.requests import Query
from state.documents import Resource, ResourceState, Ticket
from state.store import Store

S = TypeVar("S", bound=StrEnum)


def every() -> Response:
    """200 with those that are not ENDED: lines, or JSON, or with `?format=shell` fields that a shell can read."""
    query = Query()
    state = read_state(query, ResourceState)
    form = query.string("format")
    query.finish()
    if form not in (None, "shell"):
        raise BadParameter("format", f"can only be shell, not {shown(form)}")
    pairs = in_thread(with_tickets, current().store)
    pairs = [(resource, ticket) for resource, ticket in pairs if state in (None, resource.state)]
    if form == "shell":
        return http.text_reply(b"".join(_shell_line(resource) for resource, _ in pairs))
    if http.wants_json():
        return http.json_reply({"resources": [described(resource, ticket) for resource, ticket in pairs]})
    return http.text_reply("".join(_line(resource, ticket) for resource, ticket in pairs))


def one(id_or_name: str) -> Response:
    """200 with everything about a resource as JSON that people can read, ended ones too."""
    Query().finish()
    resource, ticket = in_thread(_find_with_ticket, current().store, id_or_name)
    reply = http.json_reply(described(resource, ticket))
    reply.set_data(msgspec.json.format(reply.get_data(), indent=4) + b"\n")
    return reply


def described(resource: Resource, ticket: Ticket | None) -> dict[str, Any]:
    """A resource for JSON. While a ticket has it, sandbox and first taking are those of the ticket."""
    return {
        "id": resource.id,
        "name": resource.name,
        "user": resource.user,
        "data": None if resource.data is None else resource.data.decode(errors="replace").strip(),
        "pool": resource.pool,
        "state": resource.state,
        "check_last_time": resource.check_last_time,
        "check_failed_count": resource.check_failed_count,
        "ticket_id": ticket.id if ticket else None,
        "sandbox": resource.sandbox or (ticket.sandbox if ticket else None),
        "sandboxed_since": resource.sandboxed_since or (ticket.assigned_at if ticket else None),
        "released_at": resource.released_at,
        "releases_counter": resource.releases_counter,
        "data_base64": output_fields(resource.data, "data")["data_base64"],
        "tags": resource.tags,
        "id_in_pool": resource.id_in_pool,
        "counters": resource.counters,
        "created_at": resource.created_at,
        "up_at": resource.up_at,
        "run": resource.run,
        "delete_asked": resource.delete_after_run,
        "delete_began_at": resource.delete_began_at,
        "delete_failures": resource.delete_failures,
        "delete_retry_at": resource.delete_retry_at,
        "ended_at": resource.ended_at,
        "reason": resource.reason,
        "held_since": resource.held_since,
        "held_until": resource.held_until,
        "held_by": resource.held_by,
        "held_reason": resource.held_reason,
    }


def read_state(query: Query, states: type[S]) -> S | None:
    """The parameter `state`, one of `states` or None; raises BadParameter."""
    value = query.string("state")
    if value is None:
        return None
    try:
        return states(value.upper())
    except ValueError:
        known = ", ".join(states)
        raise BadParameter("state", f"must be one of {known}, not {shown(value)}") from None


def with_tickets(store: Store) -> list[tuple[Resource, Ticket | None]]:
    """The resources that have not ended, each with the ticket that has it."""
    by_resource = holders(read_living(store.tickets))
    living = (resource for resource in read_living(store.resources) if resource.state is not ResourceState.ENDED)
    return [(resource, holder(resource, by_resource)) for resource in living]


def _find_with_ticket(store: Store, id_or_name: str) -> tuple[Resource, Ticket | None]:
    resource = find(store, id_or_name)
    if resource.state is ResourceState.ENDED:
        return resource, None
    return resource, holder(resource, holders(read_living(store.tickets)))


def _line(resource: Resource, ticket: Ticket | None) -> str:
    tags = ",".join(resource.tags)
    number = ticket.id if ticket else "NULL"
    return (
        f"{resource.id} - {resource.name} pool={resource.pool} tags={tags} status={resource.state} "
        f"releases={resource.releases_counter} ticket={number}\n"
    )


def _shell_line(resource: Resource) -> bytes:
    """ID, name, state and data in plain ASCII, joined by tabs; `printf %b` turns each back into what it is."""
    fields = (str(resource.id).encode(), resource.name.encode(), resource.state.encode(), resource.data or b"")
    return b"\t".join(map(_escaped, fields)) + b"\n"


def _escaped(field: bytes) -> bytes:
    return re.sub(rb"[\x01-\x1f\x7f-\xff\\]", lambda found: b"\\0%03o" % found[0][0], field.replace(b"\0", b""))
