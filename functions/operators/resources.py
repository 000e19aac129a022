"""Resources and tickets: `GET /resources`, `GET /resources/ID|NAME` and `GET /tickets`. Reads the read model."""

import re
from typing import Annotated, Any, Literal

import msgspec
from flask import Response
from msgspec import Meta

from functions.operators.read_model import find_resource, holder, read_model, tickets_by_resource
from functions.tickets.check import described as described_ticket
from functions.tickets.check import output_fields
from functions.web import replies
from functions.web.context import Context, current
from functions.web.offload import in_thread
from functions.web.requests import Fields, NoFields, parse_query
from state.documents import Resource, ResourceState, Ticket, TicketState


class ResourceQuery(Fields):
    """The query of `GET /resources`."""

    state: Annotated[ResourceState | None, Meta(description="Only resources in this state.")] = None
    format: Annotated[Literal["shell"] | None, Meta(description="Fields for a shell, separated by tabs.")] = None


class TicketQuery(Fields):
    """The query of `GET /tickets`."""

    state: Annotated[TicketState | None, Meta(description="Only tickets in this state.")] = None


def list_resources() -> Response:
    """200 with the resources that are not ENDED: lines, or JSON, or with `?format=shell` fields for a shell."""
    query = parse_query(ResourceQuery)
    pairs = in_thread(read_with_holders, current())
    pairs = [(resource, ticket) for resource, ticket in pairs if query.state in (None, resource.state)]
    if query.format == "shell":
        return replies.text_reply(b"".join(_shell_line(resource) for resource, _ in pairs))
    if replies.wants_json():
        return replies.json_reply({"resources": [described(resource, ticket) for resource, ticket in pairs]})
    return replies.text_reply("".join(_line(resource, ticket) for resource, ticket in pairs))


def show_resource(id_or_name: str) -> Response:
    """200 with everything about a resource, also an ended one, as indented JSON."""
    parse_query(NoFields)
    resource, ticket = in_thread(_find_with_holder, current(), id_or_name)
    reply = replies.json_reply(described(resource, ticket))
    reply.set_data(msgspec.json.format(reply.get_data(), indent=4) + b"\n")
    return reply


def list_tickets() -> Response:
    """200 with the tickets that are not CLOSED, or those in `?state=`: lines or JSON."""
    query = parse_query(TicketQuery)
    wanted = (query.state,) if query.state else (TicketState.OPEN, TicketState.FAILED)
    tickets = [ticket for ticket in in_thread(current().store.tickets.all) if ticket.state in wanted]
    if replies.wants_json():
        return replies.json_reply({"tickets": [described_ticket(ticket) for ticket in tickets]})
    return replies.text_reply("".join(map(_ticket_line, tickets)))


def described(resource: Resource, ticket: Ticket | None) -> dict[str, Any]:
    """The resource as JSON fields. While a ticket has it, sandbox and sandboxed_since are those of the ticket."""
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


def read_with_holders(context: Context) -> list[tuple[Resource, Ticket | None]]:
    """The resources that are not ENDED, each with the ticket that has it."""
    return read_model(context).with_holders


def _find_with_holder(context: Context, id_or_name: str) -> tuple[Resource, Ticket | None]:
    resource = find_resource(context.store, id_or_name)
    if resource.state is ResourceState.ENDED:
        return resource, None
    return resource, holder(resource, tickets_by_resource(context.store.tickets.all()))


def _line(resource: Resource, ticket: Ticket | None) -> str:
    tags = ",".join(resource.tags)
    number = ticket.id if ticket else "NULL"
    return (
        f"{resource.id} - {resource.name} pool={resource.pool} tags={tags} status={resource.state} "
        f"releases={resource.releases_counter} ticket={number}\n"
    )


def _ticket_line(ticket: Ticket) -> str:
    resource = f" resource={ticket.resource_name}" if ticket.resource is not None else ""
    return f"{ticket.id} - state={ticket.state} tags={','.join(ticket.tags)}{resource}\n"


def _shell_line(resource: Resource) -> bytes:
    """Id, name, state and data in plain ASCII, separated by tabs; `printf %b` restores each of them."""
    fields = (str(resource.id).encode(), resource.name.encode(), resource.state.encode(), resource.data or b"")
    return b"\t".join(map(_escaped, fields)) + b"\n"


def _escaped(field: bytes) -> bytes:
    return re.sub(rb"[\x01-\x1f\x7f-\xff\\]", lambda found: b"\\0%03o" % found[0][0], field.replace(b"\0", b""))
