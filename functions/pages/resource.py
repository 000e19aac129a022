"""The page of one resource: `GET /resources/ID|NAME`."""

from typing import Any

from flask import Response

from functions.operators.history import tell
from functions.operators.living import find
from functions.operators.logs import tails_of
from functions.operators.read_model import Look
from functions.pages import page
from functions.pages.verbs import asks_of_resource, read_verb, told
from functions.web.context import current
from functions.web.requests import Query
from state.documents import ResourceState

EVENTS = 50
"""The last ones that are shown."""


def show(id_or_name: str) -> Response:
    """200 with what it is, who has it, what happened to it and what its hooks wrote; 404 when it is not known."""
    query = Query()
    asked, done = read_verb(query, "ask"), read_verb(query, "done")
    query.finish()
    context = current()

    def make(look: Look) -> dict[str, Any]:
        resource = find(context.store, id_or_name)
        story = tell(context, str(resource.id), EVENTS)
        ticket = None if resource.state is ResourceState.ENDED else look.holder(resource)
        return {
            "resource": resource,
            "ticket": ticket,
            "logs": tails_of(context, resource.id),
            "events": story.events[::-1],
            "holdings": story.holdings[::-1],
            **told(asks_of_resource(resource, ticket), asked, done),
        }

    return page.reply("resource.html", make, searches=True)
