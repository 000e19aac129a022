"""The page of one pool: `GET /pools/NAME`."""

from typing import Any

from flask import Response

from functions.operators.read_model import Look
from functions.pages import page
from functions.pages.charts import charts
from functions.pages.verbs import asks_of_pool, read_verb, told
from functions.policy.transitions.history import lines_of
from functions.web.context import current
from functions.web.requests import Query
from state.errors import NotFound

_LIMITS = ("max", "max_starting", "max_prealloc", "start_delay", "livecheck_period", "livecheck_attempts")
_REUSE = ("reuse_opportunity_time", "reuse_max_count", "reuse_max_time")
OPTIONS = (*_LIMITS, *_REUSE)
"""What is shown. Commands are not: whoever writes them may put more into them than everybody should read."""


def show(name: str) -> Response:
    """200 with how it does, its limits, resources and the tickets that wait for it; 404 when it is not known."""
    query = Query()
    asked, done = read_verb(query, "ask"), read_verb(query, "done")
    query.finish()
    samples = current().store.samples

    def make(look: Look) -> dict[str, Any]:
        pool = next((pool for pool in look.pools if pool.name == name), None)
        if pool is None:
            raise NotFound("pool", name)
        drawn = charts(samples.read(name), look.at)
        asks = asks_of_pool(pool, look.at)
        return {
            "pool": pool,
            "options": OPTIONS,
            "charts": drawn,
            "events": lines_of(pool.record)[::-1],
            **told(asks, asked, done),
        }

    return page.reply("pool.html", make)
