"""What a state folder does about corrupt documents: they are quarantined, and last good versions are written again."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from state.documents import Document
from state.errors import CorruptDocument, NewerDocument, StoreUnavailable, UnreadableDocument
from state.files import layout
from state.files.archive import ArchivedFolder
from state.files.disk import Disk
from state.files.folder import Folder, NumberedFolder
from state.files.quarantine import Quarantine
from state.store import Documents, PutBack
from state.survey import Quarantined

D = TypeVar("D", bound=Document)
K = TypeVar("K", int, str)


def _folder(documents: Documents[D, K]) -> Folder[D, K]:
    """The folder that these documents are in: those of the file store are folders themselves."""
    if not isinstance(documents, Folder):
        raise TypeError(type(documents))
    return cast(Folder[D, K], documents)


class FileCorruption:
    """See `state.store.Corruption`. `folders` are all folders of documents, by kind."""

    def __init__(self, disk: Disk, folders: Mapping[str, Folder[Any, Any]]) -> None:
        self._disk = disk
        self._folders = folders
        self._quarantine = Quarantine(disk)

    def mend(self) -> list[str]:
        wrong = layout.mend(self._disk, self._quarantine)
        numbered: Sequence[Folder[Any, Any]] = [self._folders[kind] for kind in ("tickets", "resources", "intents")]
        return wrong + [line for each in numbered if isinstance(each, NumberedFolder) for line in each.mend_numbers()]

    def read(
        self, documents: Documents[D, K], key: K, unreadable: bool = False
    ) -> tuple[D | None, CorruptDocument | None]:
        return _folder(documents).get_or_quarantine(key, unreadable)

    def quarantine(self, documents: Documents[D, K], key: K, unreadable: bool = False) -> CorruptDocument | None:
        return _folder(documents).quarantine(key, unreadable)

    def displace(self, documents: Documents[D, K], key: K) -> str | None:
        return self._quarantine.take(_folder(documents).path(key))

    def put_back(self, documents: Documents[D, K], document: D) -> PutBack:
        folder = _folder(documents)
        if folder.put_back(document):
            return PutBack.WRITTEN
        return PutBack.PENDING if os.path.lexists(folder.path(document.key)) else PutBack.ARCHIVED

    def exists(self, documents: Documents[D, K], key: K) -> bool:
        return _folder(documents).exists(key)

    def check_finished(self) -> Iterator[CorruptDocument | UnreadableDocument | None]:
        for folder in self._folders.values():
            if isinstance(folder, ArchivedFolder):
                yield from folder.check_archived()

    def quarantined(self) -> list[Quarantined]:
        return self._quarantine.list()

    def content(self, thing: Quarantined) -> bytes:
        return self._quarantine.read(thing)

    def reason(self, thing: Quarantined) -> str | None:
        folder = self._folders.get(thing.folder.partition("/")[0])
        key = folder.key_of(f"{thing.key}.json") if folder else None
        if folder is None or key is None:
            return None
        try:
            folder.parse(self._quarantine.path(thing), key)
        except (CorruptDocument, NewerDocument) as fault:
            return fault.reason
        except StoreUnavailable as refused:
            return refused.reason
        return None
