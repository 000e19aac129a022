"""What cannot be used where it stands is moved to `quarantine/` and kept there, as `FOLDER-NAME.NANOSECONDS`.

What stood in the place of a folder is kept as `folder-FOLDER.NANOSECONDS`.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from state.files.staging import Files

KEPT_FOR = 86400.0
"""Seconds for which everything is kept here at least."""
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


@dataclass(frozen=True)
class Aside:
    """One thing in quarantine: it stood in `folder` ("" is the root) as `key`, without `.json`, until `at`."""

    path: Path
    folder: str
    key: str
    at: float


class Quarantine:
    """The folder `quarantine/`."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.folder = files.root / "quarantine"

    def take(self, path: Path) -> Path | None:
        """Move a file or folder here for good; returns where it is now, None when it is gone."""
        folder, key = self._origin(path)
        aside = self.folder / f"{_prefix(folder)}{key}.{time.time_ns()}"
        if not self._files.move(path, aside):
            return None
        self._files.sync_folder(path.parent)
        self._files.sync_folder(self.folder)
        return aside

    def keep(self, path: Path) -> Path:
        """Keep the file as it is now here, too, before it is replaced."""
        folder, key = self._origin(path)
        aside = self.folder / f"{_prefix(folder)}{key}.{time.time_ns()}"
        self._files.link(path, aside)
        self._files.sync_folder(self.folder)
        return aside

    def list(self) -> list[Aside]:
        """What is here, the oldest first. Other names than those that `take` gives are left out."""
        found = [self._parse(name) for name in self._files.names(self.folder)]
        return sorted((aside for aside in found if aside), key=lambda aside: aside.at)

    def read(self, aside: Aside) -> bytes:
        """What is left of it, nothing of a folder or of what is gone; raises StoreUnavailable."""
        return b"" if aside.path.is_dir() else self._files.read(aside.path) or b""

    def holds(self, folder: str, key: object) -> bool:
        """Whether something that stood there is here."""
        start = f"{_prefix(folder)}{key}."
        return any(name.rpartition(".")[0] == start[:-1] for name in self._files.names(self.folder))

    def thin_out(self, now: float, ticket_retention: float, resource_retention: float) -> int:
        """Remove what has been here for longer than the document would have been kept (seconds); returns how much.

        For no longer, or its original would seem to be all that is left of it.
        """
        resources, others = (max(KEPT_FOR, kept) for kept in (resource_retention, ticket_retention))
        old = [
            aside
            for aside in self.list()
            if aside.at < now - (resources if aside.folder.startswith("resources/") else others)
        ]
        for aside in old:
            if aside.path.is_dir() and not aside.path.is_symlink():
                shutil.rmtree(aside.path, ignore_errors=True)
            else:
                self._files.remove(aside.path)
        return len(old)

    def _origin(self, path: Path) -> tuple[str, str]:
        place = path.relative_to(self._files.root)
        folder = next((known for known in _FOLDERS if place.is_relative_to(known)), "")
        if str(place) == folder or (folder.endswith(("done", "ended")) and str(place.parent) == folder):
            return "", f"folder-{str(place).replace('/', '-')}"
        inside = place.relative_to(folder) if folder else place
        key = path.name if folder.endswith(("done", "ended")) else str(inside).replace("/", "-")
        return folder, key.removesuffix(".json")

    def _parse(self, name: str) -> Aside | None:
        stem, _, stamp = name.rpartition(".")
        if not (stem and stamp.isascii() and stamp.isdigit()):
            return None
        folder = next((known for known in _FOLDERS if stem.startswith(_prefix(known))), "")
        return Aside(self.folder / name, folder, stem.removeprefix(_prefix(folder)), int(stamp) / 1e9)


def _prefix(folder: str) -> str:
    return f"{folder.replace('/', '-')}-" if folder else ""
