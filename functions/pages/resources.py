"""The pages of resources: all of them at `GET /resources`, filtered by `?pool=`, `?state=` and the text `?q=`; one at
`GET /resources/ID|NAME`.
"""

from typing import Any

from flask import Response

from functions.operators.history import read_history
from functions.operators.logs import tails_of
from functions.operators.read_model import ReadModel, find_resource
from functions.pages.layout import Rows, page_reply, read_list_query
from functions.pages.verbs import read_verb_query, verb_facts, verbs_of_resource
from functions.text import text
from functions.web.context import current
from state.documents import Resource, ResourceState, Ticket

EVENTS = 50
"""How many events the page of a resource shows, the last ones."""
_MORE_STATES = ("TAKEN", "READY", "HELD", "TROUBLE")
STATES = (*(state.value for state in ResourceState if state is not ResourceState.ENDED), *_MORE_STATES)
"""What can be chosen: the states; UP with and without a ticket; held; with a failed livecheck or delete."""


def show_list() -> Response:
    """200 with the resources that are not ENDED; 400 when the query cannot be taken."""
    wanted, number = read_list_query(STATES)

    def make(model: ReadModel) -> dict[str, Any]:
        found = [
            (resource, ticket)
            for resource in model.resources
            if _is_wanted(resource, ticket := model.holder(resource), **wanted)
        ]
        return {"rows": Rows(found, number), "wanted": wanted, "states": STATES}

    return page_reply("resources.html", make)


def _is_wanted(resource: Resource, ticket: Ticket | None, pool: str, state: str, q: str) -> bool:
    if pool and resource.pool != pool:
        return False
    if state and not _is_in(resource, ticket, state):
        return False
    return not q or any(q.lower() in word.lower() for word in _words(resource, ticket))


def _is_in(resource: Resource, ticket: Ticket | None, state: str) -> bool:
    match state:
        case "TAKEN":
            return ticket is not None
        case "READY":
            return resource.state is ResourceState.UP and ticket is None and not resource.held
        case "HELD":
            return resource.held
        case "TROUBLE":
            return resource.check_failed_count > 0 or resource.delete_failures > 0
        case _:
            return resource.state == state


def _words(resource: Resource, ticket: Ticket | None) -> tuple[str, ...]:
    sandbox = resource.sandbox or (ticket.sandbox if ticket else None) or ""
    numbers = (str(resource.id), str(ticket.id) if ticket else "")
    return (*numbers, resource.name, resource.user or "", sandbox, *resource.tags, text(resource.data))


def show_one(id_or_name: str) -> Response:
    """200 with its state, tickets, events and the logs of its hooks; 404 when it is unknown."""
    query = read_verb_query()
    context = current()

    def make(model: ReadModel) -> dict[str, Any]:
        resource = find_resource(context.store, id_or_name)
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
