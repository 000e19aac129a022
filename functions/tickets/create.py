"""Take a ticket: `POST /tickets`. Writes one new ticket document, which wakes the scheduler."""

import msgspec
from flask import Response, request

from functions.tickets import matching_pools as offers
from functions.tickets import validation as rules
from functions.web import replies as http
from functions.web.context import Context, current
from functions.web.errors import BadField, BadParameter, KeyReused
from functions.web.offload import in_thread
from functions.web.requests import Body
from state.documents import Ticket
from state.errors import Conflict
from state.files.archive import Create

LONGEST_KEY = 255


def ticket() -> Response:
    """201 with the new id; `Location` is its path, `Resalloc-Notice` says when no pool can ever match, and why."""
    context = current()
    body = Body()
    field, given = body.strings("tags", form_name="tag")
    tags = tuple(dict.fromkeys(given))
    sandbox = body.string("sandbox")
    body.finish()
    if fault := rules.fault_of_tags(tags, least=1):
        raise BadField(field, fault)
    if sandbox is not None and (fault := rules.fault_of_name(sandbox)):
        raise BadField("sandbox", fault)
    made = take(context, tags, sandbox, _key())
    headers = {"Location": f"/tickets/{made.id}"}
    notice = offers.notice(tags, context.view.pools())
    if notice:
        headers["Resalloc-Notice"] = notice
    if http.wants_json():
        return http.json_reply({"id": made.id, "state": made.state, "notice": notice}, 201, headers)
    return http.text_reply(f"{made.id}\n", 201, headers)


def take(context: Context, tags: tuple[str, ...], sandbox: str | None, key: str | None = None) -> Ticket:
    """A new ticket, durable; with an idempotency key the one that the key stands for. Raises KeyReused."""

    def make(number: int) -> Ticket:
        return Ticket(id=number, tags=tags, sandbox=sandbox, created_at=context.clock())

    if key is None:
        return context.do(Create(make))
    wanted = msgspec.json.encode((tags, sandbox)).decode()
    try:
        made, _ = in_thread(context.keys.create_once, key, wanted, make)
    except Conflict as conflict:
        raise KeyReused(int(conflict.key)) from conflict
    return made


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise BadParameter("Idempotency-Key", f"must be 1 to {LONGEST_KEY} printable ASCII characters")
    return key
