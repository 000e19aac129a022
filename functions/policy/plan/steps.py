"""The steps of a plan. Documents are named by their ids, pools by their names."""

import msgspec

from state.documents import Actor


class _Step(msgspec.Struct, frozen=True, gc=False):
    """Only numbers and words, so that the garbage collector need not look at the many steps of a plan."""


class Release(_Step, frozen=True, gc=False):
    """The resource of a CLOSED ticket becomes free; with `hook`, after `cmd_release` succeeded."""

    ticket: int
    resource: int
    hook: bool


class Settle(_Step, frozen=True, gc=False):
    """A CLOSED ticket that has nothing to release, or has released it, is archived."""

    ticket: int


class FailTicket(_Step, frozen=True, gc=False):
    """An OPEN ticket becomes FAILED, because its resource is missing or about to be deleted."""

    ticket: int
    reason: str


class RequestDelete(_Step, frozen=True, gc=False):
    """An UP resource is to be deleted."""

    resource: int
    reason: str
    actor: Actor = Actor.LEADER


class DeleteAfterRun(_Step, frozen=True, gc=False):
    """A STARTING or RELEASING resource is to be deleted as soon as its hook run has ended."""

    resource: int
    reason: str
    actor: Actor = Actor.LEADER


class ChangePool(_Step, frozen=True, gc=False):
    """The record of a pool changes as an intent asks."""

    pool: str
    intent: int


class NoteDrained(_Step, frozen=True, gc=False):
    """The last resource of a DRAINING pool has ended."""

    pool: str


class HoldResource(_Step, frozen=True, gc=False):
    """An UP or RELEASING resource is held, as an intent asks."""

    resource: int
    intent: int


class EndHold(_Step, frozen=True, gc=False):
    """A resource is no longer held."""

    resource: int
    reason: str | None
    actor: Actor = Actor.LEADER


class DropIntent(_Step, frozen=True, gc=False):
    """An intent is decided, or void."""

    intent: int


class StartDelete(_Step, frozen=True, gc=False):
    """`cmd_delete` starts for a resource in DELETE_REQUEST."""

    resource: int


class StartResource(_Step, frozen=True, gc=False):
    """A new resource starts in the pool; `ticket` is the waiting ticket for which an on-demand start was planned."""

    pool: str
    ticket: int | None = None


class Assign(_Step, frozen=True, gc=False):
    """A waiting ticket is assigned a resource that is UP and free."""

    ticket: int
    resource: int


Step = (
    Release
    | Settle
    | FailTicket
    | RequestDelete
    | DeleteAfterRun
    | HoldResource
    | EndHold
    | ChangePool
    | NoteDrained
    | DropIntent
    | StartDelete
    | StartResource
    | Assign
)
