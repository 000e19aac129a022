"""Why a request is refused. Errors carry facts; `web/replies.py` and `tickets/xmlrpc.py` make sentences of them."""

from collections.abc import Sequence

from config.errors import Problem
from state.documents import Resource, Ticket, TicketState

SHOWN = 60
"""How many characters of a client's text a sentence repeats."""


class Refused(Exception):
    """Base of all refusals."""


class BadParameter(Refused):
    """A value in the path, the query or a header cannot be taken: `field` names it, `why` ends "The FIELD ..."."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}")
        self.field = field
        self.why = why


class BadField(Refused):
    """A field of the body cannot be taken: `field` names it, `why` ends the sentence "The field FIELD ..."."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}")
        self.field = field
        self.why = why


class MalformedBody(Refused):
    """The body is not what its Content-Type says; `why` is a whole sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class UnsupportedBody(Refused):
    """The body is neither a form nor JSON, or nothing else of what is `known` here; `content_type` may be empty."""

    def __init__(self, content_type: str, known: str = "application/x-www-form-urlencoded or application/json") -> None:
        super().__init__(content_type)
        self.content_type = content_type
        self.known = known


class FaultyPools(Refused):
    """The body is a pools.yaml that cannot be used, for these reasons."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} faults")
        self.problems = problems


class CrossSite(Refused):
    """A web page of another site made the browser send this; `origin` is where it came from."""

    def __init__(self, origin: str) -> None:
        super().__init__(origin)
        self.origin = origin


class KeyReused(Refused):
    """The Idempotency-Key was used before with another body, for `ticket`."""

    def __init__(self, ticket: int) -> None:
        super().__init__(str(ticket))
        self.ticket = ticket


class PoolDrains(Refused):
    """The pool drains, which is more than what is asked for."""

    def __init__(self, pool: str) -> None:
        super().__init__(pool)
        self.pool = pool


class Held(Refused):
    """An operator holds `resource`, so that it is not deleted."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(str(resource.id))
        self.resource = resource


class NotUp(Refused):
    """`resource` is not UP, so that there is nothing to hold."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(str(resource.id))
        self.resource = resource


class AlreadyUnderWay(Refused):
    """`what` costs so much that it is done once at a time."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class StillWaiting(Refused):
    """`ticket` has no resource yet, and `why`, a clause."""

    def __init__(self, ticket: Ticket, why: str) -> None:
        super().__init__(f"{ticket.id}: {why}")
        self.ticket = ticket
        self.why = why


class WaitedTooLong(StillWaiting):
    """As above, after the time that the client allowed, or because this process stops."""


class TicketOver(Refused):
    """`ticket` is closed or failed."""

    def __init__(self, ticket: Ticket) -> None:
        super().__init__(f"{ticket.id} is {ticket.state}")
        self.ticket = ticket


class CutShort(Refused):
    """The wait for `ticket` ends without an answer because this process stops; ask again."""

    def __init__(self, ticket: Ticket) -> None:
        super().__init__(str(ticket.id))
        self.ticket = ticket


def shown(value: str) -> str:
    """A client's text in quotes, escaped and shortened, for use in a sentence."""
    return repr(value if len(value) <= SHOWN else value[:SHOWN] + "...")


def ended(ticket: Ticket) -> str:
    """What a sentence says of a ticket that is over."""
    return "has failed" if ticket.state is TicketState.FAILED else "is closed"
