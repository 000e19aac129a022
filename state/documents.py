"""The documents that last: tickets, resources, pool records, intents, agents, and the states they go through.

Times are Unix seconds. Bytes (`data`, `output`) stand in JSON as base64. Every document keeps the fields that
this version does not know in `unknown`, so that an older program beside a newer one loses nothing; so do a `Run` and
an `Event` inside of one. On the disk each begins with its check sum (`checksum.py`), which is no field.
"""

import functools
from enum import StrEnum
from typing import Any, ClassVar, Self

import msgspec

from state.files import checksum


@functools.cache
def _known(form: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(form.__struct_encode_fields__) - {"unknown"}


def _gather_unknown(form: type[msgspec.Struct], fields: Any) -> Any:
    """The fields, with those that this version does not know together under `unknown`."""
    if not isinstance(fields, dict):
        return fields
    unknown = fields.keys() - _known(form)
    if not unknown:
        return fields
    known = {name: value for name, value in fields.items() if name not in unknown}
    return known | {"unknown": {name: value for name, value in fields.items() if name in unknown}}


class TicketState(StrEnum):
    OPEN = "OPEN"
    """Waits for a resource, or has one."""
    CLOSED = "CLOSED"
    """Its client said that it is done."""
    FAILED = "FAILED"
    """Its resource died or was deleted by an operator."""


class ResourceState(StrEnum):
    STARTING = "STARTING"
    """`cmd_new` runs, or is about to."""
    UP = "UP"
    """Ready or taken."""
    RELEASING = "RELEASING"
    """`cmd_release` runs after its ticket was closed."""
    DELETE_REQUEST = "DELETE_REQUEST"
    """To be deleted, as soon as no open ticket has it and a retry is due."""
    DELETING = "DELETING"
    """`cmd_delete` runs."""
    ENDED = "ENDED"
    """Gone; its numbers are free again."""


class HookKind(StrEnum):
    """The hooks of a pool, by the word that names their logs."""

    ALLOC = "alloc"
    WATCH = "watch"
    RELEASE = "release"
    TERMINATE = "terminate"
    LIST = "list"


class Actor(StrEnum):
    """Who made a transition."""

    CLIENT = "client"
    OPERATOR = "operator"
    LEADER = "leader"
    """The leading scheduler, as its policy decides."""
    HOOK = "hook"
    """A hook, by how it ended."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One transition: what a document's `history` holds, and a line of the files in `events/`.

    `n` counts the transitions of one document, `before` and `after` are its states. `ticket` is the one that the event
    is about; for a resource, the one that had it `since` then; for an agent, its own. `until` is when what an
    operator asked for ends, or has to be done. A line also tells what it is about: `kind` (ticket, resource, pool,
    agent, document, leader or config) and `pool`, `resource`, `name` and `group` of agents, as far as there are any.
    The words are texts, so that those of a newer version are kept.
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
    """The field that names its file."""
    NEEDED: ClassVar[tuple[str, ...]] = ()
    """What every version has written and nobody may guess: without it, a document is damaged."""

    unknown: dict[str, Any] = {}

    @property
    def key(self) -> Any:
        """What names its file: a number, or the name of a pool."""
        return getattr(self, self.KEY)

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read one document; raises `msgspec.DecodeError` or its subclass `msgspec.ValidationError`.

        So does one whose check sum is wrong. One without is taken as it is.
        """
        fields = msgspec.json.decode(content)
        if not isinstance(fields, dict):
            raise msgspec.ValidationError("Expected an object")
        checksum.check(content)
        fields.pop("sum", None)
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
        """One line of JSON: its check sum, then the fields in the order of the class, unknown ones last."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        unknown = fields.pop("unknown")
        if fields.get("run") is not None:
            fields["run"] |= fields["run"].pop("unknown", {})
        for event in fields.get("history", ()):
            event.update(event.pop("unknown", {}))
        return checksum.with_sum(msgspec.json.encode({**fields, **unknown}) + b"\n")

    def replace(self, **changes: Any) -> Self:
        """The same document with these fields changed."""
        return msgspec.structs.replace(self, **changes)


class Ticket(Document, frozen=True, kw_only=True):
    """A client's request for one resource that has all of `tags`.

    `resource` is the only place that says which resource the ticket has; `output` records what was handed over
    and never changes afterwards. `bad` is why its client, on closing it, called the resource bad. `turn` is how often
    the resource had been released when the ticket got it; tickets of older versions have none.
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
        """Open and without a resource so far."""
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
    """One hook run that a document waits for. `id` names its files in `runs/`."""

    id: str
    kind: HookKind
    started_at: float
    unknown: dict[str, Any] = {}


class Resource(Document, frozen=True, kw_only=True, rename={"delete_after_run": "delete_asked"}):
    """One allocated thing. `tags` (name to priority) are those of its pool when its start began.

    `run` is the alloc, release or terminate run under way (livechecks are not recorded here). `delete_after_run` is
    the reason for deleting it once the run under way has ended, `delete_began_at` when its last `cmd_delete` began.
    `released_ticket` is the last ticket that let it go, so that letting go twice changes nothing. While a ticket has
    it, sandbox and first taking are on that ticket; they are copied here on release. An operator may hold it until
    `held_until`: since when, who and why stand beside that. `history` holds its last transitions.
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
        """Whether an operator keeps it: nobody gets it and nothing deletes it."""
        return self.held_until is not None


class PoolMode(StrEnum):
    """What operators let a pool do."""

    ACTIVE = "ACTIVE"
    """All that its options say."""
    PAUSED = "PAUSED"
    """Nothing starts; what is there is given, checked, released and deleted as ever."""
    DRAINING = "DRAINING"
    """Nothing starts and nothing is given; what is free goes, and what is taken goes when it is let go."""


class PoolRecord(
    Document,
    frozen=True,
    kw_only=True,
    rename={"abandoned_resources": "lost_resources", "last_abandoned_at": "last_lost_at"},
):
    """What is remembered of a pool: statistics, pauses, and the options that it last had. `name` names its file.

    `options` are those of `config.pools.Pool` as plain values, so that a pool that left the file can still check,
    release and delete its resources. `position` is its place in the file, `configured` whether it still stands
    there. `startup_success_rate` (0 to 1) and `startup_time_avg` (seconds) are exponential moving averages, and so are
    `startup_time_deviation`, by how much starts missed that average, and `taken_time_avg`, for how long tickets kept
    its resources; the `..._samples` are how many went into them.
    `paused_until` is the pause after failed starts. What operators say stands in `mode`: since when, by whom and why
    the pool is in it; for DRAINING also `drain_until`, when what is still taken is deleted (None: never), and
    `drained_at`, when its last resource was gone. `bad_resources` counts those that clients called bad,
    `abandoned_resources` those that could not be deleted, the last one at `last_abandoned_at`: they may still exist.
    `history` holds what became of it lately.
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
    DELETE_RESOURCE = "DELETE_RESOURCE"
    """Delete a resource, taken or not; its open ticket fails."""
    PAUSE_POOL = "PAUSE_POOL"
    """Let the pool be PAUSED, unless it is DRAINING."""
    DRAIN_POOL = "DRAIN_POOL"
    """Let the pool be DRAINING, with a deadline in `until` if there is one."""
    RESUME_POOL = "RESUME_POOL"
    """Let the pool be ACTIVE."""
    RETRY_POOL = "RETRY_POOL"
    """Forget the pool's pause after failed starts."""
    HOLD_RESOURCE = "HOLD_RESOURCE"
    """Keep the resource as it is until `until`: nobody gets it and nothing deletes it."""
    RELEASE_RESOURCE = "RELEASE_RESOURCE"
    """Hold it no longer."""


class Intent(Document, frozen=True, kw_only=True):
    """What an operator asked for, until the next reconcile pass has decided it.

    It is about a `resource` or a `pool`; `by` is who asked. With `unused_only`, a delete holds only while the resource
    is UP, free, and its last livecheck was good.
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
    NEW = "NEW"
    """Its ticket waits, or is about to be taken."""
    PREPARING = "PREPARING"
    """`cmd_prepare` runs."""
    WORKING = "WORKING"
    """Prepared; until it is finished, agrees to go, or loses its resource."""
    TERMINATING = "TERMINATING"
    """`cmd_terminate` runs."""
    ENDED = "ENDED"
    """Its ticket is to be closed, then it is dropped."""


class Agent(Document, frozen=True, kw_only=True):
    """One agent of a group.

    `id` is the number of its ticket too: it is reserved, written here, and only then is the ticket taken. `options`
    are those of `config.agents.AgentGroup` that its group had last, so that a group that left the file can still
    terminate. `changed_at` is when it came into its state, `reason` why; `lost_runs` counts the runs of the state's
    hook that a crash of the machine took away. `history` holds its transitions.
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
