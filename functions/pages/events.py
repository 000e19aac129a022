"""The page of events: `GET /events`, filtered by `?pool=`, `?resource=`, `?ticket=` and `?since=`."""

from typing import Any

from flask import Response

from functions.operators.events import DEFAULT_LIMIT, EventPageQuery, filter_of, newest, position_of
from functions.operators.read_model import ReadModel
from functions.pages.layout import page_reply
from functions.web.context import current
from functions.web.requests import parse_query

FILTERS = ("pool", "resource", "ticket", "since")


def show() -> Response:
    """200 with the newest events, the newest first, or those before `?before=ID`; 400 when the query is not right."""
    context = current()
    query = parse_query(EventPageQuery, blank_is_absent=True)
    chosen = {name: getattr(query, name) or "" for name in FILTERS}
    wanted, before = filter_of(query, context.clock()), position_of("before", query.before)

    def make(model: ReadModel) -> dict[str, Any]:
        found = newest(context.store.events, wanted, DEFAULT_LIMIT, before)
        return {
            "events": found.events[::-1],
            "earlier": None if found.earlier is None else str(found.earlier),
            "before": before,
            "wanted": chosen,
        }

    return page_reply("events.html", make, searches=True)
