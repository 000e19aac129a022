"""Which names changed in some folders, told by the kernel (inotify).

Subscribe first, then read the folder, then wait: no change is lost. One watch a process, opened after its fork.
"""

from collections.abc import Mapping
from pathlib import Path

from inotify_simple import INotify, flags

_CHANGES = flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.CLOSE_WRITE
_LOST = flags.Q_OVERFLOW | flags.IGNORED | flags.DELETE_SELF | flags.MOVE_SELF


class Watch:
    """Reports changed names by folder label; after an overflow every label, with None for "read it all"."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._inotify = INotify()
        self._labels = {
            self._inotify.add_watch(folder, _CHANGES | flags.DELETE_SELF | flags.MOVE_SELF): label
            for label, folder in folders.items()
        }

    def wait(self, seconds: float | None = None) -> dict[str, set[str] | None]:
        """Names that changed since the last call, by label; waits up to `seconds` for the first."""
        milliseconds = None if seconds is None else max(0, round(seconds * 1000))
        changes: dict[str, set[str] | None] = {}
        for event in self._inotify.read(timeout=milliseconds):
            if event.mask & _LOST:
                return dict.fromkeys(self._labels.values())
            label = self._labels.get(event.wd)
            if label is not None and event.name:
                names = changes.setdefault(label, set())
                if names is not None:
                    names.add(event.name)
        return changes

    def fileno(self) -> int:
        """The descriptor that becomes readable when something changed."""
        return int(self._inotify.fileno())

    def close(self) -> None:
        self._inotify.close()
