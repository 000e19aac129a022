"""What is damaged, in words: all that is in quarantine, and what the system refuses to read; and why, if that is known.

What becomes of the documents themselves stands in damage.py.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from functions.logfields import of_file
from functions.policy.transitions.history import MovedAside
from functions.timed.damage import moved_aside, why_aside
from state.errors import CorruptDocument, UnreadableDocument
from state.files.quarantine import Aside
from state.store import Store

log = logging.getLogger(__name__)

SHOWN = 100
"""How many damaged files, or folders of the archive that cannot be written, are told one by one."""


class DamageReport:
    """What is damaged in one state folder, as it was when it was looked at last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.words: list[str] = []
        """What is damaged, in words."""
        self.count = 0
        """How many things these are; there may be more than words for them."""
        self.refused: dict[Path, UnreadableDocument] = {}
        """Documents that the system refuses to read."""
        self.asides: set[str] = set()
        """What is in quarantine, as paths below the state folder; each was noted when it was first seen there."""
        self._why: dict[Path, str | None] = {}
        """By what is in quarantine: why, as far as anybody can tell."""

    def read_anew(self, corrupt: Iterable[CorruptDocument], unreadable: Iterable[UnreadableDocument]) -> None:
        """All documents were read: these were moved to quarantine, and these, and no others, are refused."""
        for fault in corrupt:
            self.moved(fault)
        self.refused = {}
        for refused in unreadable:
            self.refuse(refused)

    def moved(self, fault: CorruptDocument) -> None:
        """A document was moved to quarantine."""
        log.error(
            "%s is damaged (%s); moved to %s", fault.path, fault.why, fault.quarantined, extra=of_file(fault.path)
        )
        if fault.quarantined is not None:
            self.explain(fault.quarantined, fault.why)

    def explain(self, aside: Path, why: str) -> None:
        """Why this file is in quarantine."""
        self._why[aside] = why

    def refuse(self, fault: UnreadableDocument) -> bool:
        """The system refuses to read a document; tells whether that is new."""
        if fault.path in self.refused:
            return False
        log.error("%s; it stays where it is, and is tried again", fault, extra=of_file(fault.path))
        self.refused[fault.path] = fault
        return True

    def look(self) -> tuple[list[Aside], list[MovedAside]]:
        """Look into quarantine: all that is there, and what of that is new."""
        things = self._store.quarantine.list()
        before, self._why = self._why, {}
        for aside in things:
            told = aside.path in before
            self._why[aside.path] = before[aside.path] if told else why_aside(self._store, aside)
        moved = [moved_aside(self._store.root, aside, self._why[aside.path]) for aside in things]
        new = [each for each in moved if each.now not in self.asides]
        for aside in things:
            if aside.path not in before:
                log.error("in quarantine: %s", _told(aside, self._why[aside.path]), extra=of_file(aside.path))
        self.asides = {each.now for each in moved}
        self._tell(things)
        return things, new

    def _tell(self, things: Iterable[Aside]) -> None:
        words = [_told(aside, self._why[aside.path]) for aside in things]
        words += [f"{path.relative_to(self._store.root)}: {fault.why}" for path, fault in self.refused.items()]
        self.count = len(words)
        if len(words) > SHOWN:
            words[SHOWN:] = [f"and {len(words) - SHOWN} more"]
        self.words = words


def _told(aside: Aside, why: str | None) -> str:
    place = f"{aside.folder}/{aside.key}" if aside.folder else aside.key
    return f"{place}: {why or 'damaged'} ({aside.path.name})"
