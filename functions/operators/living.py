"""The tickets and resources as they stand now, for operators to look at."""

import heapq
import logging
from collections.abc import Iterable, Mapping
from typing import TypeVar

from functions.logfields import of_file
from state.documents import Document, Resource, Ticket, TicketState
from state.errors import CorruptDocument, NotFound
from state.files.collection import Collection
from state.store import Store

log = logging.getLogger(__name__)

D = TypeVar("D", bound=Document)

MOST_ENDED = 10_000
"""How many ended resources are looked through for a name."""


def read_living(collection: Collection[D, int]) -> list[D]:
    """The living documents by id; the scheduler takes care of those that cannot be read."""
    documents = []
    for number in sorted(collection.living()):
        try:
            document = collection.get(number)
        except CorruptDocument as error:
            log.warning("%s", error, extra=of_file(error.path))
            continue
        if document is not None:
            documents.append(document)
    return documents


def holders(tickets: Iterable[Ticket]) -> dict[int, Ticket]:
    """By resource, the ticket that has it or had it last: an OPEN one rather than a CLOSED one, the oldest first."""
    found: dict[int, Ticket] = {}
    for ticket in tickets:
        if ticket.resource is not None and ticket.state is not TicketState.FAILED:
            known = found.get(ticket.resource)
            if known is None or (known.state is not TicketState.OPEN and ticket.state is TicketState.OPEN):
                found[ticket.resource] = ticket
    return found


def holder(resource: Resource, by_resource: Mapping[int, Ticket]) -> Ticket | None:
    """The ticket that has the resource: a CLOSED one only until its resource is free again."""
    ticket = by_resource.get(resource.id)
    return None if ticket is None or ticket.id == resource.released_ticket else ticket


def find(store: Store, id_or_name: str) -> Resource:
    """The resource of this id or name, a living one rather than an ended one; raises NotFound."""
    resources = store.resources
    if id_or_name.isascii() and id_or_name.isdigit() and len(id_or_name) <= 17:
        return resources.read(int(id_or_name))
    for resource in read_living(resources):
        if resource.name == id_or_name:
            return resource
    for number in heapq.nlargest(MOST_ENDED, resources.archived()):
        try:
            ended = resources.read(number)
        except (NotFound, CorruptDocument):
            continue
        if ended.name == id_or_name:
            return ended
    raise NotFound("resource", id_or_name)
