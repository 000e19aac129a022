"""fsck: what it finds in a folder, what it repairs, how it exits, and that it changes nothing unasked."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from functions.integrity.fsck import EXAMINATIONS, PAUSE, examine_living
from functions.integrity.invariants import Fault, Kind
from functions.integrity.repair import repair
from scheduler.__main__ import main
from state.documents import Agent, Resource, ResourceState, Ticket, TicketState
from state.errors import CorruptDocument
from state.files.disk import Disk, DiskError
from state.files.store import FileStore
from state.store import Batch, Put
from tests.state.children import Child
from tests.timed.corruption import flip_value
from tests.timed.world import World


def fsck(world: World, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["fsck", str(world.store.root), "--log-dir", str(world.settings.log_dir), *options])
    return status, capsys.readouterr().out


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def replace(world: World, place: str, **fields: Any) -> None:
    """Change fields of a document by hand."""
    path = world.store.root / place
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **fields}))


def test_a_healthy_folder_is_clean(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a folder that nothing happened to, when checked, then it says so and exits with 0."""
    assert fsck(world, capsys) == (0, "faults: 0, notes: 0\n")


def test_it_changes_nothing_unasked(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a folder with faults, when checked, then every file is as before and none is new."""
    world.store.tickets.path(2).write_bytes(b"")
    (world.store.root / "FORMAT").unlink()
    before = contents(world.store.root)
    status, text = fsck(world, capsys)
    assert status == 1
    assert text.count("fault ") == 2
    assert contents(world.store.root) == before


def test_faults_come_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a fault and a note, when JSON is asked for, then both are shown with file, sentence and repair."""
    world.store.tickets.path(2).write_bytes(b"")
    (world.store.tickets.folder / "2.json~").touch()
    status, text = fsck(world, capsys, "--json")
    report = json.loads(text)
    assert status == 1
    assert [(fault["kind"], fault["file"]) for fault in report["faults"]] == [("damaged", "tickets/open/2.json")]
    assert [(note["kind"], note["file"]) for note in report["notes"]] == [("stray", "tickets/open/2.json~")]
    assert all(entry["sentence"] and entry["repair"] for entry in report["faults"] + report["notes"])
    assert report["repaired"] == []


@pytest.mark.parametrize("found", ["2", "unfinished-import"])
def test_a_folder_of_another_program_is_left_alone(
    world: World, capsys: pytest.CaptureFixture[str], found: str
) -> None:
    """Given a newer FORMAT or an import under way, when checked or repaired, then it exits with 2 and all stays."""
    (world.store.root / "FORMAT").write_text(f"{found}\n")
    before = contents(world.store.root)
    assert fsck(world, capsys) == (2, "")
    assert fsck(world, capsys, "--repair") == (2, "")
    before["locks/leader"] = b""
    assert contents(world.store.root) == before


def test_what_is_no_state_folder_cannot_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given some folder or none, when checked, then it exits with 2 and makes nothing."""
    assert main(["fsck", str(tmp_path)]) == 2
    assert main(["fsck", str(tmp_path / "nowhere"), "--repair"]) == 2
    assert list(tmp_path.iterdir()) == []
    assert "no state folder" in capsys.readouterr().err


def test_it_repairs_nothing_while_a_scheduler_leads(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a leader, when a repair is asked for, then it is refused with 2; a check goes on."""
    world.store.tickets.path(2).write_bytes(b"")
    lease = world.store.lead()
    lease.acquire()
    assert fsck(world, capsys, "--repair") == (2, "")
    assert world.store.tickets.path(2).read_bytes() == b""
    lease.release()


def test_beside_a_server_only_persistent_faults_are_reported() -> None:
    """Given faults that come and go, when examined several times, then only those that stay are reported."""

    def fault(file: str) -> Fault:
        return Fault(Kind.DAMAGED, file, "bad", "None.")

    surveys = [[fault("a"), fault("b"), fault("c")], [fault("b"), fault("c")], [fault("c"), fault("d")]]
    pauses: list[float] = []
    assert examine_living(iter(surveys).__next__, pauses.append) == [fault("c")]
    assert pauses == [PAUSE] * (EXAMINATIONS - 1)
    assert examine_living(lambda: [], pauses.append) == []
    assert len(pauses) == EXAMINATIONS - 1


def test_repairing_a_healthy_folder_changes_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a healthy folder, when repaired, then nothing is done."""
    before = contents(world.store.root)
    assert fsck(world, capsys, "--repair") == (0, "faults: 0, notes: 0\n")
    assert contents(world.store.root) == {**before, "locks/leader": b""}


def test_a_corrupt_resource_is_deleted_with_its_own_numbers(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a resource that lost its end, when repaired, then cmd_delete runs for it, and its ticket fails."""
    path, known = world.store.resources.path(2), world.leader.mirror.snapshot.resources[2]
    path.write_bytes(path.read_bytes()[:-200])
    status, text = fsck(world, capsys, "--repair")
    assert status == 0
    assert "repaired resource 2 put back as DELETE_REQUEST" in text
    world.restart()
    world.until(lambda: 2 not in world.leader.mirror.snapshot.resources, "the end of the corrupt resource")
    expected = f"{known.name} {known.id_in_pool} {known.counters['address']}"
    assert expected in (world.folder / "deleted").read_text().splitlines()
    assert world.store.tickets.read(2).state is TicketState.FAILED


def test_a_resource_of_which_nothing_is_left_stays_with_the_operator(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given an emptied resource, when repaired and restarted, then it is reported until its file is removed."""
    world.store.resources.path(2).write_bytes(b"")
    status, text = fsck(world, capsys, "--repair")
    assert status == 1
    assert "fault quarantine/resources-live-2." in text
    world.restart()
    world.turn()
    # Its ticket and its place are kept: its state is unknown.
    assert world.leader.mirror.snapshot.tickets[2].state is TicketState.OPEN
    assert len(world.resources()) == 2
    (quarantined,) = world.store.quarantine.list()
    world.store.quarantine.path(quarantined).unlink()
    world.leader.refresh({"corruption": {quarantined.place}})
    world.until(lambda: world.store.tickets.read(2).state is TicketState.FAILED, "the end of its ticket")
    assert not world.leader.mirror.snapshot.lost


def test_a_closed_ticket_waits_for_its_lost_resource(world: World) -> None:
    """Given a resource in quarantine, when its ticket is closed and the document put back, then it is released once."""
    path = world.store.resources.path(2)
    good = path.read_bytes()
    path.write_bytes(b"")
    world.restart()
    world.close(2)
    for _ in range(3):
        world.turn()
    assert world.store.tickets.get(2) is not None
    mended = world.folder / "mended"
    mended.write_bytes(good)
    mended.rename(path)
    world.leader.check_quarantine()
    world.until(lambda: world.store.tickets.get(2) is None, "the release")
    world.until(lambda: 2 not in world.leader.mirror.snapshot.resources, "the delete after the release")
    assert world.store.resources.read(2).released_ticket == 2


@pytest.mark.parametrize(
    ("left", "state"), [(b"", TicketState.FAILED), (b'{"id":3,"state":"CLOSED","tags":["Z"],"sand', TicketState.CLOSED)]
)
def test_a_corrupt_ticket_fails_so_that_its_client_is_notified(
    world: World, capsys: pytest.CaptureFixture[str], left: bytes, state: TicketState
) -> None:
    """Given an unreadable ticket, when repaired, then it has failed, with a reason."""
    world.store.tickets.path(3).write_bytes(left)
    world.restart()
    with pytest.raises(CorruptDocument):
        world.store.tickets.read(3)
    assert fsck(world, capsys, "--repair")[0] == 0
    ticket = world.store.tickets.read(3)
    assert (ticket.state, ticket.reason) == (state, "its document was corrupt")


def test_a_document_with_only_its_frame_corrupt_is_restored(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given documents that lost a brace but no field, when repaired, then they are as they were."""
    before = {path: path.read_bytes() for path in (world.store.tickets.path(2), world.store.resources.path(2))}
    for path, content in before.items():
        path.write_bytes(content.rstrip()[:-1] + b",")
    assert fsck(world, capsys, "--repair")[0] == 0
    assert {path: path.read_bytes() for path in before} == before


def test_a_flipped_bit_in_the_name_of_a_field_is_found(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a settled ticket whose `state` is called otherwise, when checked, then it does not count as an open one."""
    path = world.store.tickets.archive_path(1)
    path.write_bytes(path.read_bytes().replace(b'"state"', b'"svate"'))
    status, text = fsck(world, capsys)
    assert status == 1
    assert "tickets/done/0/1.json: it is corrupt: its check sum is wrong; if it was edited" in text
    replace(world, "tickets/done/0/1.json")
    assert "tickets/done/0/1.json: it is corrupt: Object missing required field `state`" in fsck(world, capsys)[1]


def test_what_may_be_wrong_is_not_put_back_as_it_was(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given documents with a flipped bit that can be read, when repaired, then it is said, and they are none that hold.

    It is unknown which field it was.
    """
    for path in (world.store.tickets.path(2), world.store.resources.path(2)):
        flip_value(path)
    status, text = fsck(world, capsys, "--repair")
    assert status == 0
    assert text.count("was corrupt (its check sum is wrong; if it was edited by hand, take `sum` out of it)") == 2
    assert world.store.tickets.read(2).state is TicketState.FAILED
    assert world.store.resources.read(2).state is ResourceState.DELETE_REQUEST


def test_a_missing_pool_record_is_reported(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given resources of a pool, when its file is gone, then that is reported until a scheduler has begun it anew."""
    (record,) = world.store.read_all().records
    path = world.store.pools.path(record.name)
    path.unlink()
    status, text = fsck(world, capsys)
    assert (status, "(missing pool)" in text) == (1, True)
    path.write_bytes(b"{")
    assert "(missing pool)" not in fsck(world, capsys)[1]
    path.unlink()
    world.restart()
    world.until(path.exists, "the pool")
    assert fsck(world, capsys)[0] == 0


def test_what_is_left_of_a_run_is_noted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given the output of a hook run whose first file is gone, when checked, then it is noted."""
    (world.store.root / "runs" / "000001_alloc_1.out").write_bytes(b"x")
    assert "note runs/000001_alloc_1.out: it is no document (stray)" in fsck(world, capsys)[1]


REPAIRS = [
    ("tickets/open/3.json", {"output": "eA==", "assigned_at": 5.0}, "half granted"),
    ("resources/live/2.json", {"state": "STARTING"}, "wrong run"),
    ("resources/live/2.json", {"run": {"id": "000002_alloc_1", "kind": "alloc", "started_at": 1.0}}, "wrong run"),
    ("tickets/done/0/1.json", {"state": "OPEN", "resource": None, "output": None, "assigned_at": None,
                               "resource_name": None}, "wrong place"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "fields", "kind"), REPAIRS)
def test_what_the_scheduler_cannot_put_right_is_repaired(
    world: World, capsys: pytest.CaptureFixture[str], place: str, fields: dict[str, Any], kind: str
) -> None:
    """Given an inconsistent document, when repaired, then it is reported, the original kept, and all works on."""
    replace(world, place, **fields)
    original = (world.store.root / place).read_bytes()
    status, text = fsck(world, capsys)
    assert (status, f"({kind})" in text) == (1, True)
    status, text = fsck(world, capsys, "--repair")
    assert status == 0
    assert f"repaired {place}: " in text
    assert original in [
        world.store.quarantine.path(quarantined).read_bytes() for quarantined in world.store.quarantine.list()
    ]
    world.restart()
    world.until(lambda: not world.hooks.under_way() and len(world.resources()) >= 2, "rest")
    assert fsck(world, capsys)[0] == 0


def test_a_double_grant_is_undone(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given two open tickets with one resource, when repaired, then the later one has failed."""
    known = json.loads(world.store.tickets.path(2).read_bytes())
    replace(world, "tickets/open/3.json", **{**known, "id": 3, "assigned_at": known["assigned_at"] + 1})
    assert "(double grant)" in fsck(world, capsys)[1]
    assert fsck(world, capsys, "--repair")[0] == 0
    assert [world.store.tickets.read(number).state for number in (2, 3)] == ["OPEN", "FAILED"]


def test_of_a_ticket_in_two_folders_the_settled_one_is_kept(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a settled ticket that is also among the open ones, when repaired, then the open copy is quarantined."""
    world.store.commit(Batch([Put(Ticket(id=1))]))
    assert "(duplicate)" in fsck(world, capsys)[1]
    assert fsck(world, capsys, "--repair")[0] == 0
    assert world.store.tickets.read(1).state is TicketState.CLOSED


@pytest.mark.parametrize("ceiling", [b"", b"2\n", b"\xff", None])
def test_counters_are_raised_above_all_assigned_numbers(
    world: World, capsys: pytest.CaptureFixture[str], ceiling: bytes | None
) -> None:
    """Given a ceiling that is too low, corrupt or missing, when repaired, then numbers go on above those in use."""
    for name in ("tickets", "resources"):
        path = world.store.root / "ids" / f"{name}.ceiling"
        path.unlink() if ceiling is None else path.write_bytes(ceiling)
    assert fsck(world, capsys)[0] == 1
    assert fsck(world, capsys, "--repair")[0] == 0
    store = FileStore(world.store.root)
    assert store.tickets.create(lambda number: Ticket(id=number)).id == 4
    assert store.resources.reserve(1).start > max(world.leader.mirror.snapshot.resources)


def test_corrupt_keys_and_archived_documents_are_quarantined(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a corrupt key and corrupt finished documents, when repaired, then they are in quarantine."""
    (key,) = (world.store.root / "tickets/keys").iterdir()
    for path in (key, world.store.tickets.archive_path(1), world.store.resources.archive_path(1)):
        path.write_bytes(path.read_bytes()[:5])
    fsck(world, capsys, "--repair")
    assert {quarantined.folder for quarantined in world.store.quarantine.list()} == {
        "tickets/keys",
        "tickets/done",
        "resources/ended",
    }
    with pytest.raises(CorruptDocument):
        world.store.keys.create_once("k", "body", lambda number: Ticket(id=number))


def test_leftovers_in_tmp_are_noted_and_removed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a file that a dead process staged, when checked, then a note; when repaired, then it is gone."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    (world.store.root / "tmp" / f"{int(gone.stdout)}-1").touch()
    status, text = fsck(world, capsys)
    assert (status, "note tmp/" in text) == (0, True)
    assert fsck(world, capsys, "--repair")[0] == 0
    assert os.listdir(world.store.root / "tmp") == []


def test_a_lost_resource_occupies_the_numbers_that_its_document_still_shows(world: World) -> None:
    """Given a corrupt resource at the start, when others start, then its number, counter and place are not assigned."""
    known = world.leader.mirror.snapshot.resources[2]
    path = world.store.resources.path(2)
    path.write_bytes(path.read_bytes()[:-200])
    world.restart()
    for number in [resource.id for resource in world.resources()]:
        world.store.commit(
            Batch([Put(world.leader.mirror.snapshot.resources[number].replace(state=ResourceState.DELETE_REQUEST))])
        )
    world.leader.load()
    world.until(lambda: [found.id > 4 for found in world.resources()] == [True, True], "two other resources")
    assert world.leader.mirror.snapshot.by_pool.living["vm"] == 3
    assert known.id_in_pool not in [resource.id_in_pool for resource in world.resources()]
    assert known.counters["address"] not in [resource.counters["address"] for resource in world.resources()]


def test_a_lost_resource_of_which_nothing_is_known_counts_everywhere(world: World) -> None:
    """Given an emptied resource without ticket, when the server starts, then no pool starts one more than it may."""
    (spare, *_) = [found.id for found in world.resources() if world.leader.mirror.snapshot.holder(found.id) is None]
    world.store.resources.path(spare).write_bytes(b"")
    world.restart()
    for _ in range(3):
        world.turn()
    assert len(world.resources()) == 2
    assert world.leader.mirror.snapshot.lost == {spare}


def test_an_agent_that_goes_bad_is_written_again(world: World) -> None:
    """Given an agent's document, when it becomes corrupt while the server runs, then it is restored."""
    agent = Agent(id=3, group="g")
    world.store.commit(Batch([Put(agent)]))
    world.leader.load()
    world.store.agents.path(3).write_bytes(b"{")
    world.leader.refresh({"agents": {3}})
    assert world.store.agents.get(3) == agent


def test_repair_as_root_leaves_files_to_their_owner(template: World) -> None:
    """Given a folder of another user, when root repairs it, then all that is new there belongs to that user."""
    if os.geteuid() != 0:
        pytest.skip("only root can act for others")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        state = shutil.copytree(template.folder / "state", Path(folder) / "state")
        (state / "tickets/open/3.json").write_bytes(b"")
        (state / "locks/leader").unlink(missing_ok=True)
        for path in [state, *state.rglob("*")]:
            os.chown(path, 12345, 12345)
        child = Child(lambda send, root: send(main(["fsck", root, "--repair"])), str(state))
        assert child.finish() == [0]
        assert {path.stat().st_uid for path in state.rglob("*")} == {12345}


def test_an_ended_resource_is_put_back_whole(world: World) -> None:
    """Given an ended resource that lost only its frame, when repaired, then it is there again, to be archived."""
    path = world.store.resources.archive_path(1)
    known: Resource = world.store.resources.read(1)
    path.write_bytes(path.read_bytes().rstrip()[:-1])
    repair(world.store.root, world.settings.log_dir, world.clock())
    assert world.store.resources.read(1) == known


def test_an_unreadable_file_in_quarantine_blocks_no_repair(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two lost tickets, one of which the disk refuses to read, when repaired, then the other is put back."""
    before = world.store.tickets.path(2).read_bytes()
    for number in (2, 3):
        path = world.store.tickets.path(number)
        path.write_bytes(path.read_bytes().rstrip()[:-1])
    read = Disk.read

    def refuse(files: Disk, path: Path) -> bytes | None:
        if path.name.startswith("tickets-open-3."):
            raise DiskError(str(path), OSError(errno.EIO, os.strerror(errno.EIO)))
        return read(files, path)

    monkeypatch.setattr(Disk, "read", refuse)
    status, text = fsck(world, capsys, "--repair")
    assert status == 1
    assert "left as it is, since it cannot be read: Input/output error" in text
    assert world.store.tickets.path(2).read_bytes() == before
    (quarantined,) = (quarantined for quarantined in world.store.quarantine.list() if quarantined.key == "3")
    assert world.store.quarantine.path(quarantined).exists()


def test_an_agent_in_quarantine_is_missed_until_its_ticket_is_settled(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a corrupt agent that was not restored, when checked, then a fault; once its ticket is over, a note."""
    world.store.agents.path(3).write_bytes(b"")
    world.restart()
    status, text = fsck(world, capsys)
    assert (status, "fault quarantine/agents-3." in text) == (1, True)
    world.close(3)
    world.until(lambda: world.store.tickets.get(3) is None, "the settling")
    status, text = fsck(world, capsys)
    assert (status, "note quarantine/agents-3." in text) == (0, True)
