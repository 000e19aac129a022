"""What wakes the scheduler: changed documents, by the store, and files of hook runs and configuration, by inotify.

Hook runs and configuration are files of this host, whatever the store is.
"""

import select
from collections.abc import Container, Iterator
from pathlib import Path

from functions.timed.leader import LEADER_ONLY
from state.host.watch import FolderWatch
from state.store import ChangedKeys, Store


class Watch:
    """Changes since it was opened: keys of documents by kind, and names of files under "runs" and "config"."""

    def __init__(self, store: Store, runs: Path, config_dir: Path | None = None) -> None:
        kinds = ("tickets", "intents", "corruption") if store.corruption else ("tickets", "intents")
        self._documents = store.changes(*kinds, own=LEADER_ONLY)
        folders = {"runs": runs} if config_dir is None else {"runs": runs, "config": config_dir}
        self._files = FolderWatch(folders)

    def descriptors(self) -> Iterator[int]:
        """The descriptors of which one becomes readable when something has changed, for poll(2)."""
        yield self._documents.fileno()
        yield self._files.fileno()

    def wait(self, seconds: float = 0.0) -> ChangedKeys:
        """What changed since the last call; waits up to `seconds` for the first change."""
        changes = self._changes()
        if not changes and seconds > 0:
            poll = select.poll()
            for descriptor in self.descriptors():
                poll.register(descriptor, select.POLLIN)
            poll.poll(seconds * 1000)
            changes = self._changes()
        return changes

    def _changes(self) -> ChangedKeys:
        changes = self._documents.wait(0.0)
        for label, names in self._files.wait(0.0).items():
            changes[label] = None if names is None else {*names}
        return changes

    def close(self) -> None:
        """End the watch."""
        self._documents.close()
        self._files.close()


class Inbox:
    """Changes that the watch reported and that no turn has taken yet."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._changes: ChangedKeys = {}

    def is_filled(self) -> bool:
        """Whether a change waits for the next turn."""
        return bool(self._changes)

    def take(self, seconds: float = 0.0) -> ChangedKeys:
        """Take all changes; waits up to `seconds` for the first."""
        self._gather(0.0 if self._changes else seconds)
        changes, self._changes = self._changes, {}
        return changes

    def take_new(self, kind: str, known: Container[int | str]) -> set[int | str]:
        """Take the changed keys of one kind that are not `known`; all other changes stay."""
        self._gather()
        keys = self._changes.get(kind)
        if not keys:
            return set()
        new = {key for key in keys if key not in known}
        keys -= new
        if not keys:
            # An empty set would cost an empty turn.
            del self._changes[kind]
        return new

    def _gather(self, seconds: float = 0.0) -> None:
        for kind, keys in self._watch.wait(seconds).items():
            known = self._changes.setdefault(kind, set())
            self._changes[kind] = None if keys is None or known is None else known | keys
