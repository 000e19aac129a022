"""What the checker of a state folder can find: kinds of faults, and one fault."""

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """Those after the empty line are notes: nothing is wrong, or the scheduler puts it right by itself."""

    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    QUARANTINED = "quarantined"
    FORMAT = "format"
    FOLDER = "folder"
    COUNTER = "counter"
    DUPLICATE = "duplicate"
    MISSING_TICKET = "missing ticket"
    MISSING_RESOURCE = "missing resource"
    MISSING_POOL = "missing pool"
    MISSING_AGENT = "missing agent"
    HALF_GRANTED = "half granted"
    MISMATCH = "mismatch"
    DOUBLE_GRANT = "double grant"
    WRONG_SANDBOX = "wrong sandbox"
    DELETED_IN_USE = "deleted in use"
    NEVER_DELETED = "never deleted"
    DELETED_WHILE_HELD = "deleted while held"
    NO_REASON = "no reason"
    SAME_NUMBER = "same number"
    SAME_NAME = "same name"
    WRONG_RUN = "wrong run"
    WRONG_PLACE = "wrong place"
    LONELY_RUN = "lonely run"

    UNSETTLED = "unsettled"
    LEFTOVER = "leftover"
    OVER_MAX = "over max"
    GAP = "gap"
    KEPT = "kept"
    STRAY = "stray"
    GARBLED = "garbled"


NOTES = frozenset((Kind.UNSETTLED, Kind.LEFTOVER, Kind.OVER_MAX, Kind.GAP, Kind.KEPT, Kind.STRAY, Kind.GARBLED))


BY_FSCK = "`fsck --repair` does that, with the server stopped."
BY_NEXT_PASS = "The next pass of the scheduler does that."
"""What repairs a fault, in words."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that is not as it must be: what, in which file (relative to the state folder), in a sentence, and what
    would repair it.
    """

    kind: Kind
    file: str
    sentence: str
    repair: str

    @property
    def is_note(self) -> bool:
        return self.kind in NOTES

    def __str__(self) -> str:
        return f"{'note' if self.is_note else 'fault'} {self.file}: {self.sentence} ({self.kind}). {self.repair}"
