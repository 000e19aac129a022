"""Create a ticket: `POST /tickets`. Writes one new ticket document, which wakes the scheduler."""

from typing import Annotated

import msgspec
from flask import Response, request
from msgspec import Meta

from functions.tickets.validation import Name, fault_of_name, fault_of_tags, notice_for
from functions.web import replies
from functions.web.context import Context, current
from functions.web.errors import BadField, BadParameter, KeyReused
from functions.web.offload import in_thread
from functions.web.requests import Fields, label_of, parse_body
from state.documents import Ticket
from state.errors import Conflict
from state.store import Create

LONGEST_KEY = 255


class NewTicket(Fields):
    """The body of `POST /tickets`."""

    tags: Annotated[tuple[Name, ...], Meta(extra={"form": "tag"}, extra_json_schema={"minItems": 1, "maxItems": 64})]
    sandbox: Name | None = None


def ticket() -> Response:
    """201 with the new id; `Location` is its path, `Resalloc-Notice` says why no pool can ever serve it, if so."""
    context = current()
    body = parse_body(NewTicket)
    tags = tuple(dict.fromkeys(body.tags))
    if fault := fault_of_tags(tags, least=1):
        raise BadField(label_of(NewTicket, "tags"), fault)
    if body.sandbox is not None and (fault := fault_of_name(body.sandbox)):
        raise BadField("sandbox", fault)
    created = create(context, tags, body.sandbox, _key())
    headers = {"Location": f"/tickets/{created.id}"}
    notice = notice_for(tags, context.view.pools())
    if notice:
        headers["Resalloc-Notice"] = notice
    if replies.wants_json():
        return replies.json_reply({"id": created.id, "state": created.state, "notice": notice}, 201, headers)
    return replies.text_reply(f"{created.id}\n", 201, headers)


def create(context: Context, tags: tuple[str, ...], sandbox: str | None, key: str | None = None) -> Ticket:
    """A new ticket, durable. With an idempotency key: the ticket that was created with it. Raises KeyReused."""

    def make(number: int) -> Ticket:
        return Ticket(id=number, tags=tags, sandbox=sandbox, created_at=context.clock())

    if key is None:
        return context.ticket_call(Create(make))
    request_body = msgspec.json.encode((tags, sandbox)).decode()
    try:
        created, _ = in_thread(context.store.keys.create_once, key, request_body, make)
    except Conflict as conflict:
        raise KeyReused(int(conflict.key)) from conflict
    return created


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise BadParameter("Idempotency-Key", f"must be 1 to {LONGEST_KEY} printable ASCII characters")
    return key
