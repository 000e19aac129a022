"""What operators can do from a page, and what is asked before it is done. Pure: what is there comes in, words go out.

A page with `?ask=VERB` asks; its form is sent to the function of the verb; a browser then comes back with `?done=VERB`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from functions.operators.read_model import PoolLook
from functions.policy.transitions.resource import HOLDABLE
from functions.text import plural, span
from functions.web.errors import BadParameter, shown
from functions.web.requests import Query
from state.documents import PoolMode, Resource, ResourceState, Ticket, TicketState


class Field(NamedTuple):
    """A text that is asked for."""

    name: str
    label: str
    hint: str = ""
    required: bool = False


class Ask(NamedTuple):
    """One verb: what its button says, what will happen, and where the form goes."""

    verb: str
    button: str
    sentence: str
    action: str
    fields: tuple[Field, ...] = ()
    danger: bool = False


WHY = Field("reason", "Reason", "optional, shown to everybody")


def read_verb(query: Query, name: str) -> str | None:
    """The parameter `ask` or `done`, a known verb; raises BadParameter."""
    verb = query.string(name)
    if verb is not None and verb not in VERBS:
        raise BadParameter(name, f"must be one of {', '.join(VERBS)}, not {shown(verb)}")
    return verb


def told(asks: Sequence[Ask], asked: str | None, done: str | None) -> dict[str, Any]:
    """What a page needs to know: what is possible now, what it asks, and what was asked for a moment ago."""
    ask = next((ask for ask in asks if ask.verb == asked), None)
    late = f"To {asked} it is not possible any more." if asked and not ask else ""
    return {"asks": asks, "ask": ask, "done": VERBS[done] if done else late}


_SOON = "The scheduler does it within a moment."
VERBS = {
    "pause": f"The pool is to be paused. {_SOON}",
    "drain": f"The pool is to be drained. {_SOON}",
    "deadline": f"The pool is to be drained. {_SOON}",
    "resume": f"The pool is to be resumed. {_SOON}",
    "retry": f"The pool is to try again. {_SOON}",
    "unused": f"The unused resources are to be deleted. {_SOON}",
    "delete": f"The resource is to be deleted. {_SOON}",
    "hold": f"The resource is to be held. {_SOON}",
    "release": f"The resource is to be held no longer. {_SOON}",
    "close": "The ticket is closed.",
    "bad": "The ticket is closed.",
}
"""Every verb, and what is said once it was asked for."""


def asks_of_pool(pool: PoolLook, now: float) -> list[Ask]:
    """What can be done with a pool as it is now."""
    place = f"/pools/{quote(pool.name, safe='')}"
    mode = pool.record.mode
    asks = []
    if pool.record.start_failures or pool.record.paused_until is not None:
        left = (pool.record.paused_until or now) - now
        sentence = f"Its failed starts are forgotten, and it tries again now, not in {span(left)}."
        asks.append(Ask("retry", "Retry now", sentence, f"{place}/retry", (WHY,)))
    if mode is not PoolMode.ACTIVE:
        asks.append(Ask("resume", "Resume", "It starts and gives again.", f"{place}/resume", (WHY,)))
    if mode is PoolMode.ACTIVE:
        sentence = "Nothing starts in it any more. What is there is given, checked and deleted as ever."
        asks.append(Ask("pause", "Pause", sentence, f"{place}/pause", (WHY,)))
    if mode is not PoolMode.DRAINING:
        free, taken = pool.counts["ready"], pool.counts["taken"]
        sentence = (
            f"Nothing starts in it and nothing of it is given any more: {free} free go at once, {taken} taken when "
            "their tickets are closed{}."
        )
        by = Field("by", "Deadline", "like +2h, or 2026-03-01T18:00", required=True)
        late = sentence.format(", or at the deadline, and then those tickets fail")
        asks.append(Ask("drain", "Drain", sentence.format(""), f"{place}/drain", (WHY,), danger=True))
        asks.append(Ask("deadline", "Drain until", late, f"{place}/drain", (by, WHY), danger=True))
    if pool.counts["ready"]:
        free = plural(pool.counts["ready"], "free resource")
        sentence = f"{free} deleted, but for those whose livecheck fails. Nobody loses anything{_refill(mode)}."
        asks.append(Ask("unused", "Delete unused", sentence, f"{place}/delete-unused", (WHY,), danger=True))
    return asks


def _refill(mode: PoolMode) -> str:
    return ", and the pool starts new ones as it always does" if mode is PoolMode.ACTIVE else ""


def asks_of_resource(resource: Resource, ticket: Ticket | None) -> list[Ask]:
    """What can be done with a resource as it is now."""
    going = resource.state in (ResourceState.DELETE_REQUEST, ResourceState.DELETING, ResourceState.ENDED)
    if going or resource.delete_after_run:
        return []
    place = f"/resources/{resource.id}"
    if resource.held:
        freed = "The usual rules are for it again: it is given, and deleted when it is due."
        return [Ask("release", "Hold no longer", freed, f"{place}/release", (WHY,))]
    asks = []
    if resource.state in HOLDABLE:
        kept = "It is kept to be looked at: nobody gets it, and nothing deletes it until then."
        span_of_it = Field("for", "For how long", "like 2h or 1d", required=True)
        asks.append(Ask("hold", "Hold", kept, f"{place}/hold", (span_of_it, WHY._replace(hint="", required=True))))
    sentence = "It is free, nobody loses anything."
    if resource.state is ResourceState.STARTING:
        sentence = "It is deleted when its start has ended."
    elif ticket is not None and ticket.state is TicketState.OPEN:
        sentence = f"Ticket {ticket.id} has it, for {plural(len(ticket.tags), 'tag')}, and will fail."
    return [*asks, Ask("delete", "Delete", sentence, f"{place}/delete", (WHY,), danger=True)]


def asks_of_ticket(ticket: Ticket) -> list[Ask]:
    """What can be done with a ticket as it is now."""
    if ticket.state is TicketState.CLOSED:
        return []
    action = f"/tickets/{ticket.id}/close"
    if ticket.state is TicketState.FAILED:
        return [Ask("close", "Close", "It has failed; closed, it is no longer listed.", action)]
    if ticket.waiting:
        return [Ask("close", "Close", "It gives up waiting: its client is told that it is over.", action, danger=True)]
    name = ticket.resource_name or str(ticket.resource)
    bad = Field("bad", "What is wrong with it", "shown to everybody", required=True)
    return [
        Ask("close", "Close", f"Its client loses {name}, which is released.", action, danger=True),
        Ask("bad", "Close as bad", f"{name} is deleted, not used again, and counted.", action, (bad,), danger=True),
    ]
