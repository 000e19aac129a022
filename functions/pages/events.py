"""The page of events: `GET /events`, filtered by `?pool=`, `?resource=`, `?ticket=` and `?since=`."""

from typing import Any

from flask import Response

from functions.operators.events import DEFAULT_LIMIT, newest, read_filter, read_place
from functions.operators.read_model import ReadModel
from functions.pages.layout import page_reply
from functions.web.context import current
from functions.web.requests import Query

FILTERS = ("pool", "resource", "ticket", "since")


class FormQuery(Query):
    """A query in which an empty field of a form counts as not given."""

    def string(self, name: str) -> str | None:
        return super().string(name) or None


def show() -> Response:
    """200 with the newest events, the newest first, or those before `?before=ID`; 400 when the query is not right."""
    context = current()
    query = FormQuery()
    chosen = {name: "".join(query.peek(name)) for name in FILTERS}
    wanted, before = read_filter(query, context.clock()), read_place(query, "before")
    query.finish()

    def make(model: ReadModel) -> dict[str, Any]:
        found = newest(context.store.events, wanted, DEFAULT_LIMIT, before)
        return {
            "events": found.events[::-1],
            "earlier": None if found.earlier is None else str(found.earlier),
            "before": before,
            "wanted": chosen,
        }

    return page_reply("events.html", make, searches=True)
