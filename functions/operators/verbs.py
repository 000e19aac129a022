"""The verbs of operators: what they do with pools and resources.

`POST /pools/NAME/pause`, `/drain`, `/resume`, `/retry` and `/delete-unused`; `DELETE /resources/ID|NAME`,
`POST /resources/delete`, `POST /resources/ID|NAME/delete`, `/hold` and `/release`. Each reads its pool or resources and
writes intents, which the next reconcile pass decides. Each may be repeated.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from flask import Response, request
from msgspec import Meta

from config.pools import pool_name_fault
from functions.operators.pools import read_counts
from functions.operators.read_model import find_resource, living_resources
from functions.operators.resources import read_with_holders
from functions.policy.transitions.resource import HOLDABLE, LONGEST_HOLD
from functions.text import utc
from functions.tickets.validation import fault_of_name, fault_of_reason, one_line
from functions.web import errors, replies, times
from functions.web.context import Context, current
from functions.web.errors import BadField, BadParameter, shown
from functions.web.offload import in_thread
from functions.web.requests import Fields, NoFields, label_of, parse_body, parse_query
from state.documents import Intent, IntentKind, PoolMode, PoolRecord, Resource, ResourceState
from state.errors import NotFound

USER_HEADER = "Resalloc-User"
"""The header that names the operator; a proxy that authenticates users sets it."""
LONGEST_DRAIN = 366 * 86400.0
"""Seconds that the deadline of a drain may be ahead."""
DEFAULT_HOLD = 86400.0
"""Seconds for which a resource is held when the request does not say how long."""
_HOLD_INTENTS = (IntentKind.HOLD_RESOURCE, IntentKind.RELEASE_RESOURCE)

Reason = Annotated[str, Meta(extra_json_schema={"maxLength": 255}, description="Why, for people.")]


class ReasonBody(Fields):
    """The body of the verbs that need no more than a reason."""

    reason: Reason | None = None


class Drain(Fields):
    """The body of `POST /pools/NAME/drain`."""

    reason: Reason | None = None
    by: Annotated[
        str | None,
        Meta(
            description="When resources that are still taken are deleted: like 23:59, 2h or 2026-03-01T18:00Z.",
            examples=["2h", "2026-03-01T18:00Z"],
        ),
    ] = None


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


# Pools


def pause(name: str) -> Response:
    """202: nothing starts in the pool any more. 409 while it drains, which must be ended first."""
    context, reason = current(), _read_reason()
    record = in_thread(_read_record, context, name)
    if record.mode is PoolMode.DRAINING:
        raise errors.PoolDrains(name)
    _write_intent(context, IntentKind.PAUSE_POOL, pool=name, reason=reason)
    return _pool_reply(name, "pause", "nothing starts in it; its resources are assigned, checked and deleted as before")


def resume(name: str) -> Response:
    """202: the pool starts and assigns resources again, after a pause or a drain."""
    context, reason = current(), _read_reason()
    record = in_thread(_read_record, context, name)
    _write_intent(context, IntentKind.RESUME_POOL, pool=name, reason=reason)
    before = {PoolMode.PAUSED: " and is no longer paused", PoolMode.DRAINING: " and no longer drains"}
    sentence = f"it starts and assigns resources as its options say{before.get(record.mode, '')}"
    return _pool_reply(name, "resume", sentence)


def drain(name: str) -> Response:
    """202 with what is left in the pool: nothing starts and nothing is assigned. Free resources are deleted at once,
    taken ones when their ticket is closed, or at the time `by`, and then that ticket fails.
    """
    parse_query(NoFields)
    context, body = current(), parse_body(Drain)
    reason = _checked_reason(body.reason)
    until = None if body.by is None else times.read_future("by", body.by, context.clock(), LONGEST_DRAIN)
    in_thread(_read_record, context, name)
    counts = next((pool for pool in in_thread(read_counts, context) if pool["name"] == name), {})
    _write_intent(context, IntentKind.DRAIN_POOL, pool=name, reason=reason, until=until)
    return _pool_reply(name, "drain", _drain_sentence(counts, until))


def retry(name: str) -> Response:
    """202: the pool's pause after failed starts ends, and it tries to start at once."""
    context, reason = current(), _read_reason()
    record = in_thread(_read_record, context, name)
    _write_intent(context, IntentKind.RETRY_POOL, pool=name, reason=reason)
    if record.mode is not PoolMode.ACTIVE:
        sentence = f"its failed starts are forgotten, but it starts nothing while it is {record.mode}"
    elif record.paused_until is None:
        sentence = "it has no failed starts to forget"
    else:
        sentence = "its failed starts are forgotten, it tries again at once"
    return _pool_reply(name, "retry", sentence)


def delete_unused(name: str) -> Response:
    """202 with what will be deleted of a pool: resources that are UP, free, not held, and pass their livecheck."""
    context, reason = current(), _read_reason()
    in_thread(_read_record, context, name)
    return _delete(context, in_thread(_select_up, context, True, name), reason, True)


# Resources


def delete(id_or_name: str) -> Response:
    """202: the resource will be deleted, taken or not. 409 while it is held."""
    parse_query(NoFields)
    return _delete_one(id_or_name, None)


def delete_by_post(id_or_name: str) -> Response:
    """The same as `delete`, with the field `reason` of the body."""
    return _delete_one(id_or_name, _read_reason())


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


def hold(id_or_name: str) -> Response:
    """202: the resource is neither assigned nor deleted, for a `reason`, `for` a span or `until` a time."""
    parse_query(NoFields)
    context, body = current(), parse_body(Hold)
    reason = _checked_reason(body.reason, required=True)
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
    _write_intent(context, IntentKind.HOLD_RESOURCE, resource=resource.id, reason=reason, until=until)
    taken = "its ticket keeps it, and " if in_thread(_is_taken, context, resource) else ""
    return _resource_reply(resource, "hold", f"{taken}it is held until {utc(until)}: not assigned, not deleted")


def release(id_or_name: str) -> Response:
    """202: the hold of the resource ends, and the usual rules apply to it again."""
    context, reason = current(), _read_reason()
    resource = in_thread(_find_living, context, id_or_name)
    (expected,) = in_thread(_with_pending_holds, context, [resource])
    _write_intent(context, IntentKind.RELEASE_RESOURCE, resource=resource.id, reason=reason)
    return _resource_reply(resource, "release", "it is no longer held" if expected.held else "it is not held")


# Operator and reason


def _read_operator() -> str | None:
    """The operator's name from the header, else the client's address; raises BadParameter."""
    name = request.headers.get(USER_HEADER)
    if not name:
        return request.remote_addr
    fault = fault_of_name(name)
    if fault:
        raise BadParameter(USER_HEADER, fault)
    return name


def _read_reason() -> str | None:
    """The reason in the body of a verb that takes nothing else; raises BadParameter and BadField."""
    parse_query(NoFields)
    return _checked_reason(parse_body(ReasonBody).reason)


def _checked_reason(text: str | None, required: bool = False) -> str | None:
    """The field `reason` on one line, None without one; raises BadField."""
    reason = one_line(text or "")
    if (reason or required) and (fault := fault_of_reason(reason)):
        raise BadField("reason", fault)
    return reason or None


# Reading


def _read_record(context: Context, name: str) -> PoolRecord:
    """The record of the pool; raises NotFound."""
    record = None if pool_name_fault(name) else context.store.pools.get(name)
    if record is None:
        raise NotFound("pool", name)
    return record


def _find_living(context: Context, id_or_name: str) -> Resource:
    resource = find_resource(context.store, id_or_name)
    if resource.state is ResourceState.ENDED:
        raise errors.ResourceEnded(resource)
    return resource


def _is_taken(context: Context, resource: Resource) -> bool:
    return any(ticket is not None for found, ticket in read_with_holders(context) if found.id == resource.id)


def _select_named(context: Context, named: Sequence[str]) -> Selection:
    selection = Selection([], [], [])
    living = {resource.name: resource for resource in living_resources(context.store)}
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
    intents = context.store.intents.all()
    pending = {intent.resource: intent for intent in intents if intent.kind in _HOLD_INTENTS}
    return [_with_hold_intent(resource, pending.get(resource.id)) for resource in resources]


def _with_hold_intent(resource: Resource, intent: Intent | None) -> Resource:
    """The resource, held or not, after this intent was carried out."""
    if intent is None:
        return resource
    held = intent.kind is IntentKind.HOLD_RESOURCE
    return resource.replace(held_until=intent.until if held else None, held_reason=intent.reason if held else None)


# Writing and replying


def _write_intent(context: Context, kind: IntentKind, **fields: Any) -> None:
    """Write an intent of this operator, durably; raises BadParameter, StoreUnavailable and StoreFrozen."""
    in_thread(context.store.intents.create, _intent_maker(context, kind, by=_read_operator(), **fields))


def _intent_maker(context: Context, kind: IntentKind, **fields: Any) -> Callable[[int], Intent]:
    """Makes the intent with the number that the store assigns."""
    return lambda number: Intent(id=number, kind=kind, created_at=context.clock(), **fields)


def _delete_one(id_or_name: str, reason: str | None) -> Response:
    context = current()
    selection = in_thread(_select_named, context, (id_or_name,))
    if selection.unknown:
        raise NotFound("resource", id_or_name)
    if selection.held:
        raise errors.Held(selection.held[0])
    return _delete(context, selection, reason)


def _delete(context: Context, selection: Selection, reason: str | None, unused: bool = False) -> Response:
    operator = _read_operator()
    what = "deleted by an operator" + (f" ({operator})" if operator else "") + (" as unused" if unused else "")
    whole_reason = f"{what}: {reason}" if reason else what

    fields = {"unused_only": unused, "reason": whole_reason, "by": operator}
    makers = [
        _intent_maker(context, IntentKind.DELETE_RESOURCE, resource=resource.id, **fields)
        for resource in selection.found
    ]
    in_thread(context.store.intents.create_all, makers)
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


def _drain_sentence(counts: dict[str, int], until: float | None) -> str:
    free, taken = counts.get("ready", 0), counts.get("taken", 0)
    coming = counts.get("starting", 0) + counts.get("releasing", 0)
    going = counts.get("delete_requested", 0) + counts.get("deleting", 0)
    if not free + taken + coming + going:
        return "nothing starts in it, and it has no resources left"
    parts = [f"{free} free are deleted now"]
    if coming:
        parts.append(f"{coming} are deleted when they have started or are released")
    if going:
        parts.append(f"{going} are already being deleted")
    if taken:
        parts.append(f"{taken} taken are deleted when their tickets are closed")
        parts.append("no deadline" if until is None else f"at {utc(until)} at the latest")
    return f"nothing starts in it and nothing is assigned: {', '.join(parts)}"


def _pool_reply(name: str, verb: str, sentence: str) -> Response:
    if replies.wants_json():
        return replies.json_reply({"pool": name, "verb": verb, "message": sentence}, 202)
    return replies.text_reply(f"pool {name}: {sentence}\n", 202)


def _resource_reply(resource: Resource, verb: str, sentence: str) -> Response:
    if replies.wants_json():
        return replies.json_reply({"id": resource.id, "name": resource.name, "verb": verb, "message": sentence}, 202)
    return replies.text_reply(f"resource {resource.id} ({resource.name}): {sentence}\n", 202)
