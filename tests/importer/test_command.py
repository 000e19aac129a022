"""The command `resalloc-import`, as an administrator runs it."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from state.documents import ResourceState, TicketState
from state.errors import UnknownFormat
from state.files.restore import UNFINISHED
from state.files.store import FileStore
from tests.importer.old import Old, new_sqlite
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "scheduler.importer"]


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run(
        [*COMMAND, *arguments], check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


def fill(old: Old) -> None:
    """A small farm: a ticket of each kind, a resource in each state."""
    old.pool("vm", startup_success_rate=0.5)
    old.resource(1, "ENDED", data=b"gone")
    old.resource(2, "UP", {"a": 1}, number=0, ticket_id=3, data=b"ip", sandbox="s3", sandboxed_since=1000.0)
    old.resource(3, "UP", {"a": 1}, number=1, ticket_id=4, data=b"ip", sandbox="s4", sandboxed_since=1000.0)
    old.resource(4, "STARTING", number=2)
    old.resource(5, "DELETE_REQUEST", number=3)
    old.ticket(1, "CLOSED", resource_id=1)
    old.ticket(2, "OPEN", ["nowhere"])
    old.ticket(3, "OPEN", ["a"], resource_id=2, sandbox="s3")
    old.ticket(4, "CLOSED", ["a"], resource_id=3, sandbox="s4")
    old.ticket(5, "FAILED")
    old.ticket(6, "OPEN", resource_id=5)


REPORT = """\
odd: resource 4 (vm_00000004) is STARTING: it will be deleted, as after a restart
odd: ticket 6 is OPEN, but its resource 5 is DELETE_REQUEST: it will fail
tickets: 6 (1 closed, 1 closed with a resource to release, 1 failed, 2 open with a resource, 1 waiting)
resources: 5 (2 DELETE_REQUEST, 1 ENDED, 2 UP)
pools: 1 with statistics
next ids: ticket 7, resource 6
pools that pools.yaml must have, with their resources: vm (4)
"""


def check(root: Path) -> None:
    """What was imported is what `fill` put in."""
    store = FileStore(root)
    contents = store.read_all()
    assert {ticket.id: ticket.state for ticket in contents.tickets} == {
        2: TicketState.OPEN,
        3: TicketState.OPEN,
        4: TicketState.CLOSED,
        5: TicketState.FAILED,
        6: TicketState.OPEN,
    }
    assert {resource.id: resource.state for resource in contents.resources} == {
        2: ResourceState.UP,
        3: ResourceState.UP,
        4: ResourceState.DELETE_REQUEST,
        5: ResourceState.DELETE_REQUEST,
    }
    assert store.tickets.read(1).output == b"gone"
    assert [record.startup_success_rate for record in contents.records] == [0.5]
    assert contents.corrupt == []


def test_imports_a_live_database_and_reports(old: Old, tmp_path: Path) -> None:
    fill(old)
    done = run(old.url, "--state-dir", tmp_path / "state")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{REPORT}imported into {tmp_path}/state\n"
    check(tmp_path / "state")


def test_imports_from_postgresql(old_in_postgres: Old, tmp_path: Path) -> None:
    fill(old_in_postgres)
    done = run(old_in_postgres.url, "--state-dir", tmp_path / "state")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(REPORT)
    check(tmp_path / "state")


def test_a_dry_run_shows_the_same_and_writes_nothing(old: Old, tmp_path: Path) -> None:
    fill(old)
    before = sorted(tmp_path.iterdir())
    done = run(old.url, "--state-dir", tmp_path / "state", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{REPORT}dry run: nothing was written to {tmp_path}/state\n"
    assert sorted(tmp_path.iterdir()) == before


def test_writes_where_the_server_is_configured_to_keep_its_state(old: Old, tmp_path: Path) -> None:
    (tmp_path / "server.yaml").write_text("state_dir: kept\ndb_url: sqlite:///old\n")
    done = run(old.url, CONFIG_DIR=str(tmp_path), RESALLOC_STATE_DIR="")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "kept" / "FORMAT").read_text() == "1\n"


def test_a_second_import_is_refused(old: Old, tmp_path: Path) -> None:
    fill(old)
    run(old.url, "--state-dir", tmp_path / "state")
    for arguments in ([], ["--dry-run"]):
        done = run(old.url, "--state-dir", tmp_path / "state", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        first, last = done.stderr.splitlines()
        assert first.startswith(f"{tmp_path}/state: it is in use: there is tickets/")
        assert last == "nothing was imported"
    check(tmp_path / "state")


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_contradictions_are_printed_one_per_line_and_nothing_is_written(
    old: Old, tmp_path: Path, arguments: list[str]
) -> None:
    old.resource(5, ticket_id=1)
    old.ticket(1, resource_id=5)
    old.ticket(2, resource_id=5)
    old.resource(6, ticket_id=9, number=1)
    done = run(old.url, "--state-dir", tmp_path / "state", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "resource 6 is taken by ticket 9, and there is no such ticket",
        "tickets 1 and 2 are both OPEN and have the same resource 5",
        "nothing was imported",
    ]
    assert not (tmp_path / "state").exists()


def test_a_file_that_is_no_database_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "db.sqlite").write_text("pools: {}\n" * 100)
    done = run(tmp_path / "db.sqlite", "--state-dir", tmp_path / "state")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{tmp_path}/db.sqlite: cannot be read as a database of resalloc: file is not a database",
        "nothing was imported",
    ]
    assert not (tmp_path / "state").exists()


def test_a_broken_configuration_is_reported(old: Old, tmp_path: Path) -> None:
    (tmp_path / "server.yaml").write_text("port: many\n")
    done = run(old.url, CONFIG_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path}/server.yaml:1: ")


def test_an_unwritable_folder_is_reported(old: Old, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    done = run(old.url, "--state-dir", tmp_path / "state")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"{tmp_path}/state/FORMAT: Not a directory", "nothing was imported"]


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--unknown", "a"]])
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: resalloc-import ")


def test_help_names_all_options() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("DATABASE", "--state-dir DIR", "--dry-run", "odd:"))


def many(path: Path, count: int) -> Old:
    """A database with so many closed tickets, each with its ended resource."""
    old = new_sqlite(path)
    numbers = range(1, count + 1)
    old.put_all("tickets", ["id", "state", "resource_id"], [(id, "CLOSED", id) for id in numbers])
    old.put_all("ticket_tags", ["id", "ticket_id"], [("arch_x86_64", id) for id in numbers])
    rows = [(id, f"vm_{id:08d}", "vm", "ENDED", b"10.0.0.1\n") for id in numbers]
    old.put_all("resources", ["id", "name", "pool", "state", "data"], rows)
    old.connection.close()
    return old


def test_an_import_killed_in_the_middle_is_unusable_until_it_is_repeated(tmp_path: Path) -> None:
    old = many(tmp_path / "db.sqlite", 8_000)
    root = tmp_path / "state"
    process = subprocess.Popen([*COMMAND, old.url, "--state-dir", root], cwd=ROOT, stdout=subprocess.DEVNULL)
    until((root / "resources" / "ended" / "1").exists, what="the import's first thousand files")
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert (root / "FORMAT").read_text() == f"{UNFINISHED}\n"
    with pytest.raises(UnknownFormat):
        FileStore(root)
    done = run(old.url, "--state-dir", root)
    assert (done.returncode, done.stderr) == (0, "")
    store = FileStore(root)
    assert len(list((root / "tickets" / "done").glob("*/*.json"))) == 8_000
    assert len(list((root / "resources" / "ended").glob("*/*.json"))) == 8_000
    assert store.tickets.reserve(1) == range(8_001, 8_002)


def test_ten_thousand_tickets_and_their_resources_cost_little_processor_time(tmp_path: Path) -> None:
    old = many(tmp_path / "db.sqlite", 10_000)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = run(old.url, "--state-dir", tmp_path / "state")
    assert done.returncode == 0
    # Of the program alone: what the disk needs is not the test's to judge.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 5


POOLS = """\
vm:
  max: 4
  max_prealloc: 0
  cmd_new: "false"
  cmd_delete: echo "$RESALLOC_NAME $RESALLOC_ID_IN_POOL" >> {folder}/deleted
  cmd_release: echo "$RESALLOC_NAME" >> {folder}/released
  reuse_opportunity_time: 1000000
  tags: [a]
"""


def test_a_scheduler_goes_on_where_the_old_server_stopped(old: Old, tmp_path: Path) -> None:
    fill(old)
    root = tmp_path / "state"
    (tmp_path / "pools.yaml").write_text(POOLS.format(folder=tmp_path))
    places = {"CONFIG_DIR": str(tmp_path), "RESALLOC_STATE_DIR": str(root), "RESALLOC_LOG_DIR": str(tmp_path / "log")}
    assert run(old.url, **places).returncode == 0
    once = [sys.executable, "-m", "scheduler", "once", "reconcile"]
    subprocess.run(once, cwd=ROOT, env=os.environ | places, check=True, capture_output=True, timeout=60)
    store = FileStore(root)
    assert store.tickets.read(3).state is TicketState.OPEN
    assert store.tickets.read(6).state is TicketState.FAILED
    assert store.tickets.path(2).exists()
    released = store.resources.read(3)
    assert (released.releases_counter, released.sandbox, released.sandboxed_since) == (1, "s4", 1000.0)
    deleted, let_go = tmp_path / "deleted", tmp_path / "released"
    until(lambda: deleted.exists() and len(deleted.read_text().splitlines()) == 2, what="both deletes")
    assert sorted(deleted.read_text().splitlines()) == ["vm_00000004 2", "vm_00000005 3"]
    until(lambda: let_go.exists() and let_go.read_text(), what="the release")
    assert let_go.read_text() == "vm_00000003\n"
