"""Reads a folder of documents again and again: each is parsed again only when its file is another one."""

import os
from typing import Generic

from state.errors import CorruptDocument, StoreUnavailable
from state.files.collection import Collection, D, K

_Seen = tuple[int, int, int]


class Reading(Generic[D, K]):
    """All living documents of one folder. Any thread may read; two at once do some work twice."""

    def __init__(self, collection: Collection[D, K]) -> None:
        self._collection: Collection[D, K] = collection
        self._known: dict[str, tuple[_Seen, D | None]] = {}
        self._documents: tuple[D, ...] = ()

    def documents(self) -> tuple[D, ...]:
        """By key; the same tuple while nothing changed. What is damaged is left out: the leader takes care of it.

        Raises StoreUnavailable.
        """
        before = self._known
        known: dict[str, tuple[_Seen, D | None]] = {}
        different = False
        try:
            with os.scandir(self._collection.folder) as entries:
                for entry in entries:
                    seen = _stamp(entry)
                    if seen is None:
                        continue
                    kept = before.get(entry.name)
                    if kept is None or kept[0] != seen:
                        kept = seen, self._read(entry.name)
                        different = True
                    known[entry.name] = kept
        except OSError as error:
            raise StoreUnavailable(self._collection.folder, error) from error
        if different or len(known) != len(before):
            found = [document for _, document in known.values() if document is not None]
            self._documents = tuple(sorted(found, key=lambda document: document.key))
            self._known = known
        return self._documents

    def _read(self, name: str) -> D | None:
        key = self._collection.key_of(name)
        try:
            return None if key is None else self._collection.get(key)
        except CorruptDocument:
            return None


def _stamp(entry: os.DirEntry[str]) -> _Seen | None:
    """What is different after a file was replaced; None when it is gone."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
