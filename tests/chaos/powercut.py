"""Power cuts: all that a working server does to its disk is recorded, then the power is cut after each operation.

Of what was not synced any part may be lost (`cuts.py`). On every disk that can be left, a server starts after the
reboot: what was acknowledged before the cut must be there. That the syncs are needed is shown by leaving out each.
"""

import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import state.files.ids
from functions.leader_view import View
from state.documents import TicketState
from state.files.store import FileStore
from tests.chaos import checks, cuts
from tests.chaos.children import WORKERS, fast_folder, in_child, reboot, side_by_side
from tests.chaos.disk import Operation, meddled
from tests.chaos.report import Report
from tests.chaos.simhooks import SimHooks
from tests.chaos.transitions import AGENTS, REUSING, send_granted
from tests.chaos.world import LATER, Send, World

POOLS = f"""{REUSING}
bad:
  max: 1
  cmd_new: exit 0
  cmd_delete: exit 1
  tags: [B]
handed_on:
  max: 1
  cmd_new: exit 0
  cmd_delete: exit 0
  reuse_opportunity_time: 100
  tags: [C]
"""
NOT_VITAL = {
    "folder in _write_format": "without FORMAT, the next start writes it again",
    "folder in create_reserved": "without its ticket, an agent takes it again",
    "file in sync": "events that are lost are written again, for documents show them",
    "folder in sync": "the same",
    "folder in archive_all": "a ticket that is not archived any more is released already, as its turn shows",
}
"""Syncs that nothing which was promised depends on, and why."""
SHARED = ("_synced", "_sync", "_do")
"""Functions of the program that sync for several others: those are the places."""
CEILING_STEP = 3
"""Small, so that ceilings are raised often."""


@dataclass(frozen=True)
class Entry:
    """One thing that happened: an operation on the disk (a sync with where it was asked for), or something that the
    outside world saw, after which it may not be lost.
    """

    operation: Operation | None = None
    site: str = ""
    acknowledged: checks.Fact | None = None
    hook: dict[str, Any] | None = None

    @property
    def is_promise(self) -> bool:
        """Whether the outside world can count on something from here on."""
        return self.hook is not None or (self.acknowledged is not None and self.acknowledged[0] != "tried")


@dataclass(frozen=True)
class Recording:
    """The operations of a server, in order. `root` is where its state folder was; `config` its configuration."""

    root: str
    entries: list[Entry]

    def without(self, site: str) -> "Recording":
        """The same without the syncs that were asked for at one place of the program."""
        return Recording(self.root, [entry for entry in self.entries if entry.site != site])

    @property
    def sites(self) -> Counter[str]:
        """The places that requested syncs, and how often."""
        return Counter(entry.site for entry in self.entries if entry.site)


class Killed(BaseException):
    """The process was killed: nothing of what it still tries reaches the disk."""


class Recorder:
    """Intercepts the file operations of a server and records them all. Syncs are not really made.

    If it is `watched`, another reader reads each ticket at once when it is put in place, as a waiting
    web function may, and reports its content to its client. At operation `dies_at`, the process is killed.
    """

    def __init__(self, folder: Path, entries: list[Entry], watched: bool, dies_at: int | None = None) -> None:
        self.entries = entries
        self.dead = False
        self._watched = watched
        self._root = folder / "state"
        self._dies_at = dies_at
        self._operations = 0
        self._lock = threading.RLock()
        self._reader: FileStore | None = None

    def __call__(self, operation: Operation, do: Callable[..., Any]) -> Any:
        if not operation.changes or operation.name == "spawn":
            if self.dead:
                raise Killed
            return do()
        with self._lock:
            if self._operations == self._dies_at:
                self.dead = True
            if self.dead:
                raise Killed
            self._operations += 1
            site = ""
            result = None
            if operation.name == "fsync":
                site = _site(operation)
            else:
                result = do(operation.data) if operation.name == "write" else do()
            self.entries.append(Entry(operation, site))
            if self._watched:
                self._read_as_client(operation)
        return result

    def send(self, fact: Any) -> None:
        """Write down that this was acknowledged."""
        self.entries.append(Entry(acknowledged=fact))

    def hook(self, line: dict[str, Any]) -> None:
        """Write down that a hook began."""
        self.entries.append(Entry(hook=line))

    def _read_as_client(self, operation: Operation) -> None:
        target = Path(operation.target or operation.path)
        if operation.name not in ("rename", "link") or target.parent != self._root / "tickets/open":
            return
        if self._reader is None:
            self._reader = FileStore(self._root)
        number = int(target.stem)
        ticket = self._reader.tickets.read_durable(number)
        self.send(("seen", number, None))
        if ticket.state is TicketState.CLOSED:
            self.send(("closed", number, None))
        elif ticket.state is TicketState.OPEN and ticket.resource is not None:
            self.send(("granted", number, (ticket.resource, ticket.output)))


def _site(operation: Operation) -> str:
    """Which function asked for a sync, and of what: the first outside of disk.py in state/files."""
    what = "folder" if os.path.isdir(operation.path) else "file"
    frame = sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        name = frame.f_code.co_name
        if os.sep + "state" + os.sep in path and not path.endswith("disk.py") and name not in SHARED:
            return f"{what} in {name}"
        frame = frame.f_back  # type: ignore[assignment]
    raise AssertionError(f"an unknown place syncs {operation.path}")


Step = Callable[[World, Callable[[Any], None]], None]


def record(seed: int | None = None, watched: bool = True) -> Recording:
    """Let a server work through everything; with a seed, in another order, and it is killed and started on the way.

    `watched`: another process reads each ticket as soon as it can be seen, which syncs its folder, too.
    """
    with tempfile.TemporaryDirectory(prefix="powercut-") as folder:
        messages, _ = in_child(_record, Path(folder), seed, watched)
        root = str(Path(folder) / "state")
    assert messages[-1:], "the work did not end"
    assert messages[-1][0] == "done", messages
    return Recording(root, messages[-1][1])


def _record(send: Send, folder: Path, seed: int | None, watched: bool) -> None:
    state.files.ids.CEILING_STEP = CEILING_STEP
    _configure(folder)
    chance = random.Random(seed)
    steps = list(STEPS) if seed is None else chance.choices(STEPS, k=30)
    entries: list[Entry] = []
    while steps:
        recorder = Recorder(folder, entries, watched, dies_at=None if seed is None else chance.randrange(400))
        with meddled(folder / "state", recorder):
            world = World(folder, opened=False, noted=recorder.hook)
            try:
                world.open()
                while steps:
                    steps.pop(0)(world, recorder.send)
            except Killed:
                pass
        if world.process is not None:
            world.process.lease.release()
    send(("done", entries))


def _configure(folder: Path) -> None:
    (folder / "config").mkdir(parents=True)
    (folder / "config/server.yaml").write_text("")
    (folder / "config/pools.yaml").write_text(POOLS)
    (folder / "config/agents.yaml").write_text(AGENTS)


def _create(world: World, send: Send) -> None:
    send(("created", world.take("A").id, None))


def _create_bad(world: World, send: Send) -> None:
    send(("created", world.take("B").id, None))


def _create_with_key(world: World, send: Send) -> None:
    """The first try is sent again, as by a client that got no answer to it; so are those of earlier calls."""
    send(("tried", 0, "key"))
    for _ in range(2):
        send(("created", world.take_once("key", "A").id, "key"))
    other = f"key {time.time_ns()}"
    send(("tried", 0, other))
    send(("created", world.take_once(other, "A").id, other))


def _work(world: World, send: Send) -> None:
    world.quiet()
    send_granted(world, send)


def _close_first(world: World, send: Send) -> None:
    for number in sorted(world.store.tickets.living()):
        ticket = world.store.tickets.get(number)
        if ticket is not None and ticket.state is TicketState.OPEN and ticket.created_at:
            send(("closed", world.close(number).id, None))
            return


def _close_bad(world: World, send: Send) -> None:
    for ticket in world.granted():
        send(("called bad", world.close(ticket.id, bad="it is bad").id, "it is bad"))
        return


def _hand_on(world: World, send: Send) -> None:
    """A resource goes from ticket to ticket of one sandbox, faster than those are archived."""
    numbers = [world.take("C", sandbox="own").id for _ in range(4)]
    for number in numbers:
        send(("created", number, None))
    world.quiet()
    for number in numbers:
        send(("closed", world.close(number).id, None))
        world.turn()
        send_granted(world, send)


def _delete_first(world: World, send: Send) -> None:
    for number in sorted(world.store.resources.living()):
        send(("asked", world.ask_delete(number).resource, None))
        return


def _delete_last(world: World, send: Send) -> None:
    for number in sorted(world.store.resources.living(), reverse=True):
        send(("asked", world.ask_delete(number).resource, None))
        return


def _wait(world: World, send: Send) -> None:
    world.pass_time(LATER)
    world.quiet()


STEPS: tuple[Step, ...] = (
    _create_with_key,
    _create,
    _work,
    _create,
    _create_bad,
    _close_first,
    _work,
    _delete_first,
    _work,
    _close_first,
    _delete_last,
    _work,
    _create_with_key,
    _wait,
    _close_first,
    _work,
    _close_bad,
    _hand_on,
    _work,
)


class Cutter:
    """Cuts the power in a recording, and checks what a server finds after the reboot."""

    def __init__(self, recording: Recording, folder: Path) -> None:
        self.recording = recording
        self._folder = folder

    def moments(self) -> list[int]:
        """How many entries were there when the power was cut: before each sync, when most is at stake, and at the end.

        Between two of these moments nothing becomes more durable, and what was acknowledged is at stake until the next.
        """
        entries = self.recording.entries
        return [index for index, entry in enumerate(entries) if entry.site] + [len(entries)]

    def cut(self, moments: list[int], choose: cuts.Choice, name: str) -> list[str]:
        """Cut the power at these moments, which ascend; faults in words."""
        disk = cuts.Disk()
        done = 0
        faults = []
        for moment in moments:
            for entry in self.recording.entries[done:moment]:
                if entry.operation is not None:
                    disk.apply(entry.operation, self.recording.root)
            done = moment
            what = f"power cut before entry {moment} of {len(self.recording.entries)} ({name})"
            faults += [f"{what}: {fault}" for fault in self._check(disk, moment, choose)]
        return faults

    def _check(self, disk: cuts.Disk, moment: int, choose: cuts.Choice) -> list[str]:
        folder = self._folder / f"cut-{os.getpid()}"
        shutil.rmtree(folder, ignore_errors=True)
        _configure(folder)
        disk.lay_out(folder / "state", choose)
        before = self.recording.entries[:moment]
        SimHooks.lay_out(folder / "farm", [entry.hook for entry in before if entry.hook is not None])
        messages, _ = in_child(
            _start_again, folder, [entry.acknowledged for entry in before if entry.acknowledged is not None]
        )
        wrong = [fact for kind, fact in messages if kind == "wrong"]
        return wrong or ([] if ("done", None) in messages else ["the start after the cut did not end"])


def _start_again(send: Send, folder: Path, acknowledged: list[checks.Fact]) -> None:
    """The machine was booted again: start a server on what is left, run it to quiet, report all that is wrong."""
    reboot("after the cut")
    world = World(folder)
    View(world.store).pools()
    faults = checks.whole(world) + checks.kept(world, acknowledged)
    world.rest()
    faults += checks.kept(world, acknowledged) + checks.lives(world, acknowledged) + checks.holds(world)
    faults += checks.keeps_keys(world, acknowledged) + checks.reuses_no_number(world, acknowledged)
    for fault in faults:
        send(("wrong", fault))
    send(("done", None))


def run(seconds: float, seed: int) -> Report:
    """Every moment of the whole work with every kind of loss, then works in other orders with kills in between.

    Before, each sync of the program is left out in turn, and the loss must be found.
    """
    report = Report("power cuts")
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="powercut-", dir=fast_folder()) as folder:
        alone, watched = record(watched=False), record()
        sites = sorted(alone.sites | watched.sites)
        for what, fact in side_by_side(_leave_out, sites, alone, watched, Path(folder)):
            if what == "needed":
                report.count("syncs left out and missed")
            elif fact not in NOT_VITAL:
                needless = f"the sync of the {fact} can be left out, and nothing is lost"
                report.faults.append(needless if what == "needless" else fact)
        for what, fact in side_by_side(_cut_all, range(WORKERS), watched, Path(folder), until, seed):
            if what == "tried":
                report.count(*fact)
            else:
                report.faults.append(fact)
    return report


def _leave_out(send: Send, site: str, alone: Recording, watched: Recording, folder: Path) -> None:
    missed = any(is_missed(recording, site, folder) for recording in (alone, watched))
    send(("needed" if missed else "needless", site))


def is_missed(recording: Recording, site: str, folder: Path) -> bool:
    """Whether a loss is found when the syncs of one place in the program are left out.

    It is looked for at the moments after each of these syncs, before the next syncs make good for it, and after the
    next promise.
    """
    left_out = recording.without(site)
    cutter = Cutter(left_out, folder)
    moments = cutter.moments()
    promises = [index for index, entry in enumerate(left_out.entries) if entry.is_promise]
    gone = [index for index, entry in enumerate(recording.entries) if entry.site == site]
    tried: set[int] = set()
    for count, index in enumerate(gone):
        following = [moment for moment in moments if moment >= index - count][:5]
        promise = next((promise for promise in promises if promise >= index - count), len(left_out.entries))
        after_promise = [moment for moment in moments if moment > promise][:1]
        for moment in dict.fromkeys([*following, *after_promise]):
            if moment not in tried and cutter.cut([moment], cuts.LEAST, "least"):
                return True
            tried.add(moment)
    return False


def choices(chance: random.Random) -> dict[str, cuts.Choice]:
    """By name: which of the operations that were not synced may have reached the disk."""
    return {"least": cuts.LEAST, "names": cuts.NAMES_ONLY, "most": cuts.MOST, "any": cuts.any_of(chance)}


def _cut_all(send: Send, worker: int, recording: Recording, folder: Path, until: float, seed: int) -> None:
    chance = random.Random(f"{seed} {worker}")
    own = False
    while True:
        cutter = Cutter(recording, folder)
        for name, choose in choices(chance).items():
            moments = list(range(len(recording.entries))) if name == "any" else cutter.moments()
            # The first recording is shared; each worker has its own ones after that.
            for moment in moments if own else moments[worker::WORKERS]:
                if time.monotonic() > until:
                    return
                send(("tried", ("cuts", 1)))
                for wrong in cutter.cut([moment], choose, name):
                    send(("wrong", wrong))
        own = True
        recording = record(chance.randrange(1 << 30))
        send(("tried", ("works with kills", 1)))
