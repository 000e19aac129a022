"""The first page: `GET /`. The whole farm at a glance: what is full, failing, idle, leaking."""

from typing import Any

from flask import Response

from functions.operators.read_model import Look
from functions.pages import page
from functions.pages.sparks import Sparks
from functions.web.context import current
from functions.web.requests import Query


def show() -> Response:
    """200 with what needs attention, sums, and a row for each pool."""
    Query().finish()
    sparks = current().sparks
    return page.reply("overview.html", lambda look: _facts(look, sparks))


def _facts(look: Look, sparks: Sparks) -> dict[str, Any]:
    urgent = [
        (pool, sign) for level in ("bad", "warn") for pool in look.pools for sign in pool.signs if sign.level == level
    ]
    served = {ticket.id for pool in look.pools for ticket in pool.waiting}
    stranded = [ticket for ticket in look.waiting if ticket.id not in served]
    drawn = {pool.name: sparks.of(pool.name, look.at) for pool in look.pools}
    return {"urgent": urgent, "stranded": stranded, "sparks": drawn}
