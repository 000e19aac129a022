"""The first page: `GET /`. The whole farm at a glance: what is full, failing, idle, leaking."""

from typing import Any

from flask import Response

from functions.fields import Query
from functions.pages import page
from functions.pages.look import Look


def show() -> Response:
    """200 with what needs attention, sums, and a row for each pool."""
    Query().finish()
    return page.reply("overview.html", _facts)


def _facts(look: Look) -> dict[str, Any]:
    urgent = [
        (pool, sign) for level in ("bad", "warn") for pool in look.pools for sign in pool.signs if sign.level == level
    ]
    served = {ticket.id for pool in look.pools for ticket in pool.waiting}
    stranded = [ticket for ticket in look.waiting if ticket.id not in served]
    return {"urgent": urgent, "stranded": stranded}
