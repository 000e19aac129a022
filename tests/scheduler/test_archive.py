"""An archive that cannot be written is reported once, tried again after a pause, and delays nothing else."""

import errno
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.settings import load_settings
from functions.policy.transitions.ticket import close_ticket
from functions.timed.archive import REFUSED_PAUSE
from functions.timed.measures import Measures
from scheduler.__main__ import make_leader
from scheduler.hooks import Hooks
from scheduler.process import Process
from scheduler.turns import CLEANUP_PERIOD
from scheduler.watch import Watch
from state.documents import Intent, IntentKind, Resource, ResourceState, Ticket
from state.files.store import FileStore
from tests.waiting import until

POOLS = """
reused: {cmd_new: echo a, cmd_delete: 'true', max: 1, max_prealloc: 1, tags: [a], reuse_opportunity_time: 1000}
plain: {cmd_new: echo b, cmd_delete: 'true', max: 2, max_prealloc: 1, tags: [b]}
"""


class Farm:
    """A real scheduler, turned by hand, whose pauses pass as the test says: `uptime` are its seconds."""

    def __init__(self, store: FileStore, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.uptime = 0.0
        self.process: Process | None = None
        (folder / "pools.yaml").write_text(POOLS)
        self.start()

    def start(self) -> None:
        """Start a scheduler, after the one before was dropped as if killed."""
        self.stop()
        environment = {
            "CONFIG_DIR": str(self.folder),
            "RESALLOC_STATE_DIR": str(self.store.root),
            "RESALLOC_LOG_DIR": str(self.folder),
        }
        hooks = Hooks(self.store.root / "runs", self.folder / "log", self.folder, dict(os.environ), time.time, 10)
        hooks.adopt()
        lease = self.store.lead()
        lease.acquire()
        leader = make_leader(FileStore(self.store.root), load_settings(environment), hooks, Measures())
        watch = Watch(self.store, self.store.root / "runs")
        self.process = Process(leader, hooks, watch, lease, lambda: self.uptime)

    def stop(self) -> None:
        if self.process is not None:
            self.process.watch.close()
            self.process.lease.release()
            self.process = None

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Turn until the condition holds, a second of its own for each turn."""

        def turned() -> object:
            assert self.process is not None
            self.uptime += 1
            self.process.turns.turn(self.process.inbox.take(0.05))
            return condition()

        until(turned, what=what)

    def serve(self, tag: str, sandbox: str) -> Ticket:
        """A new ticket, once it has a resource."""
        made = self.store.tickets.create(lambda number: Ticket(id=number, tags=(tag,), sandbox=sandbox))
        self.until(lambda: self.store.tickets.read(made.id).resource, f"the resource of ticket {made.id}")
        return self.store.tickets.read(made.id)

    def close(self, ticket: int) -> None:
        self.store.tickets.update(ticket, lambda found: close_ticket(found, time.time()))

    def resource(self, number: int | None) -> Resource:
        return self.store.resources.read(number or 0)

    def rests(self) -> bool:
        """Whether no hook runs, nothing is to be shown and nothing changes any more."""
        assert self.process is not None
        leader = self.process.leader
        return not (leader.hooks.under_way() or leader.mirror.changed or self.process.watch.wait(0.3))

    def shown(self) -> list[str]:
        return json.loads((self.store.root / "view" / "pools.json").read_bytes()).get("not_archived", [])


@pytest.fixture
def farm(store: FileStore, tmp_path: Path) -> Iterator[Farm]:
    farm = Farm(store, tmp_path)
    yield farm
    farm.stop()


def refuse(store: FileStore, how: str, archive: str) -> Path:
    """Let nothing be moved to the first subfolder of an archive, not by root either."""
    path = store.root / archive / "0"
    path.symlink_to("/proc" if how == "another file system" else store.root / "nowhere")
    return path


@pytest.mark.parametrize("how", ["a link to nowhere", "another file system"])
@pytest.mark.parametrize("archive", ["tickets/done", "resources/ended"])
def test_an_unwritable_archive_is_logged_once_and_blocks_nothing(
    farm: Farm, caplog: pytest.LogCaptureFixture, how: str, archive: str
) -> None:
    """Given an archive that cannot be written, when much is done and ends, then all of it is done, one line of the log
    reports it, and it is shown; when the archive can be written, all goes there.
    """
    caplog.set_level(logging.INFO)
    path = refuse(farm.store, how, archive)
    ended = []
    for _ in range(3):
        ticket = farm.serve("b", "s")
        farm.close(ticket.id)
        farm.until(lambda ticket=ticket: farm.resource(ticket.resource).state is ResourceState.ENDED, "its end")
        ended.append(ticket)
    farm.until(lambda: farm.process.leader.mirror.snapshot.by_pool.spares["plain"], "a spare")
    spare = next(number for number in farm.process.leader.mirror.snapshot.by_pool.spares["plain"])
    farm.store.intents.create(lambda id: Intent(id=id, kind=IntentKind.DELETE_RESOURCE, resource=spare))
    farm.until(lambda: farm.resource(spare).state is ResourceState.ENDED, "the delete that was asked for")
    farm.until(farm.shown, "a word of it")
    assert [line.split(":")[0] for line in farm.shown()] == [f"{archive}/0"]
    assert caplog.text.count("finished documents cannot be moved to") == 1
    assert f"cannot be moved to {archive}/0" in caplog.text
    assert "trying again in" not in caplog.text
    assert not list(path.glob("*.json"))

    path.unlink()
    farm.uptime += REFUSED_PAUSE
    farm.until(lambda: not farm.shown(), "the end of it")
    assert not {ticket.id for ticket in ended} & {*farm.store.tickets.living()}
    assert not {ticket.resource for ticket in ended} & {*farm.store.resources.living()}
    assert caplog.text.count(f"finished documents can be moved to {archive}/0 again") == 1


@pytest.mark.parametrize("killed", [False, True])
def test_each_ticket_releases_its_resource_once_while_none_can_be_archived(farm: Farm, killed: bool) -> None:
    """Given an archive that cannot be written, when tickets have one resource in turn, then each releases it once."""
    path = refuse(farm.store, "a link to nowhere", "tickets/done")
    first = farm.serve("a", "s")
    farm.close(first.id)
    second = farm.serve("a", "s")
    assert second.resource == first.resource
    farm.close(second.id)
    for _ in range(2):
        other = farm.serve("b", "other")
        farm.close(other.id)
        if killed:
            farm.start()
    assert farm.resource(first.resource).releases_counter == 2
    assert {first.id, second.id} <= {*farm.store.tickets.living()}
    path.unlink()
    farm.uptime += REFUSED_PAUSE
    farm.until(lambda: not [*farm.store.tickets.living()], "all tickets in the archive")
    found = farm.resource(first.resource)
    assert (found.releases_counter, found.released_ticket, found.state) == (2, second.id, ResourceState.UP)
    assert farm.serve("a", "s").resource == first.resource


def test_archiving_is_retried_only_after_a_pause(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an archive that cannot be written, when turns follow each other, then it is tried once in ten seconds."""
    refuse(farm.store, "a link to nowhere", "tickets/done")
    farm.close(farm.serve("b", "s").id)
    farm.until(lambda: farm.process.leader.mirror.not_archived, "the first try")
    tries = []
    archive_all = farm.process.leader.store.tickets.archive_all
    monkeypatch.setattr(
        farm.process.leader.store.tickets, "archive_all", lambda keys: (tries.append(farm.uptime), archive_all(keys))[1]
    )
    began = farm.uptime
    farm.until(lambda: farm.uptime >= began + 3 * REFUSED_PAUSE, "half a minute")
    assert len(tries) in (2, 3)


def test_the_present_reason_is_shown_at_rest(farm: Farm) -> None:
    """Given an archive that cannot be written, when all is quiet and the reason becomes another, then that is shown."""
    path = refuse(farm.store, "a link to nowhere", "tickets/done")
    farm.close(farm.serve("b", "s").id)
    farm.until(farm.shown, "the first word of it")
    farm.uptime += CLEANUP_PERIOD
    farm.until(farm.rests, "rest, with nothing to clean up soon")
    assert farm.shown() == [f"tickets/done/0: {os.strerror(errno.EEXIST)}"]
    path.unlink()
    refuse(farm.store, "another file system", "tickets/done")
    farm.uptime += REFUSED_PAUSE
    farm.until(lambda: farm.shown() == [f"tickets/done/0: {os.strerror(errno.EXDEV)}"], "the other reason")


def test_a_failed_sync_of_the_archive_ends_the_process(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a disk that cannot keep what was moved to the archive, when that is tried, then the scheduler ends."""
    ticket = farm.serve("b", "s")
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("tickets/done/0"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    farm.close(ticket.id)
    assert farm.process is not None
    farm.process.bell.ring()
    farm.process.loop(0.05)
    assert farm.process.failed
