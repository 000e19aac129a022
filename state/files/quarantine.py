"""The folder `quarantine/`: corrupt files are moved there and kept, as `FOLDER-NAME.NANOSECONDS`.

A file that was in the place of a folder is kept as `folder-FOLDER.NANOSECONDS`.
"""

import shutil
import time
from pathlib import Path

from state.files.disk import Disk
from state.survey import Quarantined

KEPT_FOR = 86400.0
"""Seconds for which everything is kept at least."""
_FOLDERS = (
    "tickets/open",
    "tickets/done",
    "tickets/keys",
    "resources/live",
    "resources/ended",
    "pools",
    "intents",
    "agents",
    "events",
    "ids",
    "locks",
    "view",
    "samples",
)


class Quarantine:
    """The folder `quarantine/`."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.folder = disk.root / "quarantine"

    def path(self, thing: Quarantined) -> Path:
        """The file or folder of a quarantined thing."""
        return self._disk.root / thing.place

    def take(self, path: Path) -> str | None:
        """Move a file or folder here, durably; returns its new place, None when it does not exist."""
        target = self._target(path)
        if not self._disk.move(path, target):
            return None
        self._disk.sync_folder(path.parent)
        self._disk.sync_folder(self.folder)
        return self._disk.place(target)

    def keep(self, path: Path) -> str:
        """Keep a copy of the file as it is now, before it is replaced; returns the place of the copy."""
        target = self._target(path)
        self._disk.link(path, target)
        self._disk.sync_folder(self.folder)
        return self._disk.place(target)

    def _target(self, path: Path) -> Path:
        folder, key = self._origin(path)
        return self.folder / f"{_prefix(folder)}{key}.{time.time_ns()}"

    def list(self) -> list[Quarantined]:
        """What is here, the oldest first. Names that `take` would not make are left out."""
        found = [self._parse(name) for name in self._disk.names(self.folder)]
        return sorted((thing for thing in found if thing), key=lambda thing: thing.at)

    def read(self, thing: Quarantined) -> bytes:
        """What is left of it; empty for a folder and for a removed file. Raises StoreUnavailable."""
        path = self.path(thing)
        return b"" if path.is_dir() else self._disk.read(path) or b""

    def holds(self, folder: str, key: object) -> bool:
        """Whether something with this origin is here."""
        start = f"{_prefix(folder)}{key}."
        return any(name.rpartition(".")[0] == start[:-1] for name in self._disk.names(self.folder))

    def thin_out(self, now: float, ticket_retention: float, resource_retention: float) -> int:
        """Remove what has been here for longer than the document itself would have been kept (seconds).

        Returns how many. Kept any longer, it would seem to be all that is left of a document.
        """
        resources, others = (max(KEPT_FOR, kept) for kept in (resource_retention, ticket_retention))
        old = [
            thing
            for thing in self.list()
            if thing.at < now - (resources if thing.folder.startswith("resources/") else others)
        ]
        for thing in old:
            path = self.path(thing)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                self._disk.remove(path)
        return len(old)

    def _origin(self, path: Path) -> tuple[str, str]:
        place = path.relative_to(self._disk.root)
        folder = next((known for known in _FOLDERS if place.is_relative_to(known)), "")
        if str(place) == folder or (folder.endswith(("done", "ended")) and str(place.parent) == folder):
            return "", f"folder-{str(place).replace('/', '-')}"
        inside = place.relative_to(folder) if folder else place
        key = path.name if folder.endswith(("done", "ended")) else str(inside).replace("/", "-")
        return folder, key.removesuffix(".json")

    def _parse(self, name: str) -> Quarantined | None:
        stem, _, stamp = name.rpartition(".")
        if not (stem and stamp.isascii() and stamp.isdigit()):
            return None
        folder = next((known for known in _FOLDERS if stem.startswith(_prefix(known))), "")
        return Quarantined(f"quarantine/{name}", folder, stem.removeprefix(_prefix(folder)), int(stamp) / 1e9)


def _prefix(folder: str) -> str:
    return f"{folder.replace('/', '-')}-" if folder else ""
