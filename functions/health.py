"""Is this server well: `GET /healthz`. Reads what the leader shows and tries to write to the state folder."""

from flask import Response

from functions.web import replies as http
from functions.web.context import current
from functions.web.requests import Query


def report() -> Response:
    """200 while the state folder can be used, 503 otherwise; the rest is told and does not change the status."""
    context = current()
    Query().finish()
    context.probe()
    pools = context.view.pools()
    facts = {
        "web": "ok",
        "store": "ok",
        "scheduler": "ok" if context.view.has_leader() else "not running",
        "leader": pools.leader if pools else None,
        "shown_at": pools.at if pools else None,
        "faults": pools.faults if pools else (),
        "warnings": pools.warnings if pools else (),
        "quarantine": pools.quarantine if pools else (),
        "not_archived": pools.not_archived if pools else (),
    }
    if http.wants_json():
        return http.json_reply(facts)
    lines = [f"{name}: {facts[name]}" for name in ("web", "store", "scheduler")]
    if pools:
        lines += [f"config fault: {fault}" for fault in pools.faults]
        lines += [f"in quarantine: {name}" for name in pools.quarantine]
        lines += [f"cannot be archived: {folder}" for folder in pools.not_archived]
    return http.text_reply("\n".join(lines) + "\n")
