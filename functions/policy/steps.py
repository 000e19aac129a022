"""The steps of a plan. Documents are named by their ids, pools by their names."""

import msgspec


class LetGo(msgspec.Struct, frozen=True):
    """The resource of a CLOSED ticket becomes free; with `hook`, once `cmd_release` has ended well."""

    ticket: int
    resource: int
    hook: bool


class Settle(msgspec.Struct, frozen=True):
    """A CLOSED ticket that has nothing to let go, or has let it go, leaves open/."""

    ticket: int


class FailTicket(msgspec.Struct, frozen=True):
    """An OPEN ticket becomes FAILED, because its resource is gone or going."""

    ticket: int
    reason: str


class RequestDelete(msgspec.Struct, frozen=True):
    """An UP resource is to be deleted."""

    resource: int
    reason: str


class AskDelete(msgspec.Struct, frozen=True):
    """A STARTING or RELEASING resource is to be deleted as soon as its hook run has ended."""

    resource: int
    reason: str


class DropIntent(msgspec.Struct, frozen=True):
    """An intent is decided, or void."""

    intent: int


class StartDelete(msgspec.Struct, frozen=True):
    """`cmd_delete` starts for a resource in DELETE_REQUEST."""

    resource: int


class StartResource(msgspec.Struct, frozen=True):
    """A new resource starts in the pool; `ticket` is the waiting one that an on-demand start was planned for."""

    pool: str
    ticket: int | None = None


class Assign(msgspec.Struct, frozen=True):
    """A waiting ticket gets a resource that is UP and free."""

    ticket: int
    resource: int


Step = LetGo | Settle | FailTicket | RequestDelete | AskDelete | DropIntent | StartDelete | StartResource | Assign
