"""The state folder's content at one moment, to compare with another."""

from state.files.store import FileStore

_ROOMS = ("tmp", "tickets", "resources", "pools", "intents", "view", "quarantine")


def snapshot(store: FileStore) -> dict[str, bytes]:
    """Relative path to content of every file but the locks and the counters, which may run ahead."""
    files = (path for room in _ROOMS for path in (store.root / room).rglob("*") if path.is_file())
    return {str(path.relative_to(store.root)): path.read_bytes() for path in files}
