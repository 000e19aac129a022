"""The pages of pools: the overview at `GET /`, the list at `GET /pools` and one pool at `GET /pools/NAME`."""

from typing import Any

from flask import Response

from functions.operators.read_model import COUNTS, ReadModel
from functions.pages.charts import Sparks, charts
from functions.pages.layout import page_reply
from functions.pages.verbs import read_verb_query, verb_facts, verbs_of_pool
from functions.pages.warnings import conditions_by_pool, conditions_of_pool
from functions.policy.transitions.history import lines_of
from functions.web.context import current
from functions.web.requests import NoFields, parse_query
from state.errors import NotFound

_LIMITS = ("max", "max_starting", "max_prealloc", "start_delay", "livecheck_period", "livecheck_attempts")
_REUSE = ("reuse_opportunity_time", "reuse_max_count", "reuse_max_time")
OPTIONS = (*_LIMITS, *_REUSE)
"""The options that are shown. Commands are not, because they may contain secrets."""


def show_overview() -> Response:
    """200 with what needs attention, sums, and a row for each pool."""
    parse_query(NoFields)
    sparks = current().shared(Sparks)
    return page_reply("overview.html", lambda model: _overview_facts(model, sparks))


def _overview_facts(model: ReadModel, sparks: Sparks) -> dict[str, Any]:
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


def show_list() -> Response:
    """200 with a table of limits, counts and descriptions, and a total row."""
    parse_query(NoFields)
    return page_reply("pools.html", _list_facts)


def _list_facts(model: ReadModel) -> dict[str, Any]:
    return {"columns": ("max", *COUNTS), "conditions": conditions_by_pool(model)}


def show_one(name: str) -> Response:
    """200 with its conditions, charts, limits, resources and events; 404 when it is unknown."""
    query = read_verb_query()
    samples = current().store.samples

    def make(model: ReadModel) -> dict[str, Any]:
        pool = next((pool for pool in model.pools if pool.name == name), None)
        if pool is None:
            raise NotFound("pool", name)
        return {
            "pool": pool,
            "options": OPTIONS,
            "conditions": conditions_of_pool(pool, model.ticket_by_resource, model.at),
            "charts": charts(samples.read(name), model.at),
            "events": lines_of(pool.record)[::-1],
            **verb_facts(verbs_of_pool(pool, model.at), query),
        }

    return page_reply("pool.html", make)
