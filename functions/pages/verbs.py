"""Verbs on pages: which ones are possible, the form that asks for confirmation, and the redirect after it is sent.

A page with `?ask=VERB` shows the form; the form is posted to the function of the verb, which redirects the browser to
the page with `?done=VERB`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from flask import Response

from functions.operators.read_model import PoolStatus
from functions.policy.transitions.resource import HOLDABLE
from functions.text import plural, span
from functions.web import replies
from functions.web.errors import BadParameter, shown
from functions.web.requests import Fields, parse_query
from state.documents import PoolMode, Resource, ResourceState, Ticket, TicketState


class Field(NamedTuple):
    """One text field of a form."""

    name: str
    label: str
    hint: str = ""
    required: bool = False


class Confirmation(NamedTuple):
    """The form that asks for confirmation of a verb: its button, what will happen, and where the form is posted."""

    verb: str
    button: str
    sentence: str
    action: str
    fields: tuple[Field, ...] = ()
    danger: bool = False


REASON = Field("reason", "Reason", "optional, shown to everybody")


class VerbQuery(Fields):
    """The query of a page with verbs: the verb to confirm, and the verb that was just done."""

    ask: str | None = None
    done: str | None = None


def read_verb_query() -> VerbQuery:
    """The query, with known verbs only; raises BadParameter."""
    query = parse_query(VerbQuery)
    for name, verb in (("ask", query.ask), ("done", query.done)):
        if verb is not None and verb not in VERBS:
            raise BadParameter(name, f"must be one of {', '.join(VERBS)}, not {shown(verb)}")
    return query


def verb_facts(possible: Sequence[Confirmation], query: VerbQuery) -> dict[str, Any]:
    """For the template: the possible verbs, the one to confirm, and the sentence about the one that was just done."""
    confirmation = next((each for each in possible if each.verb == query.ask), None)
    late = f"{_LABELS[query.ask]} is no longer possible." if query.ask and not confirmation else ""
    return {"verbs": possible, "confirmation": confirmation, "done": VERBS[query.done] if query.done else late}


def redirecting(function: Callable[..., Response], place: str, verb: str) -> Callable[..., Response]:
    """A view for browsers that calls `function` and redirects to `place`, which may name arguments of the route."""

    def view(**arguments: str) -> Response:
        function(**arguments)
        target = place.format(**{name: quote(value, safe="") for name, value in arguments.items()})
        return replies.see_other(f"{target}?done={verb}")

    return view


_SOON = "The scheduler does this within a moment."
VERBS = {
    "pause": f"The pool will be paused. {_SOON}",
    "drain": f"The pool will be drained. {_SOON}",
    "deadline": f"The pool will be drained. {_SOON}",
    "resume": f"The pool will be resumed. {_SOON}",
    "retry": f"The pool will try again. {_SOON}",
    "unused": f"The unused resources will be deleted. {_SOON}",
    "delete": f"The resource will be deleted. {_SOON}",
    "hold": f"The resource will be held. {_SOON}",
    "release": f"The hold of the resource will end. {_SOON}",
    "close": "The ticket is closed.",
    "bad": "The ticket is closed.",
}
"""Every verb, and the sentence that a page shows once it was asked for."""
_LABELS = {
    "pause": "Pausing this pool",
    "drain": "Draining this pool",
    "deadline": "Draining this pool",
    "resume": "Resuming this pool",
    "retry": "Retrying",
    "unused": "Deleting unused resources",
    "delete": "Deleting this resource",
    "hold": "Holding this resource",
    "release": "Ending the hold",
    "close": "Closing this ticket",
    "bad": "Closing this ticket",
}


def verbs_of_pool(pool: PoolStatus, now: float) -> list[Confirmation]:
    """What can be done with a pool in its current state."""
    place = f"/pools/{quote(pool.name, safe='')}"
    mode = pool.record.mode
    verbs = []
    if pool.record.start_failures or pool.record.paused_until is not None:
        left = (pool.record.paused_until or now) - now
        sentence = f"Its failed starts are forgotten, and it tries again now instead of in {span(left)}."
        verbs.append(Confirmation("retry", "Retry now", sentence, f"{place}/retry", (REASON,)))
    if mode is not PoolMode.ACTIVE:
        sentence = "It starts and assigns resources again."
        verbs.append(Confirmation("resume", "Resume", sentence, f"{place}/resume", (REASON,)))
    if mode is PoolMode.ACTIVE:
        sentence = "It starts no more resources. Existing ones are assigned, checked and deleted as before."
        verbs.append(Confirmation("pause", "Pause", sentence, f"{place}/pause", (REASON,)))
    if mode is not PoolMode.DRAINING:
        free, taken = pool.counts["ready"], pool.counts["taken"]
        sentence = (
            f"Nothing starts in it and none of its resources are assigned any more: {free} free are deleted at once, "
            f"{taken} taken when their tickets are closed{{}}."
        )
        by = Field("by", "Deadline", "like 23:59, +2h or 2026-03-01T18:00", required=True)
        late = sentence.format(", or at the deadline, and then those tickets fail")
        fields = (REASON,)
        verbs.append(Confirmation("drain", "Drain", sentence.format(""), f"{place}/drain", fields, danger=True))
        verbs.append(Confirmation("deadline", "Drain until", late, f"{place}/drain", (by, REASON), danger=True))
    if pool.counts["ready"]:
        free = plural(pool.counts["ready"], "free resource")
        refill = " The pool starts new ones as usual." if mode is PoolMode.ACTIVE else ""
        sentence = f"Deletes {free}, except those that fail their livecheck. No ticket is affected.{refill}"
        action = f"{place}/delete-unused"
        verbs.append(Confirmation("unused", "Delete unused", sentence, action, (REASON,), danger=True))
    return verbs


def verbs_of_resource(resource: Resource, ticket: Ticket | None, now: float) -> list[Confirmation]:
    """What can be done with a resource in its current state; `ticket` is the one that has it."""
    ending = resource.state in (ResourceState.DELETE_REQUEST, ResourceState.DELETING, ResourceState.ENDED)
    if ending or resource.delete_after_run:
        return []
    place = f"/resources/{resource.id}"
    if resource.held:
        sentence = "The usual rules apply to it again: it can be assigned, and is deleted when it is due."
        return [Confirmation("release", "End hold", sentence, f"{place}/release", (REASON,))]
    verbs = []
    if resource.state in HOLDABLE:
        sentence = "It is kept for inspection: until then it is neither assigned nor deleted."
        fields = (Field("for", "For how long", "like 2h or 1d", required=True), REASON._replace(hint="", required=True))
        verbs.append(Confirmation("hold", "Hold", sentence, f"{place}/hold", fields))
    sentence = "It is free; no ticket is affected."
    if resource.state is ResourceState.STARTING:
        sentence = "It is deleted when its start has ended."
    elif ticket is not None and ticket.state is TicketState.OPEN:
        since = "" if ticket.assigned_at is None else f", {span(now - ticket.assigned_at)}"
        sentence = f"Ticket {ticket.id} ({'+'.join(ticket.tags) or 'no tags'}{since}) is using it and will fail."
    return [*verbs, Confirmation("delete", "Delete", sentence, f"{place}/delete", (REASON,), danger=True)]


def verbs_of_ticket(ticket: Ticket) -> list[Confirmation]:
    """What can be done with a ticket in its current state."""
    if ticket.state is TicketState.CLOSED:
        return []
    action = f"/tickets/{ticket.id}/close"
    if ticket.state is TicketState.FAILED:
        return [Confirmation("close", "Close", "It has failed. Once closed, it is no longer listed.", action)]
    if ticket.waiting:
        sentence = "It stops waiting, and its client's wait ends with an error."
        return [Confirmation("close", "Close", sentence, action, danger=True)]
    name = ticket.resource_name or str(ticket.resource)
    sentence = f"Its client loses {name}, which is released."
    wrong = Field("bad", "What is wrong with it", "shown to everybody", required=True)
    reject = f"{name} is deleted, is not used again, and counts as bad."
    return [
        Confirmation("close", "Close", sentence, action, danger=True),
        Confirmation("bad", "Close as bad", reject, action, (wrong,), danger=True),
    ]
