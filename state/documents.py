"""The durable documents (tickets, resources, pool records, intents, agents) and their states.

Times are Unix seconds. Bytes (`data`, `output`) are base64 in JSON. Every document keeps the fields that this version
does not know in `unknown`, so that an older program beside a newer one loses nothing; so do a `Run` and an `Event`
inside a document.
"""

import functools
from enum import EnumType, StrEnum
from typing import Any, ClassVar, Self, cast

import msgspec


@functools.cache
def _known(form: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(form.__struct_encode_fields__) - {"unknown"}


def _gather_unknown(form: type[msgspec.Struct], fields: Any) -> Any:
    """The fields, with the unknown ones moved together under `unknown`."""
    if not isinstance(fields, dict):
        return fields
    unknown = fields.keys() - _known(form)
    if not unknown:
        return fields
    known = {name: value for name, value in fields.items() if name not in unknown}
    return known | {"unknown": {name: value for name, value in fields.items() if name in unknown}}


def _with_known_words(form: type[msgspec.Struct], fields: Any) -> Any:
    """The fields, with a known word in place of each word that an enum of this version does not have."""
    if not isinstance(fields, dict):
        return fields
    known = dict(fields)
    for field in msgspec.structs.fields(form):
        word = fields.get(field.encode_name)
        if isinstance(field.type, EnumType) and isinstance(word, str):
            words = [*cast(type[StrEnum], field.type)]
            known[field.encode_name] = word if word in words else words[0]
    return known


def is_number(text: str) -> bool:
    """Whether a text consists of the digits 0 to 9; `str.isdigit` alone accepts more than `int` does."""
    return text.isascii() and text.isdigit()


class TicketState(StrEnum):
    """The states of a ticket."""

    OPEN = "OPEN"
    """Waits for a resource, or has one."""
    CLOSED = "CLOSED"
    """Its client no longer needs it."""
    FAILED = "FAILED"
    """Its resource died or was deleted by an operator."""


class ResourceState(StrEnum):
    """The states of a resource."""

    STARTING = "STARTING"
    """`cmd_new` runs, or is about to."""
    UP = "UP"
    """Free or taken."""
    RELEASING = "RELEASING"
    """`cmd_release` runs after its ticket was closed."""
    DELETE_REQUEST = "DELETE_REQUEST"
    """To be deleted as soon as no open ticket has it and a retry is due."""
    DELETING = "DELETING"
    """`cmd_delete` runs."""
    ENDED = "ENDED"
    """Deleted; its numbers are free again."""


class HookKind(StrEnum):
    """The hooks of a pool, by the word in the names of their logs."""

    ALLOC = "alloc"
    WATCH = "watch"
    RELEASE = "release"
    TERMINATE = "terminate"
    LIST = "list"


class Actor(StrEnum):
    """The cause of a transition."""

    CLIENT = "client"
    OPERATOR = "operator"
    LEADER = "leader"
    """The leading scheduler, by its policy."""
    HOOK = "hook"
    """A hook, by its result."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transition: an item of a document's `history`, and of the log of events.

    `n` counts the transitions of one document; `before` and `after` are its states. `ticket` is the ticket of the
    event; for a resource, the ticket that had it since the time `since`; for an agent, its own ticket. `until` is the
    end or the deadline of what an operator asked for. In the log, an event also names its object: `kind` (ticket,
    resource, pool, agent, document, leader or config) and, where they apply, `pool`, `resource`, `name` and the agents'
    `group`. The words are plain texts, so that those of a newer version are kept.
    """

    at: float = 0.0
    kind: str | None = None
    n: int = 0
    event: str = ""
    before: str | None = None
    after: str | None = None
    pool: str | None = None
    resource: int | None = None
    name: str | None = None
    ticket: int | None = None
    group: str | None = None
    since: float | None = None
    until: float | None = None
    actor: str = ""
    reason: str | None = None
    unknown: dict[str, Any] | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Base of all documents: conversion from and to JSON that keeps unknown fields, also inside of runs and events."""

    KEY: ClassVar[str] = "id"
    """The field that holds its key."""
    NEEDED: ClassVar[tuple[str, ...]] = ()
    """Fields that every version has written and that have no safe default: without them a document is corrupt."""

    unknown: dict[str, Any] = {}

    @property
    def key(self) -> Any:
        """Its number, or the name of its pool."""
        return getattr(self, self.KEY)

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Decode one document; raises `msgspec.DecodeError` or its subclass `msgspec.ValidationError`."""
        return cls._from_fields(msgspec.json.decode(content))

    @classmethod
    def from_newer_json(cls, content: bytes) -> Self:
        """Decode like `from_json`, with a known word in place of each unknown enum word.

        The result only shows that everything else is right: it must not be used as the document.
        """
        fields = _with_known_words(cls, msgspec.json.decode(content))
        if isinstance(fields, dict) and "run" in fields:
            fields["run"] = _with_known_words(Run, fields["run"])
        return cls._from_fields(fields)

    @classmethod
    def _from_fields(cls, fields: Any) -> Self:
        if not isinstance(fields, dict):
            raise msgspec.ValidationError("Expected an object")
        for name in cls.NEEDED:
            if name not in fields:
                raise msgspec.ValidationError(f"Object missing required field `{name}`")
        fields = _gather_unknown(cls, fields)
        if "run" in fields:
            fields["run"] = _gather_unknown(Run, fields["run"])
        if isinstance(fields.get("history"), list):
            fields["history"] = [_gather_unknown(Event, event) for event in fields["history"]]
        return msgspec.convert(fields, cls)

    def to_json(self) -> bytes:
        """One line of JSON: the fields in the order of the class, unknown ones last."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        unknown = fields.pop("unknown")
        if fields.get("run") is not None:
            fields["run"] |= fields["run"].pop("unknown", {})
        for event in fields.get("history", ()):
            event.update(event.pop("unknown", {}))
        return msgspec.json.encode({**fields, **unknown}) + b"\n"

    def replace(self, **changes: Any) -> Self:
        """The same document with these fields changed."""
        return msgspec.structs.replace(self, **changes)


class Ticket(Document, frozen=True, kw_only=True):
    """A client's request for one resource that has all of `tags`.

    `resource` is the only record of which resource the ticket has. `output` is a copy of what was handed over and never
    changes afterwards. `bad` is the reason for which its client, on closing it, reported the resource as bad. `turn` is
    how often the resource had been released when it was assigned; tickets of older versions have none.
    """

    NEEDED: ClassVar[tuple[str, ...]] = ("state", "tags", "resource")

    id: int
    state: TicketState = TicketState.OPEN
    tags: tuple[str, ...] = ()
    sandbox: str | None = None
    created_at: float = 0.0
    resource: int | None = None
    resource_name: str | None = None
    pool: str | None = None
    assigned_at: float | None = None
    output: bytes | None = None
    closed_at: float | None = None
    failed_at: float | None = None
    reason: str | None = None
    bad: str | None = None
    turn: int | None = None

    @property
    def waiting(self) -> bool:
        """Whether it is open and has no resource yet."""
        return self.state is TicketState.OPEN and self.resource is None

    def holds(self, resource: "Resource") -> bool:
        """Whether the ticket, which names this resource, still has it.

        A CLOSED ticket has it until the release after its own turn. A resource that was restored from an old copy may
        count fewer releases; then the ticket has it, too. Without a turn, only the last release is known.
        """
        if self.state is not TicketState.CLOSED:
            return self.state is TicketState.OPEN
        if resource.released_ticket == self.id:
            return False
        return self.turn is None or resource.releases_counter <= self.turn


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One hook run that a document waits for. `id` is part of the names of its files."""

    id: str
    kind: HookKind
    started_at: float
    unknown: dict[str, Any] = {}


class Resource(Document, frozen=True, kw_only=True, rename={"delete_after_run": "delete_asked"}):
    """One allocated thing. `tags` (name to priority) are those of its pool when its start began.

    `run` is the alloc, release or terminate run in progress (livechecks are not recorded here). `delete_after_run` is
    the reason for deleting the resource once that run has ended; `delete_began_at` is when its last `cmd_delete` began.
    `released_ticket` is the last ticket that released it, so that a repeated release changes nothing. While a ticket
    has it, the sandbox and the time of assignment are on that ticket; they are copied here on release. An operator may
    hold it until `held_until` (`held_since`, `held_by`, `held_reason`). `history` is its last transitions.
    """

    NEEDED: ClassVar[tuple[str, ...]] = ("state", "tags", "sandbox", "run")

    id: int
    name: str
    pool: str
    state: ResourceState = ResourceState.STARTING
    tags: dict[str, int] = {}
    id_in_pool: int = 0
    counters: dict[str, int] = {}
    data: bytes | None = None
    user: str | None = None
    created_at: float = 0.0
    up_at: float | None = None
    check_last_time: float | None = None
    check_failed_count: int = 0
    sandbox: str | None = None
    sandboxed_since: float | None = None
    released_at: float | None = None
    releases_counter: int = 0
    released_ticket: int | None = None
    run: Run | None = None
    delete_after_run: str | None = None
    delete_began_at: float | None = None
    delete_failures: int = 0
    delete_retry_at: float | None = None
    ended_at: float | None = None
    reason: str | None = None
    held_since: float | None = None
    held_until: float | None = None
    held_by: str | None = None
    held_reason: str | None = None
    history: tuple[Event, ...] = ()

    @property
    def held(self) -> bool:
        """Whether an operator holds it: it is neither assigned nor deleted."""
        return self.held_until is not None


class PoolMode(StrEnum):
    """What operators let a pool do."""

    ACTIVE = "ACTIVE"
    """Everything that its options allow."""
    PAUSED = "PAUSED"
    """Nothing starts; existing resources are assigned, checked, released and deleted as usual."""
    DRAINING = "DRAINING"
    """Nothing starts and nothing is assigned; free resources are deleted, and taken ones when they are released."""


class PoolRecord(
    Document,
    frozen=True,
    kw_only=True,
    rename={"abandoned_resources": "lost_resources", "last_abandoned_at": "last_lost_at"},
):
    """What is remembered of the pool `name`: statistics, pauses, and its last good options.

    `options` are those of `config.pools.Pool` as plain values, so that a pool that was removed from pools.yaml can
    still check, release and delete its resources. `position` is its place in the file; `configured` says whether it is
    still there. `startup_success_rate` (0 to 1) and `startup_time_avg` (seconds) are exponential moving averages, and
    so are `startup_time_deviation` (how far starts were from that average) and `taken_time_avg` (how long tickets kept
    its resources); the `..._samples` count the values behind them.

    `paused_until` is the end of the pause after failed starts. `mode` is set by operators (`mode_since`, `mode_by`,
    `mode_reason`); for DRAINING, `drain_until` is when taken resources are deleted too (None: never) and `drained_at`
    is when its last resource had been deleted. `bad_resources` counts resources that clients reported as bad;
    `abandoned_resources` counts those that could not be deleted and may still exist (the last one at
    `last_abandoned_at`). `history` is its last transitions.
    """

    KEY: ClassVar[str] = "name"

    name: str
    position: int = 0
    configured: bool = True
    options: dict[str, Any] = {}
    first_seen_at: float = 0.0
    last_start: float | None = None
    last_successful_start: float | None = None
    last_attempt_to_start: float | None = None
    startup_success_rate: float | None = None
    startup_time_avg: float | None = None
    startup_time_deviation: float | None = None
    startup_samples: int = 0
    taken_time_avg: float | None = None
    taken_samples: int = 0
    start_failures: int = 0
    paused_until: float | None = None
    pause_reason: str | None = None
    last_list_at: float | None = None
    bad_resources: int = 0
    abandoned_resources: int = 0
    last_abandoned_at: float | None = None
    mode: PoolMode = PoolMode.ACTIVE
    mode_since: float | None = None
    mode_by: str | None = None
    mode_reason: str | None = None
    drain_until: float | None = None
    drained_at: float | None = None
    history: tuple[Event, ...] = ()


class IntentKind(StrEnum):
    """What an operator can ask for."""

    DELETE_RESOURCE = "DELETE_RESOURCE"
    """Delete a resource, taken or not; its open ticket fails."""
    PAUSE_POOL = "PAUSE_POOL"
    """Set the pool to PAUSED unless it is DRAINING."""
    DRAIN_POOL = "DRAIN_POOL"
    """Set the pool to DRAINING, with an optional deadline in `until`."""
    RESUME_POOL = "RESUME_POOL"
    """Set the pool to ACTIVE."""
    RETRY_POOL = "RETRY_POOL"
    """End the pool's pause after failed starts."""
    HOLD_RESOURCE = "HOLD_RESOURCE"
    """Hold the resource until `until`: it is neither assigned nor deleted."""
    RELEASE_RESOURCE = "RELEASE_RESOURCE"
    """End the hold of the resource."""


class Intent(Document, frozen=True, kw_only=True):
    """An operator's request, until the next reconcile pass has decided it.

    It is about a `resource` or a `pool`; `by` is the operator. With `unused_only`, a delete applies only while the
    resource is UP and free and its last livecheck was good.
    """

    id: int
    kind: IntentKind
    resource: int | None = None
    pool: str | None = None
    unused_only: bool = False
    reason: str | None = None
    by: str | None = None
    until: float | None = None
    created_at: float = 0.0


class AgentState(StrEnum):
    """The states of an agent."""

    NEW = "NEW"
    """Its ticket waits, or is about to be created."""
    PREPARING = "PREPARING"
    """`cmd_prepare` runs."""
    WORKING = "WORKING"
    """Prepared, until it finishes, agrees to end, or loses its resource."""
    TERMINATING = "TERMINATING"
    """`cmd_terminate` runs."""
    ENDED = "ENDED"
    """Its ticket is to be closed; then the agent is removed."""


class Agent(Document, frozen=True, kw_only=True):
    """One agent of a group.

    `id` is also the number of its ticket: the number is reserved, written here, and only then is the ticket created.
    `options` are the last good ones of its `config.agents.AgentGroup`, so that agents of a removed group can still be
    terminated. `changed_at` and `reason` say when and why it entered its state; `lost_runs` counts runs of the state's
    hook that were lost in a crash of the machine. `history` is its transitions.
    """

    id: int
    group: str
    state: AgentState = AgentState.NEW
    options: dict[str, Any] = {}
    created_at: float = 0.0
    changed_at: float = 0.0
    lost_runs: int = 0
    reason: str | None = None
    history: tuple[Event, ...] = ()
