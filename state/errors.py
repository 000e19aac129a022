"""What can go wrong with documents. Errors carry facts; the edges make sentences of them."""

import errno
from pathlib import Path

_OF_ONE_FILE = (
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.ELOOP,
    errno.ENXIO,
    errno.EUCLEAN,
    errno.EBADMSG,
    errno.EFBIG,
)


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

    def __init__(self, kind: str, key: int | str, why: str) -> None:
        super().__init__(f"{kind} {key}: {why}")
        self.kind = kind
        self.key = key
        self.why = why


class CorruptDocument(StateError):
    """The file does not hold a document of its kind; `quarantined` is where it was moved, if it was."""

    def __init__(self, path: Path, why: str, quarantined: Path | None = None) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why
        self.quarantined = quarantined


class UnreadableDocument(StateError):
    """The operating system refuses to read this one file, which stays where it is."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class LockTimeout(StateError):
    """The lock at `path` was not free within `seconds`."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__(f"{path}: not free within {seconds:g} s")
        self.path = path
        self.seconds = seconds


class StoreUnavailable(StateError):
    """The operating system refused to read or write `path` (full, read-only, no permission, I/O error)."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path}: {error.strerror or error}")
        self.path = path
        self.error = error

    @property
    def of_one_file(self) -> bool:
        """Whether it concerns this file, not the process or the disk (no descriptors left, no space, ...)."""
        return self.error.errno in _OF_ONE_FILE


class StoreFrozen(StateError):
    """A sync of `path` failed earlier: this process acknowledges nothing more until it is started again."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: a sync failed; nothing is written until the process is restarted")
        self.path = path


class UnknownFormat(StateError):
    """The folder was written by a newer layout (`found`) than this program knows (`known`)."""

    def __init__(self, path: Path, found: str, known: int) -> None:
        super().__init__(f"{path}: layout {found}, this program knows up to {known}")
        self.path = path
        self.found = found
        self.known = known

    @property
    def damaged(self) -> bool:
        """Whether no program can have meant what was found: it names no layout and no work in progress."""
        words = self.found.isascii() and self.found.isprintable()
        return not words or (len(self.found) < 3 and not self.found.isdigit())
