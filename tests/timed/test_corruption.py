"""Files of every kind become corrupt while the server runs: it works on, keeps what it knew, and reports it."""

import errno
import math
import os
import shutil
from pathlib import Path

import pytest

from functions.integrity.invariants import Kind
from functions.timed import leader
from functions.timed.cleanup import cleanup
from functions.timed.events import WrittenEvents, write_events
from functions.timed.patrol import Patrol
from state.documents import Resource, ResourceState, Ticket
from state.errors import StoreUnavailable
from state.files.disk import DiskError
from tests.timed.corruption import (
    DOCUMENT_FLAWS,
    FINISHED,
    FLAWS,
    LIVING,
    OTHERS,
    at_rest,
    documents,
    faults,
    path_of,
    reported,
    up,
)
from tests.timed.world import World


@pytest.mark.parametrize("flaw", DOCUMENT_FLAWS)
@pytest.mark.parametrize("kind", LIVING)
def test_a_corrupt_living_document_is_written_again_as_it_was(
    world: World, caplog: pytest.LogCaptureFixture, kind: str, flaw: str
) -> None:
    """Given a server that runs, when a document becomes corrupt, then the patrol restores and reports it."""
    path = path_of(world, LIVING[kind])
    before, good = documents(world), path.read_bytes()
    write_events(world.leader, WrittenEvents())
    DOCUMENT_FLAWS[flaw](path)
    # This agent has no history that events could show.
    assert faults(world) or (kind, flaw) == ("agent", "deleted")
    cleanup(world.leader, world.unknown)
    assert path.read_bytes() == good
    assert documents(world) == before
    assert f"{path.stem}: its document was lost or corrupt" in caplog.text
    if flaw != "deleted":
        place = LIVING[kind].removesuffix(".json")
        assert reported(world).startswith(f"{place}: ")
        assert any(name.startswith(place.replace("/", "-")) for name in os.listdir(world.store.root / "quarantine"))
    assert faults(world) == []
    before_restart = reported(world)
    world.restart()
    assert documents(world) == before
    assert reported(world) == before_restart


def test_a_terabyte_document_is_reported_at_the_start_and_not_read(world: World) -> None:
    """Given a spare whose file is far too large, when a scheduler starts, then that is in quarantine and it leads."""
    path = world.store.resources.path(3)
    os.truncate(path, 2**40)
    world.restart()
    world.turn()
    assert reported(world).startswith("resources/live/3: it is larger than 64 MiB")
    assert world.leader.mirror.snapshot.lost == {3}
    assert not path.exists()


def test_a_document_whose_place_is_taken_by_another_file_is_not_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a ticket whose file goes away, when rubbish comes there just before it is written again, then it stays."""
    path = world.store.tickets.path(3)
    before, good = documents(world), path.read_bytes()
    path.unlink()
    put_back = world.store.tickets.put_back

    def put_back_late(document: Ticket) -> bool:
        path.write_bytes(b"rubbish")
        return put_back(document)

    with monkeypatch.context() as patch:
        patch.setattr(world.store.tickets, "put_back", put_back_late)
        world.leader.refresh({"tickets": {int(path.stem)}})
    assert documents(world) == before
    world.leader.refresh({"tickets": {int(path.stem)}})
    assert path.read_bytes() == good
    assert documents(world) == before


@pytest.mark.parametrize("flaw", [name for name in DOCUMENT_FLAWS if name != "deleted"])
@pytest.mark.parametrize("kind", FINISHED)
def test_a_corrupt_finished_document_is_quarantined_and_reported(world: World, kind: str, flaw: str) -> None:
    """Given a server that runs, when an archived document or a key is corrupt, then the patrol moves and reports it."""
    path = path_of(world, FINISHED[kind])
    DOCUMENT_FLAWS[flaw](path)
    assert (Kind.DAMAGED, str(path.relative_to(world.store.root))) in faults(world)
    cleanup(world.leader, world.unknown)
    assert not path.exists()
    assert path.stem in reported(world)
    assert up(world) == 3


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("kind", OTHERS)
def test_grants_go_on_when_another_file_is_corrupt_and_no_number_repeats(world: World, kind: str, flaw: str) -> None:
    """Given a server that runs, when a counter, a view, FORMAT or a lock is corrupt, then it grants and creates."""
    FLAWS[flaw](world.store.root / OTHERS[kind])
    cleanup(world.leader, world.unknown)
    world.close(2)
    ticket = world.take("A")
    assert ticket.id >= 4
    world.until(lambda: world.leader.mirror.snapshot.tickets[ticket.id].resource, "an assignment")
    at_rest(world)
    resources = [resource.id for resource in world.resources()]
    assert len(resources) == len(set(resources)) == 3
    assert min(resources) > 1
    assert (world.store.root / "FORMAT").read_text().strip() == "1"
    world.restart()
    assert up(world) == 3


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("flaw", [name for name in DOCUMENT_FLAWS if name != "deleted"])
def test_a_corrupt_intent_is_quarantined_and_the_others_are_decided(world: World, flaw: str, restarted: bool) -> None:
    """Given two intents, when one becomes corrupt before it is read, then it is reported, and the other is decided."""
    spare = next(found.id for found in world.resources() if world.leader.mirror.snapshot.holder(found.id) is None)
    bad, good = world.ask_delete(2), world.ask_delete(spare)
    path = world.store.intents.path(bad.id)
    DOCUMENT_FLAWS[flaw](path)
    assert (Kind.DAMAGED, f"intents/{bad.id}.json") in faults(world)
    if restarted:
        world.restart()
    world.until(lambda: spare not in world.leader.mirror.snapshot.resources, "the delete that was asked for")
    assert not world.store.intents.exists(good.id)
    assert not path.exists()
    assert f"intents/{bad.id}: " in reported(world)
    assert world.leader.mirror.snapshot.resources[2].state is ResourceState.UP
    assert faults(world) == []


def test_a_resource_that_another_program_changed_is_quarantined_and_written_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Given a server that runs, when another valid document is in a file, then it is moved and reported."""
    path = world.store.resources.path(2)
    good = path.read_bytes()
    path.write_bytes(Resource.from_json(good).replace(id_in_pool=11).to_json())
    world.leader.refresh({"resources": {2}})
    assert path.read_bytes() == good
    assert "another program changed" in caplog.text


def test_all_documents_are_corrupt_at_once(world: World) -> None:
    """Given a server that runs, when every document is emptied and it must read all again, then nothing is lost."""
    before = documents(world)
    for folder in ("tickets/open", "resources/live", "pools"):
        for path in (world.store.root / folder).iterdir():
            path.write_bytes(b"")
    world.leader.load()
    assert documents(world) == before
    assert faults(world) == []
    world.restart()
    assert documents(world) == before


def test_a_deleted_folder_of_documents_is_written_again(world: World) -> None:
    """Given a server that runs, when a folder is removed, then it is made anew with all that was in it."""
    before = documents(world)
    shutil.rmtree(world.store.resources.folder)
    world.leader.load()
    assert documents(world) == before
    assert faults(world) == []


def test_a_missing_state_folder_is_not_created_again(world: World) -> None:
    """Given a server that runs, when its whole folder is gone, then nothing is made in its place."""
    before = documents(world)
    world.store.root.rename(world.folder / "elsewhere")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            world.leader.load()
    assert not world.store.root.exists()
    assert documents(world) == before
    (world.folder / "elsewhere").rename(world.store.root)
    world.leader.load()
    assert documents(world) == before


def refuse(monkeypatch: pytest.MonkeyPatch, refused: Path, times: float = math.inf) -> None:
    """Let the disk fail to read this file so many times."""
    open_file = os.open

    def fail(path: str | Path, *arguments: int, **options: int) -> int:
        nonlocal times
        if Path(path) == refused and times > 0:
            times -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(os, "open", fail)


@pytest.mark.parametrize("restarted", [False, True])
def test_an_intent_that_is_unreadable_once_keeps_its_place(
    world: World, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    """Given intents to hold a resource and then to delete it, when the disk refuses the first once, then it is held,
    and is not deleted.
    """
    number = world.resources()[0].id
    hold, delete = world.ask_hold(number), world.ask_delete(number)
    refuse(monkeypatch, world.store.intents.path(hold.id), times=1)
    if restarted:
        world.restart()
    world.until(lambda: not world.store.intents.exists(delete.id), "the decision of the later intent")
    assert world.leader.mirror.snapshot.resources[number].held
    assert world.leader.corruption.words == []


@pytest.mark.parametrize("restarted", [False, True])
def test_an_unreadable_intent_is_quarantined_and_decided_when_put_back(
    world: World, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    """Given an intent that the disk does not read, then it is reported, and later ones are decided; once mended and
    put back it is done.
    """
    first, other = (found.id for found in world.resources()[:2])
    refused, later = world.ask_delete(first), world.ask_delete(other)
    path = world.store.intents.path(refused.id)
    refuse(monkeypatch, path)
    if restarted:
        world.restart()
    world.until(lambda: not world.store.intents.exists(later.id), "the decision of the later intent")
    assert not path.exists()
    assert f"intents/{refused.id}: " in reported(world)
    assert first in world.leader.mirror.snapshot.resources
    monkeypatch.undo()
    (quarantined,) = (world.store.root / "quarantine").glob(f"intents-{refused.id}*")
    quarantined.rename(path)
    world.until(lambda: first not in world.leader.mirror.snapshot.resources, "the intent")
    world.leader.refresh({"corruption": set()})
    assert reported(world) == ""


def test_an_intent_about_an_unreadable_resource_waits_for_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a resource that the disk cannot read at a start, when it can, then the intents about it are carried out."""
    number = world.resources()[0].id
    world.ask_delete(number)
    refuse(monkeypatch, world.store.resources.path(number))
    world.restart()
    world.turn()
    assert list(world.store.intents.living()) != []
    monkeypatch.undo()
    cleanup(world.leader, world.unknown)
    world.until(lambda: number not in world.leader.mirror.snapshot.resources, "the requested delete")
    assert list(world.store.intents.living()) == []


@pytest.mark.parametrize("kind", LIVING)
def test_an_unreadable_document_is_written_again(world: World, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Given a server that runs, when a file cannot be read, then it is moved and the last good one written again."""
    before, path = documents(world), path_of(world, LIVING[kind])
    refuse(monkeypatch, path)
    if kind == "waiting ticket":
        world.leader.refresh({"tickets": {int(path.stem)}})
    else:
        world.leader.load()
    monkeypatch.undo()
    assert documents(world) == before
    world.restart()
    assert documents(world) == before


def test_an_unreadable_file_does_not_block_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a start with a resource that cannot be read, then the rest goes on and the patrol takes it in later."""
    refuse(monkeypatch, world.store.resources.path(2))
    world.restart()
    world.turn()
    cleanup(world.leader, world.unknown)
    assert "resources/live/2: Input/output error" in reported(world)
    assert world.leader.mirror.snapshot.lost
    assert up(world) == 2
    monkeypatch.undo()
    cleanup(world.leader, world.unknown)
    assert up(world) == 3


def test_a_full_disk_makes_the_leader_forget_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a document that becomes corrupt on a full disk, then its content stays valid and is written later."""
    before = documents(world)
    world.store.resources.path(2).write_bytes(b"")

    def full(*_: object, **__: object) -> bool:
        raise DiskError(str(world.store.root), OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(type(world.store.resources), "put_back", full)
    world.leader.load()
    assert documents(world) == before
    monkeypatch.undo()
    cleanup(world.leader, world.unknown)
    assert documents(world) == before
    assert faults(world) == []


def test_a_failed_load_forgets_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a document that rotted, when reading all again fails before it was put back, then the next time does it."""
    before = documents(world)
    world.store.resources.path(2).write_bytes(b"")

    def fail(*_: object) -> None:
        raise DiskError(str(world.store.root), OSError(errno.EMFILE, "Too many open files"))

    monkeypatch.setattr(leader, "lost_documents", fail)
    with pytest.raises(StoreUnavailable):
        world.leader.load()
    monkeypatch.undo()
    world.leader.load()
    assert documents(world) == before


def test_a_start_that_could_not_be_written_does_not_exist_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a resource whose first write failed, when all is read again, then it does not exist."""
    world.close(2)

    def full(*_: object) -> None:
        raise DiskError(str(world.store.root), OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(world.store._disk, "stage_all", full)
    with pytest.raises(StoreUnavailable):
        world.until(lambda: False, "a write")
    monkeypatch.undo()
    world.leader.load()
    assert {resource.state for resource in world.resources()} <= {ResourceState.UP, ResourceState.DELETING}


def test_the_patrol_reads_everything_a_few_files_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a patrol that reads two files a call, when called often enough, then it has found what is bad."""
    monkeypatch.setattr(Patrol, "LIVING", 2)
    path = world.store.pools.path("vm")
    path.write_bytes(b"")
    calls = 0
    while not path.read_bytes():
        world.unknown.patrol.walk(world.leader)
        calls += 1
        assert calls < 20
    assert calls > 1


def test_old_keys_are_forgotten_by_the_patrol(world: World) -> None:
    """Given a key older than the retention, when the patrol comes by, then it is removed."""
    world.ahead += world.settings.ticket_retention + 1
    world.unknown.patrol.walk(world.leader)
    assert list(world.store.keys.folder.iterdir()) == []


def test_pools_that_could_not_be_written_are_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a changed pools.yaml, when its record cannot be written at first, then the next turn applies the file."""
    world.set_pools(
        (world.config / "pools.yaml").read_text() + "other: {max: 1, cmd_new: 'true', cmd_delete: 'true'}\n"
    )

    def full(*_: object) -> None:
        raise StoreUnavailable("pools/other", OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(world.store, "commit", full)
    with pytest.raises(StoreUnavailable):
        world.leader.reload_pools()
    monkeypatch.undo()
    assert world.leader.reload_pools()
    assert "other" in world.leader.mirror.snapshot.pools
