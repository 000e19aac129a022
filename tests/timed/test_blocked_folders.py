"""A plain file in the place of a folder is reported and quarantined, the folder is made anew, and all else works on."""

from pathlib import Path

import pytest

from scheduler.__main__ import main
from state.files.layout import FOLDERS
from state.files.store import FileStore
from tests.timed.corruption import documents, faults
from tests.timed.world import World

CONTENT = b"this was no folder\n"


def fsck(world: World, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = main(["fsck", str(world.store.root), "--log-dir", str(world.settings.log_dir), *options])
    return status, capsys.readouterr().out.splitlines()


def block(world: World, folder: str) -> Path:
    """Put a file in the place of a folder; returns where that is now."""
    path, elsewhere = world.store.root / folder, world.folder / "elsewhere"
    if path.exists():
        path.rename(elsewhere)
    path.write_bytes(CONTENT)
    return elsewhere


def kept(world: World) -> list[bytes]:
    return [path.read_bytes() for path in (world.store.root / "quarantine").iterdir() if path.is_file()]


@pytest.mark.parametrize("folder", [*FOLDERS, "tickets", "resources", "locks", "tickets/done/0", "resources/ended/7"])
def test_fsck_reports_a_blocked_folder_with_other_faults_and_repairs_it(
    world: World, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    """Given a file in place of a folder and another fault, when checked, both are reported; when repaired, the file is
    kept and the folder is there; when what was in it is put back, all is as before.
    """
    (world.store.root / "FORMAT").write_text("?\n")
    elsewhere = block(world, folder)
    missing = [f"{name}/" for name in (*FOLDERS, folder) if f"{name}/".startswith(f"{folder}/") and name in FOLDERS]
    status, lines = fsck(world, capsys)
    assert status == 1
    for name in missing or [f"{folder}/"]:
        sentence = f"fault {name}: a file is in its place (folder). `fsck --repair` repairs it"
        assert any(line.startswith(sentence) for line in lines), lines
    assert any(line.startswith("fault FORMAT: ") for line in lines)

    status, lines = fsck(world, capsys, "--repair")
    assert status in (0, 1)
    assert any(line.startswith(f"repaired {folder} was a file, not a folder; moved to ") for line in lines) or (
        folder == "locks"
    )
    assert CONTENT in kept(world)
    assert not any("a file is in its place" in line for line in lines)
    if folder != "quarantine" and elsewhere.exists():
        path = world.store.root / folder
        path.rename(world.folder / "made anew")
        elsewhere.rename(path)
        assert fsck(world, capsys, "--repair")[0] == 0


@pytest.mark.parametrize("folder", ["tickets/open", "resources/live", "pools", "agents", "tickets/done/0"])
def test_a_leader_quarantines_the_blocking_file_and_writes_its_documents_again(world: World, folder: str) -> None:
    """Given a server that runs, when a file takes the place of a folder, then all living documents are as before."""
    before = documents(world)
    block(world, folder)
    world.leader.load()
    assert documents(world) == before
    assert CONTENT in kept(world)
    assert not [fault for fault in faults(world) if "place" in str(fault)]


def test_a_store_is_opened_although_a_folder_is_blocked(world: World) -> None:
    """Given a file in the place of a folder, when another process opens the store, then it changes nothing."""
    block(world, "resources/live")
    store = FileStore(world.store.root)
    assert (store.root / "resources/live").read_bytes() == CONTENT
    assert list(store.resources.living()) == []
    assert store.tickets.read(2).id == 2
