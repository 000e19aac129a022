"""The steps of a plan. Documents are named by their ids, pools by their names."""

import msgspec

from state.documents import Actor


class _Step(msgspec.Struct, frozen=True, gc=False):
    """Numbers and words only, so the garbage collector need not look at the many that one plan may have."""


class Release(_Step, frozen=True, gc=False):
    """The resource of a CLOSED ticket becomes free; with `hook`, once `cmd_release` has ended well."""

    ticket: int
    resource: int
    hook: bool


class Settle(_Step, frozen=True, gc=False):
    """A CLOSED ticket that has nothing to let go, or has let it go, leaves open/."""

    ticket: int


class FailTicket(_Step, frozen=True, gc=False):
    """An OPEN ticket becomes FAILED, because its resource is gone or going."""

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
    """What an intent asks for is put into the record of a pool."""

    pool: str
    intent: int


class NoteDrained(_Step, frozen=True, gc=False):
    """The last resource of a DRAINING pool is gone."""

    pool: str


class HoldResource(_Step, frozen=True, gc=False):
    """An UP or RELEASING resource is held, as an intent asks."""

    resource: int
    intent: int


class EndHold(_Step, frozen=True, gc=False):
    """A resource is held no more."""

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
    """A new resource starts in the pool; `ticket` is the waiting one that an on-demand start was planned for."""

    pool: str
    ticket: int | None = None


class Assign(_Step, frozen=True, gc=False):
    """A waiting ticket gets a resource that is UP and free."""

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
