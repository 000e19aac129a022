"""The page of one pool: `GET /pools/NAME`."""

from typing import Any

from flask import Response

from functions.operators.read_model import ReadModel
from functions.pages.charts import charts
from functions.pages.layout import page_reply
from functions.pages.verbs import read_verb_query, verb_facts, verbs_of_pool
from functions.pages.warnings import conditions_of_pool
from functions.policy.transitions.history import lines_of
from functions.web.context import current
from state.errors import NotFound

_LIMITS = ("max", "max_starting", "max_prealloc", "start_delay", "livecheck_period", "livecheck_attempts")
_REUSE = ("reuse_opportunity_time", "reuse_max_count", "reuse_max_time")
OPTIONS = (*_LIMITS, *_REUSE)
"""The options that are shown. Commands are not, because they may contain secrets."""


def show(name: str) -> Response:
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
