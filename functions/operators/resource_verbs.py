"""What operators do with resources: delete one, some, all or a pool's unused ones; hold one and end its hold.

`DELETE /resources/ID|NAME`, `POST /resources/delete`, `POST /resources/ID|NAME/delete`, `/hold` and `/release`,
`POST /pools/NAME/delete-unused`. Each reads the read model and writes intents, which the next reconcile pass decides.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from flask import Response
from msgspec import Meta

from functions.operators.pool_verbs import read_record
from functions.operators.read_model import ReadModelCache
from functions.operators.resources import read_with_holders
from functions.operators.verbs import checked_reason, read_operator, read_reason, write_intent
from functions.policy.transitions.resource import HOLDABLE, LONGEST_HOLD
from functions.text import utc
from functions.web import errors, replies, times
from functions.web.context import Context, current
from functions.web.errors import BadField, shown
from functions.web.offload import in_thread
from functions.web.requests import Fields, NoFields, label_of, parse_body, parse_query
from state.documents import Intent, IntentKind, Resource, ResourceState
from state.errors import NotFound

DEFAULT_HOLD = 86400.0
"""Seconds for which a resource is held when the request does not say how long."""
_HOLD_INTENTS = (IntentKind.HOLD_RESOURCE, IntentKind.RELEASE_RESOURCE)


class DeleteSome(Fields):
    """The body of `POST /resources/delete`: exactly one of its fields must be given."""

    resources: Annotated[tuple[str, ...], Meta(extra={"form": "resource"}, description="Ids or names.")] = ()
    all: Annotated[bool, Meta(description="Every resource that is UP.")] = False
    unused: Annotated[bool, Meta(description="Every resource that is UP, free and passes its livecheck.")] = False


class Hold(Fields):
    """The body of `POST /resources/ID|NAME/hold`."""

    reason: Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 255}, description="Why, for people.")]
    for_: Annotated[str | None, Meta(description="A span of at most 7 days.", examples=["2h", "1d12h"])] = (
        msgspec.field(name="for", default=None)
    )
    until: Annotated[
        str | None, Meta(description="A time, instead of a span.", examples=["+2h", "2026-03-01T18:00Z"])
    ] = None


class Selection(NamedTuple):
    """The resources to delete, the names that no resource has, and the resources that stay because they are held."""

    found: list[Resource]
    unknown: list[str]
    held: list[Resource]


def delete(id_or_name: str) -> Response:
    """202: the resource will be deleted, taken or not. 409 while it is held."""
    parse_query(NoFields)
    return _delete_one(id_or_name, None)


def delete_by_post(id_or_name: str) -> Response:
    """The same as `delete`, with the field `reason` of the body."""
    return _delete_one(id_or_name, read_reason())


def delete_some() -> Response:
    """202 with what will be deleted: each `resource` (id or name), or `all` or `unused` ones that are UP.

    Held resources stay and are listed.
    """
    context = current()
    body = parse_body(DeleteSome)
    if [bool(body.resources), body.all, body.unused].count(True) != 1:
        raise BadField(label_of(DeleteSome, "resources"), "or all or unused must be given, and only one of them")
    if body.resources:
        selection = in_thread(_select_named, context, body.resources)
    else:
        selection = in_thread(_select_up, context, body.unused)
    return _delete(context, selection, None, body.unused)


def delete_unused(name: str) -> Response:
    """202 with what will be deleted of a pool: resources that are UP, free, not held, and pass their livecheck."""
    context, reason = current(), read_reason()
    in_thread(read_record, context, name)
    return _delete(context, in_thread(_select_up, context, True, name), reason, True)


def hold(id_or_name: str) -> Response:
    """202: the resource is neither assigned nor deleted, for a `reason`, `for` a span or `until` a time."""
    parse_query(NoFields)
    context, body = current(), parse_body(Hold)
    reason = checked_reason(body.reason, required=True)
    if body.for_ is not None and body.until is not None:
        raise BadField("until", "cannot be given beside for")
    now = context.clock()
    until = now + DEFAULT_HOLD
    if body.for_ is not None:
        until = now + times.read_span("for", body.for_, LONGEST_HOLD)
    elif body.until is not None:
        until = times.read_future("until", body.until, now, LONGEST_HOLD)
    resource = in_thread(_find_living, context, id_or_name)
    if resource.state not in HOLDABLE:
        raise errors.NotUp(resource)
    _write_intent(context, IntentKind.HOLD_RESOURCE, resource, reason, until)
    taken = "its ticket keeps it, and " if in_thread(_is_taken, context, resource) else ""
    return _reply(resource, "hold", f"{taken}it is held until {utc(until)}: not assigned, not deleted")


def release(id_or_name: str) -> Response:
    """202: the hold of the resource ends, and the usual rules apply to it again."""
    context, reason = current(), read_reason()
    resource = in_thread(_find_living, context, id_or_name)
    (expected,) = in_thread(_with_pending_holds, context, [resource])
    _write_intent(context, IntentKind.RELEASE_RESOURCE, resource, reason)
    return _reply(resource, "release", "it is no longer held" if expected.held else "it is not held")


def _delete_one(id_or_name: str, reason: str | None) -> Response:
    context = current()
    selection = in_thread(_select_named, context, (id_or_name,))
    if selection.unknown:
        raise NotFound("resource", id_or_name)
    if selection.held:
        raise errors.Held(selection.held[0])
    return _delete(context, selection, reason)


def _find_living(context: Context, id_or_name: str) -> Resource:
    resource = context.shared(ReadModelCache).find_resource(id_or_name)
    if resource.state is ResourceState.ENDED:
        raise errors.ResourceEnded(resource)
    return resource


def _is_taken(context: Context, resource: Resource) -> bool:
    return any(ticket is not None for found, ticket in read_with_holders(context) if found.id == resource.id)


def _write_intent(
    context: Context, kind: IntentKind, resource: Resource, reason: str | None, until: float | None = None
) -> None:
    in_thread(write_intent, context, kind, resource=resource.id, reason=reason, until=until, by=read_operator())


def _select_named(context: Context, named: Sequence[str]) -> Selection:
    selection = Selection([], [], [])
    living = {resource.name: resource for resource in context.shared(ReadModelCache).resources()}
    resources = []
    for id_or_name in dict.fromkeys(named):
        try:
            resources.append(living.get(id_or_name) or _find_living(context, id_or_name))
        except (NotFound, errors.ResourceEnded):
            selection.unknown.append(id_or_name)
    for resource in _with_pending_holds(context, resources):
        (selection.held if resource.held else selection.found).append(resource)
    return selection


def _select_up(context: Context, unused: bool, pool: str | None = None) -> Selection:
    living = [(found, ticket) for found, ticket in read_with_holders(context) if pool in (None, found.pool)]
    up = [(found, ticket) for found, ticket in living if found.state is ResourceState.UP]
    if unused:
        up = [(found, ticket) for found, ticket in up if ticket is None and found.check_failed_count == 0]
    resources = _with_pending_holds(context, [found for found, _ in up])
    kept = [] if unused else [resource for resource in resources if resource.held]
    return Selection([resource for resource in resources if not resource.held], [], kept)


def _with_pending_holds(context: Context, resources: list[Resource]) -> list[Resource]:
    """The resources as they will be, held or not, once the next pass has decided the intents that are written."""
    pending = {
        intent.resource: intent for intent in context.shared(ReadModelCache).intents() if intent.kind in _HOLD_INTENTS
    }
    return [_after(pending.get(resource.id), resource) for resource in resources]


def _after(intent: Intent | None, resource: Resource) -> Resource:
    if intent is None:
        return resource
    held = intent.kind is IntentKind.HOLD_RESOURCE
    return resource.replace(held_until=intent.until if held else None, held_reason=intent.reason if held else None)


def _delete(context: Context, selection: Selection, reason: str | None, unused: bool = False) -> Response:
    operator = read_operator()
    what = "deleted by an operator" + (f" ({operator})" if operator else "") + (" as unused" if unused else "")
    whole_reason = f"{what}: {reason}" if reason else what

    def write_intents() -> None:
        for resource in selection.found:
            kind = IntentKind.DELETE_RESOURCE
            write_intent(context, kind, resource=resource.id, unused_only=unused, reason=whole_reason, by=operator)

    in_thread(write_intents)
    if replies.wants_json():
        return replies.json_reply(
            {
                "deleted": [{"id": resource.id, "name": resource.name} for resource in selection.found],
                "unknown": selection.unknown,
                "held": [{"id": resource.id, "name": resource.name} for resource in selection.held],
            },
            202,
        )
    lines = [f"deleted {resource.id} {resource.name}" for resource in selection.found]
    lines += [f"unknown {shown(id_or_name)}" for id_or_name in selection.unknown]
    lines += [f"held {resource.id} {resource.name}: {resource.held_reason}" for resource in selection.held]
    return replies.text_reply("".join(f"{line}\n" for line in lines), 202)


def _reply(resource: Resource, verb: str, sentence: str) -> Response:
    if replies.wants_json():
        return replies.json_reply({"id": resource.id, "name": resource.name, "verb": verb, "message": sentence}, 202)
    return replies.text_reply(f"resource {resource.id} ({resource.name}): {sentence}\n", 202)
