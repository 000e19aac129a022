"""A server starts on a folder with a corrupt file: fsck and the start report it, and everything else works on."""

import pytest

from functions.integrity.fsck import examine
from functions.integrity.repair import repair
from functions.timed.cleanup import cleanup
from state.errors import UnknownFormat
from state.files.store import FileStore
from tests.timed.corruption import (
    DOCUMENT_FLAWS,
    FINISHED,
    FLAWS,
    LIVING,
    OTHERS,
    documents,
    path_of,
    reported,
    up,
)
from tests.timed.world import World

PLACES = {**LIVING, **FINISHED, **OTHERS}
BAD = [(kind, flaw) for kind in PLACES for flaw in (FLAWS if kind in OTHERS else DOCUMENT_FLAWS)]
LOST = {
    "open ticket": ("tickets", 2),
    "waiting ticket": ("tickets", 3),
    "live resource": ("resources", 2),
    "pool record": ("records", "vm"),
    "agent": ("agents", 3),
}
"""Which document of the mirror is lost with which file."""
UNSEEN = {"key", "pool record", "settled ticket", "next ticket", "next resource", "next intent", "agent"}
"""Files that may be deleted without a trace: nothing shows that they existed."""


@pytest.mark.parametrize(("kind", "flaw"), BAD)
def test_a_scheduler_starts_with_one_corrupt_file_and_uses_the_rest(world: World, kind: str, flaw: str) -> None:
    """Given a folder with one bad file, when fsck runs and a server starts, then both report it and the rest works."""
    path, before = path_of(world, PLACES[kind]), documents(world)
    DOCUMENT_FLAWS[flaw](path)
    harmless = (kind.startswith("lock") and flaw != "unreadable") or (kind, flaw) == ("FORMAT", "truncated")
    if not (harmless or kind.startswith("view") or (flaw == "deleted" and kind in UNSEEN)):
        assert examine(world.store.survey(world.clock()), world.settings.log_dir) != []
    if kind == "FORMAT" and flaw not in ("deleted", "truncated"):
        with pytest.raises(UnknownFormat):
            FileStore(world.store.root)
        repair(world.store.root, world.settings.log_dir, world.clock())
    world.restart()
    for _ in range(3):
        world.turn()
        cleanup(world.leader, world.unknown)
    kept = documents(world)
    for name, found in before.items():
        lost = [LOST.get(kind), ("tickets", 2) if (kind, flaw) == ("live resource", "deleted") else None]
        expected = [document for document in found if (name, document.key) not in lost]
        assert [document for document in kept[name] if document in expected] == expected
    if flaw != "deleted" and kind in LIVING | FINISHED:
        assert f"{path.stem}: " in reported(world)
    assert up(world) == (2 if kind == "live resource" else 3)
    assert world.take("A").id >= 4
