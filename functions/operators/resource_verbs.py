"""What operators do with resources: `DELETE /resources/ID|NAME`, `POST /resources/delete`, and with one of them
`POST /resources/ID|NAME/delete`, `/hold` and `/release`; with a pool's unused ones `POST /pools/NAME/delete-unused`.

Reads tickets and resources. Each writes an intent, which the next reconcile pass decides.
"""

from typing import NamedTuple

from flask import Response

from functions.operators import times
from functions.operators import verbs as wishes
from functions.operators.living import find, read_living
from functions.operators.pool_verbs import read_record
from functions.operators.resources import with_tickets
from functions.policy.transitions.resource import HOLDABLE, LONGEST_HOLD
from functions.text import utc
from functions.web import errors
from functions.web import replies as http
from functions.web.context import Context, current
from functions.web.errors import BadField, shown
from functions.web.offload import in_thread
from functions.web.requests import Body, Query
from state.documents import Intent, IntentKind, Resource, ResourceState
from state.errors import NotFound
from state.store import Store

_HOLDS = (IntentKind.HOLD_RESOURCE, IntentKind.RELEASE_RESOURCE)
USUAL_HOLD = 86400.0
"""Seconds, when nobody says how long."""


class Chosen(NamedTuple):
    """What is to be deleted, the names that nothing has, and what is held and stays."""

    found: list[Resource]
    unknown: list[str]
    held: list[Resource]


def delete(id_or_name: str) -> Response:
    """202: the resource will be deleted, taken or not. 409 while it is held."""
    Query().finish()
    return _delete_one(id_or_name, None)


def delete_by_post(id_or_name: str) -> Response:
    """The same, with why in the field `reason` of the body."""
    Query().finish()
    body = Body()
    reason = wishes.read_reason(body)
    body.finish()
    return _delete_one(id_or_name, reason)


def delete_some() -> Response:
    """202 with what will be deleted: each `resource` (id or name), or `all` or `unused` ones that are UP.

    What is held stays, and is told.
    """
    context = current()
    body = Body()
    field, named = body.strings("resources", form_name="resource")
    everything, unused = body.flag("all"), body.flag("unused")
    body.finish()
    if [bool(named), everything, unused].count(True) != 1:
        raise BadField(field, "or all or unused must be given, and only one of them")
    chosen = in_thread(_named, context.store, named) if named else in_thread(_up, context.store, unused)
    return _delete(context, chosen, None, unused)


def delete_unused(name: str) -> Response:
    """202 with what will be deleted of a pool: what is UP, free, not held, and well. Taken ones stay."""
    Query().finish()
    context, body = current(), Body()
    reason = wishes.read_reason(body)
    body.finish()
    in_thread(read_record, context, name)
    chosen = in_thread(_up, context.store, True, name)
    return _delete(context, chosen, reason, True)


def hold(id_or_name: str) -> Response:
    """202: the resource is kept, for a `reason`, `for` a time or `until` one: nobody gets it and nothing deletes it."""
    Query().finish()
    context, body = current(), Body()
    reason = wishes.read_reason(body, required=True)
    span, moment = body.string("for"), body.string("until")
    body.finish()
    if span is not None and moment is not None:
        raise BadField("until", "cannot be given beside for")
    now = context.clock()
    until = now + USUAL_HOLD
    if span is not None:
        until = now + times.read_span("for", span, LONGEST_HOLD)
    elif moment is not None:
        until = times.read_moment("until", moment, now, LONGEST_HOLD)
    resource = in_thread(_living, context.store, id_or_name)
    if resource.state not in HOLDABLE:
        raise errors.NotUp(resource)
    _ask(context, IntentKind.HOLD_RESOURCE, resource, reason, until)
    taken = "its ticket keeps it, and " if in_thread(_is_taken, context.store, resource) else ""
    return _reply(resource, "hold", f"{taken}it is held until {utc(until)}: given to nobody, deleted by nothing")


def release(id_or_name: str) -> Response:
    """202: the resource is held no longer, and the usual rules are for it again."""
    Query().finish()
    context, body = current(), Body()
    reason = wishes.read_reason(body)
    body.finish()
    resource = in_thread(_living, context.store, id_or_name)
    (expected,) = in_thread(_as_wished, context.store, [resource])
    _ask(context, IntentKind.RELEASE_RESOURCE, resource, reason)
    return _reply(resource, "release", "it is held no longer" if expected.held else "it is not held")


def _delete_one(id_or_name: str, reason: str | None) -> Response:
    context = current()
    chosen = in_thread(_named, context.store, [id_or_name])
    if chosen.unknown:
        raise NotFound("resource", id_or_name)
    if chosen.held:
        raise errors.Held(chosen.held[0])
    return _delete(context, chosen, reason)


def _living(store: Store, id_or_name: str) -> Resource:
    resource = find(store, id_or_name)
    if resource.state is ResourceState.ENDED:
        raise errors.ResourceEnded(resource)
    return resource


def _is_taken(store: Store, resource: Resource) -> bool:
    return any(ticket is not None for found, ticket in with_tickets(store) if found.id == resource.id)


def _ask(
    context: Context, kind: IntentKind, resource: Resource, reason: str | None, until: float | None = None
) -> None:
    in_thread(wishes.ask, context, kind, resource=resource.id, reason=reason, until=until, by=wishes.who())


def _named(store: Store, named: list[str]) -> Chosen:
    chosen = Chosen([], [], [])
    living = {resource.name: resource for resource in read_living(store.resources)}
    named_ones = []
    for id_or_name in dict.fromkeys(named):
        try:
            named_ones.append(living.get(id_or_name) or _living(store, id_or_name))
        except (NotFound, errors.ResourceEnded):
            chosen.unknown.append(id_or_name)
    for resource in _as_wished(store, named_ones):
        (chosen.held if resource.held else chosen.found).append(resource)
    return chosen


def _up(store: Store, unused: bool, pool: str | None = None) -> Chosen:
    living = [(found, ticket) for found, ticket in with_tickets(store) if pool in (None, found.pool)]
    up = [(found, ticket) for found, ticket in living if found.state is ResourceState.UP]
    if unused:
        up = [(found, ticket) for found, ticket in up if ticket is None and found.check_failed_count == 0]
    resources = _as_wished(store, [found for found, _ in up])
    kept = [] if unused else [resource for resource in resources if resource.held]
    return Chosen([resource for resource in resources if not resource.held], [], kept)


def _as_wished(store: Store, resources: list[Resource]) -> list[Resource]:
    """The resources as they will be after the next pass, held or not, where somebody asked for that just now."""
    wished = {intent.resource: intent for intent in read_living(store.intents) if intent.kind in _HOLDS}
    return [_held_or_not(resource, wished.get(resource.id)) for resource in resources]


def _held_or_not(resource: Resource, wish: Intent | None) -> Resource:
    if wish is None:
        return resource
    held_now = wish.kind is IntentKind.HOLD_RESOURCE
    return resource.replace(held_until=wish.until if held_now else None, held_reason=wish.reason if held_now else None)


def _delete(context: Context, chosen: Chosen, why: str | None, unused: bool = False) -> Response:
    who = wishes.who()
    deed = "deleted by an operator" + (f" ({who})" if who else "") + (" as unused" if unused else "")
    reason = f"{deed}: {why}" if why else deed

    def ask() -> None:
        for resource in chosen.found:
            kind = IntentKind.DELETE_RESOURCE
            wishes.ask(context, kind, resource=resource.id, unused_only=unused, reason=reason, by=who)

    in_thread(ask)
    if http.wants_json():
        return http.json_reply(
            {
                "deleted": [{"id": resource.id, "name": resource.name} for resource in chosen.found],
                "unknown": chosen.unknown,
                "held": [{"id": resource.id, "name": resource.name} for resource in chosen.held],
            },
            202,
        )
    lines = [f"deleted {resource.id} {resource.name}" for resource in chosen.found]
    lines += [f"unknown {shown(id_or_name)}" for id_or_name in chosen.unknown]
    lines += [f"held {resource.id} {resource.name}: {resource.held_reason}" for resource in chosen.held]
    return http.text_reply("".join(f"{line}\n" for line in lines), 202)


def _reply(resource: Resource, verb: str, sentence: str) -> Response:
    if http.wants_json():
        return http.json_reply({"id": resource.id, "name": resource.name, "verb": verb, "message": sentence}, 202)
    return http.text_reply(f"resource {resource.id} ({resource.name}): {sentence}\n", 202)
