"""fsck --repair: an unreadable document does not stop it, and no number is used twice."""

import errno
import os
from pathlib import Path

import pytest

from functions.integrity.repair import repair
from state.files.disk import Disk, DiskError
from state.files.store import FileStore
from tests.timed.world import World


@pytest.mark.parametrize("place", ["tickets/done/0/1.json", "resources/ended/0/1.json", "tickets/keys"])
def test_an_unreadable_finished_document_or_key_does_not_block_other_repairs(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Given a corrupt ticket and a finished document that cannot be read, when repaired, then the ticket is put back
    and the other stays where it is.
    """
    refused = world.store.root / place
    refused = next(refused.iterdir()) if refused.is_dir() else refused
    lost = world.store.tickets.path(2)
    before = lost.read_bytes()
    lost.write_bytes(before.rstrip()[:-1])
    read = Disk.read

    def refuse(files: Disk, path: Path) -> bytes | None:
        if path == refused:
            raise DiskError(str(path), OSError(errno.EACCES, os.strerror(errno.EACCES)))
        return read(files, path)

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "read", refuse)
        repair(world.store.root, world.settings.log_dir, world.clock())
    assert lost.read_bytes() == before
    assert refused.exists()


@pytest.mark.parametrize(("corrupt", "goes_on_at"), [("tickets.next", 100_000), ("tickets.ceiling", 5000)])
def test_a_corrupt_counter_does_not_lower_the_other_one(world: World, corrupt: str, goes_on_at: int) -> None:
    """Given a counter far above all that is there and a corrupt one, when repaired, numbers go on at the good one."""
    ids = world.store.root / "ids"
    (ids / "tickets.ceiling").write_text("5000\n")
    (ids / "tickets.next").unlink(missing_ok=True)
    world.store.tickets.reserve(1)
    (ids / "tickets.ceiling").write_text("100000\n" if corrupt == "tickets.next" else "?\n")
    if corrupt == "tickets.next":
        (ids / corrupt).write_text("?\n")
    repair(world.store.root, None, world.clock())
    assert FileStore(world.store.root).tickets.reserve(1).start == goes_on_at + (corrupt == "tickets.ceiling")
