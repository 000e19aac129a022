"""The overview: `GET /`. All pools at a glance, and what needs attention."""

from typing import Any

from flask import Response

from functions.operators.read_model import ReadModel
from functions.pages.charts import Sparks
from functions.pages.layout import page_reply
from functions.pages.warnings import conditions_by_pool
from functions.web.context import current
from functions.web.requests import NoFields, parse_query


def show() -> Response:
    """200 with what needs attention, sums, and a row for each pool."""
    parse_query(NoFields)
    sparks = current().shared(Sparks)
    return page_reply("overview.html", lambda model: _facts(model, sparks))


def _facts(model: ReadModel, sparks: Sparks) -> dict[str, Any]:
    conditions = conditions_by_pool(model)
    urgent = [
        (name, condition)
        for level in ("bad", "warn")
        for name, found in conditions.items()
        for condition in found
        if condition.level == level
    ]
    served = {ticket.id for pool in model.pools for ticket in pool.waiting}
    stranded = [ticket for ticket in model.waiting if ticket.id not in served]
    drawn = {pool.name: sparks.draw(pool.name, model.at) for pool in model.pools}
    return {"conditions": conditions, "urgent": urgent, "stranded": stranded, "sparks": drawn}
