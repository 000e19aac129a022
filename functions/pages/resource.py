"""The page of one resource: `GET /resources/ID|NAME`."""

from typing import Any

from flask import Response

from functions.operators.history import read_history
from functions.operators.logs import tails_of
from functions.operators.read_model import ReadModel, ReadModelCache
from functions.pages.layout import page_reply
from functions.pages.verbs import read_verb_query, verb_facts, verbs_of_resource
from functions.web.context import current
from state.documents import ResourceState

EVENTS = 50
"""Events that the page shows, the last ones."""


def show(id_or_name: str) -> Response:
    """200 with its state, tickets, events and the logs of its hooks; 404 when it is unknown."""
    query = read_verb_query()
    context = current()

    def make(model: ReadModel) -> dict[str, Any]:
        resource = context.shared(ReadModelCache).find_resource(id_or_name)
        history = read_history(context, str(resource.id), EVENTS)
        ticket = None if resource.state is ResourceState.ENDED else model.holder(resource)
        return {
            "resource": resource,
            "ticket": ticket,
            "logs": tails_of(context, resource.id),
            "events": history.events[::-1],
            "holdings": history.holdings[::-1],
            **verb_facts(verbs_of_resource(resource, ticket, model.at), query),
        }

    return page_reply("resource.html", make, searches=True)
