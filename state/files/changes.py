"""Changes of documents, from the changed names in their folders."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from state.host.watch import FolderWatch
from state.store import ChangedKeys

KeyOf = Callable[[str], int | str | None]
"""The key in a file's name, None when no document has this name."""


class FolderChanges:
    """See `state.store.Changes`. `folders` are, by kind, a folder and how its names are turned into keys."""

    def __init__(self, folders: Mapping[str, tuple[Path, KeyOf]], own: Sequence[str]) -> None:
        self._watch = FolderWatch({kind: folder for kind, (folder, _) in folders.items()}, own)
        self._key_of = {kind: key_of for kind, (_, key_of) in folders.items()}

    def wait(self, seconds: float | None = None) -> ChangedKeys:
        changes: ChangedKeys = {}
        for kind, names in self._watch.wait(seconds).items():
            if names is None:
                changes[kind] = None
            elif keys := {key for name in names if (key := self._key_of[kind](name)) is not None}:
                changes[kind] = keys
        return changes

    def fileno(self) -> int:
        return self._watch.fileno()

    def close(self) -> None:
        self._watch.close()
