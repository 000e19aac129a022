"""Watches folders of this machine by inotify: which names changed in them.

Subscribe first, then read the folder, then wait: so no change is lost. A watch belongs to one process and is opened
after its fork.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from inotify_simple import INotify, flags

_CHANGES = flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.CLOSE_WRITE
_TAMPERING = flags.MOVED_FROM | flags.DELETE | flags.CLOSE_WRITE
_GONE = flags.IGNORED | flags.DELETE_SELF | flags.MOVE_SELF
_RETRY_PERIOD = 1.0
"""Seconds between two tries to watch a deleted folder again."""


class FolderWatch:
    """Reports changed names by folder label; after an overflow every label, with None for "read it all".

    Only the caller writes the folders in `own`: of these it reports what someone else deleted or wrote in place. A
    folder that is deleted is reported as a whole, and is watched again once it is back.
    """

    def __init__(self, folders: Mapping[str, Path], own: Sequence[str] = ()) -> None:
        self._inotify = INotify()
        self._folders = dict(folders)
        self._own = frozenset(own)
        self._labels: dict[int, str] = {}
        for label in self._folders:
            self._add(label)

    def wait(self, seconds: float | None = None) -> dict[str, set[str] | None]:
        """Names that changed since the last call, by label; waits up to `seconds` for the first."""
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            changes = self._back_again()
            if changes:
                return changes
            incomplete = len(self._labels) < len(self._folders)
            left = None if until is None else max(0.0, until - time.monotonic())
            pause = min(_RETRY_PERIOD, left if left is not None else _RETRY_PERIOD) if incomplete else left
            changes = self._read(None if pause is None else round(pause * 1000))
            if changes or (until is not None and time.monotonic() >= until):
                return changes

    def _read(self, milliseconds: int | None) -> dict[str, set[str] | None]:
        changes: dict[str, set[str] | None] = {}
        lost = False
        for event in self._inotify.read(timeout=milliseconds):
            label = self._labels.get(event.wd)
            if event.mask & flags.Q_OVERFLOW:
                lost = True
            elif label is not None and event.mask & _GONE:
                lost = True
                self._forget(event.wd)
            elif label is not None and event.name:
                names = changes.setdefault(label, set())
                if names is not None:
                    names.add(event.name)
        return dict.fromkeys(self._folders) if lost else changes

    def _add(self, label: str) -> None:
        mask = _TAMPERING if label in self._own else _CHANGES
        watch = self._inotify.add_watch(self._folders[label], mask | flags.DELETE_SELF | flags.MOVE_SELF)
        self._labels[watch] = label

    def _forget(self, watch: int) -> None:
        del self._labels[watch]
        try:
            self._inotify.rm_watch(watch)
        except OSError:
            pass  # The kernel dropped it together with its folder.

    def _back_again(self) -> dict[str, set[str] | None]:
        """Watch deleted folders that are back; they are to be read as a whole."""
        found: dict[str, set[str] | None] = {}
        for label in self._folders.keys() - set(self._labels.values()):
            try:
                self._add(label)
            except OSError:
                continue
            found[label] = None
        return found

    def fileno(self) -> int:
        """The descriptor that becomes readable when something has changed, for poll(2)."""
        return int(self._inotify.fileno())

    def close(self) -> None:
        """End the watch."""
        self._inotify.close()
