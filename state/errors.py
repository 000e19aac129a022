"""What can go wrong with documents.

Errors carry facts (a place, a key, a reason) and no paths; the edges of the program make sentences of them. A place is
a text that names one thing in the store, such as `tickets/open/42`.
"""


class StateError(Exception):
    """Base of all errors of the store."""


class ImpossibleTransition(StateError):
    """A document in `state` cannot take `event`."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"{event} is impossible in state {state}")
        self.state = state
        self.event = event


class NotFound(StateError):
    """There is no document of this `kind` ("ticket", "resource", ...) with this id or name."""

    def __init__(self, kind: str, key: int | str) -> None:
        super().__init__(f"no {kind} {key}")
        self.kind = kind
        self.key = key


class Conflict(StateError):
    """The document is not (or no longer) what the caller expected."""

    def __init__(self, kind: str, key: int | str, reason: str) -> None:
        super().__init__(f"{kind} {key}: {reason}")
        self.kind = kind
        self.key = key
        self.reason = reason


class CorruptDocument(StateError):
    """What is at `place` is not a document of its kind. `quarantined` is the place that it was moved to, if it was."""

    def __init__(self, place: str, reason: str, quarantined: str | None = None) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason
        self.quarantined = quarantined


class UnreadableDocument(StateError):
    """This one document cannot be read; it stays where it is. `content` is what could be read of it."""

    def __init__(self, place: str, reason: str, content: bytes = b"") -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason
        self.content = content


class NewerDocument(UnreadableDocument):
    """The document `key` of this `kind` has an enum word that this version does not know; everything else is right.

    It is never quarantined nor overwritten: a newer version of this program wrote it.
    """

    def __init__(self, place: str, kind: str, key: int | str, reason: str, content: bytes) -> None:
        super().__init__(place, f"it was written by a newer version of this program ({reason})", content)
        self.kind = kind
        self.key = key


class LockTimeout(StateError):
    """Another process held the role at `place` for all of `seconds`."""

    def __init__(self, place: str, seconds: float) -> None:
        super().__init__(f"{place}: not free within {seconds:g} s")
        self.place = place
        self.seconds = seconds


class StoreUnavailable(StateError):
    """The store cannot read or write `place` now (full, read-only, no permission, I/O error).

    With `one_document` the reason concerns this place alone, so that it is worth going on with the others.
    """

    def __init__(self, place: str, reason: str, one_document: bool = False) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason
        self.one_document = one_document


class StoreFrozen(StateError):
    """The disk failed to keep a write at `place`: this process confirms no further write until it is restarted."""

    def __init__(self, place: str) -> None:
        super().__init__(f"{place}: a sync failed; this process writes nothing more until it is restarted")
        self.place = place


class StoreInUse(StateError):
    """The store `name` has documents or a leader, so that it cannot be filled with others."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}; import into an empty folder that no server uses")
        self.name = name
        self.reason = reason


class UnknownFormat(StateError):
    """A newer layout (`found`) than this program knows (`known`) is at `place`.

    With `corrupt`, no program can have written what was found.
    """

    def __init__(self, place: str, found: str, known: int, corrupt: bool = False) -> None:
        super().__init__(f"{place}: layout {found}, this program knows up to {known}")
        self.place = place
        self.found = found
        self.known = known
        self.corrupt = corrupt
