"""Files become corrupt while a server runs, and before it starts: it works on and reports them, and fsck finds them."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from config.settings import load_settings
from functions.app import create_app
from state.host import locks
from tests.system.farm import SHIM, Farm
from tests.timed.corruption import Corrupt, empty, flip_value
from tests.waiting import until

POOLS = "echo: {max: 3, max_prealloc: 2, max_starting: 3, cmd_new: echo $RESALLOC_ID, cmd_delete: 'true', tags: [A]}"


@pytest.fixture
def served(farm: Farm) -> Farm:
    """A farm at rest: ticket 1 has a resource, ticket 2 waits for what no pool offers."""
    # A second worker might still be about to open the folder when a test takes it away, and would make it anew.
    farm.set_server("workers: 1")
    farm.set_pools(POOLS)
    farm.start()
    farm.wait(farm.take("A"))
    farm.take("Z")
    until(lambda: len(farm.up()) == 3, what="three resources")
    # Statistics are written a moment later.
    record = farm.state / "pools" / "echo.json"
    until(
        lambda: json.loads(record.read_bytes())["startup_samples"] == 3, what="their starts in the record of the pool"
    )
    return farm


def fsck(farm: Farm, *options: str) -> subprocess.CompletedProcess[str]:
    """resalloc-maint fsck, beside the server."""
    command = [SHIM / "resalloc-maint", "--connection", farm.url, "fsck", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def contents(folder: Path, places: list[str]) -> dict[str, bytes]:
    """The contents of these files, as far as they exist."""
    return {place: (folder / place).read_bytes() for place in places if (folder / place).exists()}


def replace(path: Path, put: Callable[[], None], folder: Path) -> None:
    """Move what is at `path` into `folder`, and put something else in its place before the server makes it anew."""

    def replaced() -> bool:
        path.rename(folder / f"away-{uuid.uuid4()}")
        try:
            put()
        except FileExistsError:
            return False
        return True

    until(replaced, what=f"the place of {path} while the server is slower")


def quarantine(farm: Farm) -> list[str]:
    found: list[str] = farm.get("/healthz")["quarantine"]
    return found


@pytest.mark.parametrize("corrupt", [empty, flip_value])
def test_a_document_that_becomes_corrupt_is_reported_and_written_again_at_once(served: Farm, corrupt: Corrupt) -> None:
    """Given a running server, when a ticket, a resource and a pool are emptied, or a bit of each flips, then all three
    are as before.
    """
    taken = served.ticket(1)["resource"]
    places = ["tickets/open/1.json", "tickets/open/2.json", f"resources/live/{taken}.json", "pools/echo.json"]
    before = {place: (served.state / place).read_bytes() for place in places}
    for place in places:
        corrupt(served.state / place)
    until(lambda: contents(served.state, places) == before, what="all documents")
    reported = until(lambda: len(found := quarantine(served)) == 4 and found, what="healthz")
    assert sorted(line.partition(":")[0] + ".json" for line in reported) == sorted(places)
    log = (served.logs / "main.log").read_text()
    assert all(f"{place.removesuffix('.json')} is corrupt (" in log for place in places)
    assert served.wait(1) == f"{taken}\n".encode()
    done = fsck(served)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("note quarantine/") == 4
    assert done.stdout.endswith("faults: 0, notes: 4\n")


@pytest.mark.thorough
def test_what_is_removed_is_written_again_at_once(served: Farm) -> None:
    """Given a running server, when a ticket and a resource are removed, then both are as before."""
    places = [
        served.state / "tickets/open/2.json",
        served.state / f"resources/live/{served.ticket(1)['resource']}.json",
    ]
    before = {path: path.read_bytes() for path in places}
    for path in places:
        path.unlink()
    until(lambda: all(path.exists() for path in places), what="both documents")
    assert {path: path.read_bytes() for path in places} == before
    assert fsck(served).returncode == 0


@pytest.mark.thorough
def test_the_quarantine_is_reported_after_a_restart_until_its_files_are_removed(served: Farm) -> None:
    """Given a resource's empty document at a start, when restarted twice, then it is reported until removed."""
    spare = next(found["id"] for found in served.up() if found["id"] != served.ticket(1)["resource"])
    served.kill("scheduler")
    (served.state / f"resources/live/{spare}.json").write_bytes(b"")
    for _ in range(2):
        served.start_scheduler()
        (line,) = until(lambda: quarantine(served), what="healthz")
        assert line.startswith(f"resources/live/{spare}: ")
        assert len(served.up()) == 2
        done = fsck(served, "--json")
        assert done.returncode == 1
        (fault,) = json.loads(done.stdout)["faults"]
        assert fault["kind"] == "quarantined"
        served.terminate("scheduler")
    served.start_scheduler()
    (quarantined,) = (served.state / "quarantine").iterdir()
    quarantined.unlink()
    until(lambda: quarantine(served) == [], what="an empty quarantine")
    # It may still exist, and only its logs say so.
    assert "(missing resource)" in fsck(served).stdout
    for log in (served.logs / "hooks").glob(f"{spare:06d}_*"):
        log.unlink()
    assert fsck(served).returncode == 0


@pytest.mark.thorough
def test_fsck_beside_a_busy_server_sees_no_ghosts(served: Farm) -> None:
    """Given tickets that come and go all the time, when checked again and again, then nothing is wrong."""
    loop = f"while :; do id=$({SHIM}/resalloc --connection {served.url} ticket --tag A) && " \
           f"{SHIM}/resalloc --connection {served.url} ticket-wait $id && " \
           f"{SHIM}/resalloc --connection {served.url} ticket-close $id || exit; done"  # fmt: skip
    clients = [
        subprocess.Popen(["sh", "-c", loop], stdout=subprocess.DEVNULL, start_new_session=True) for _ in range(3)
    ]
    try:
        for _ in range(3):
            done = fsck(served)
            assert (done.returncode, done.stdout.count("fault ")) == (0, 0), done.stdout
    finally:
        for client in clients:
            os.killpg(client.pid, signal.SIGKILL)
            client.wait()


@pytest.mark.thorough
def test_fsck_says_when_it_cannot_decide(served: Farm) -> None:
    """Given no server, or one check at a time, when checked, then the exit status is 2."""
    served.terminate("web")
    done = subprocess.run(
        [SHIM / "resalloc-maint", "--connection", served.url, "fsck"],
        env={**os.environ, "RESALLOC_RETRY_SECONDS": "0"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "curl: " in done.stderr


@pytest.mark.thorough
def test_a_leader_whose_lock_was_removed_takes_it_again(served: Farm) -> None:
    """Given a leader, when the file of its lock is removed, then it soon leads by a new one."""
    lock = served.state / "locks/leader"
    lock.unlink()
    served.wait(served.take("A"))
    until(lambda: locks.is_held(lock), what="the leader's lock")
    assert served.get("/healthz")["scheduler"] == "ok"


@pytest.mark.thorough
@pytest.mark.parametrize("running", [True, False])
def test_a_folder_in_the_place_of_the_leaders_lock_does_not_block_a_leader(
    served: Farm, tmp_path: Path, running: bool
) -> None:
    """Given a folder in the place of the leader's lock, while it leads or before it starts, then it is quarantined."""
    lock = served.state / "locks/leader"
    if not running:
        served.terminate("scheduler")
    replace(lock, lock.mkdir, tmp_path)
    if not running:
        served.start_scheduler()
    until(lambda: lock.is_file() and locks.is_held(lock), what="the leader's lock")
    served.close(1)
    assert served.wait(served.take("A")) != b""
    assert "locks/leader was no file; moved to quarantine/" in (served.logs / "main.log").read_text()
    until(lambda: [line.partition(":")[0] for line in quarantine(served)] == ["locks/leader"], what="healthz")


@pytest.mark.thorough
def test_a_corrupt_counter_is_reported_and_no_number_is_used_twice(served: Farm) -> None:
    """Given a running server, when a counter is corrupt, then takes go on above it, and an unusable one is reported."""
    before = served.take("Z")
    counter = served.state / "ids/tickets.next"
    counter.write_bytes(b"damaged")
    between = served.take("Z")
    counter.unlink()
    counter.mkdir()
    assert before < between < served.take("Z")
    until(lambda: "ids/tickets.next" in "".join(quarantine(served)), what="healthz")
    assert "in quarantine: ids/tickets.next: corrupt (" in (served.logs / "main.log").read_text()


@pytest.mark.thorough
def test_a_newer_layout_is_refused(served: Farm) -> None:
    """Given a newer FORMAT, when either piece starts, then it refuses it and touches nothing."""
    served.terminate("scheduler")
    served.terminate("web")
    (served.state / "FORMAT").write_text("2\n")
    before = {path: path.read_bytes() for path in served.state.rglob("*") if path.is_file()}
    command = [sys.executable, "-m", "scheduler"]
    done = subprocess.run(command, env=served.environment, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "layout 2, this program knows up to 1" in done.stderr
    app = create_app(load_settings(served.environment))
    assert app.test_client().get("/tickets").status_code == 503
    assert {path: path.read_bytes() for path in served.state.rglob("*") if path.is_file()} == before


def test_folders_that_go_away_are_filled_again(served: Farm, tmp_path: Path) -> None:
    """Given a running server, when folders of documents go away, then they are made anew with what was in them."""
    for number, gone in enumerate(("tickets/open", "resources/live")):
        folder = served.state / gone
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        folder.rename(tmp_path / f"away-{number}")
        until(lambda folder=folder, before=before: contents(folder, list(before)) == before, what=gone)
    # Both pieces watch the new folders.
    ticket = served.take("A")
    served.close(1)
    assert served.wait(ticket) != b""


@pytest.mark.thorough
@pytest.mark.parametrize("running", [True, False])
def test_a_file_in_the_place_of_a_folder_is_quarantined(served: Farm, tmp_path: Path, running: bool) -> None:
    """Given a file in the place of the folder of resources, while the server runs or before it starts, when a scheduler
    leads, then the file is kept, the folder is there again, and tickets are served.
    """
    folder = served.state / "resources/live"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    if not running:
        served.terminate("scheduler")
    (tmp_path / "file").write_bytes(b"no folder")
    replace(folder, lambda: folder.hardlink_to(tmp_path / "file"), tmp_path)
    if running:
        until(lambda: contents(folder, list(before)) == before, what="the resources")
    else:
        done = fsck(served)
        assert "fault resources/live/: a file is in its place (folder)" in done.stdout
        served.start_scheduler()
    until(lambda: list((served.state / "quarantine").glob("folder-*")), what="the file in quarantine")
    served.close(1)
    assert served.wait(served.take("A")) != b""
    assert "resources/live was a file, not a folder; moved to quarantine/" in (served.logs / "main.log").read_text()


@pytest.mark.thorough
def test_a_state_folder_that_was_moved_away_comes_back_as_it_was(served: Farm, tmp_path: Path) -> None:
    """Given a running server, when its whole folder is away for a while, then nothing is begun in its place."""
    before = {path.name: path.read_bytes() for path in (served.state / "tickets/open").iterdir()}
    served.state.rename(tmp_path / "away")
    served.set_pools(POOLS)
    until(lambda: "trying again" in (served.logs / "main.log").read_text(), what="a word in the log")
    assert served.status("-d", "tag=A", "/tickets") == 503
    assert not served.state.exists()
    (tmp_path / "away").rename(served.state)
    until(lambda: served.status("/healthz") == 200, what="health")
    assert {path.name: path.read_bytes() for path in (served.state / "tickets/open").iterdir()} == before
    ticket = served.take("A")
    served.close(1)
    assert served.wait(ticket) != b""
