"""Every instant of every transition: kill it, fill the disk, forbid, fail and cut short at its Nth file operation.

Each attempt is a process of its own on a copy of a prepared folder; afterwards a new process starts on what is left,
runs to quiet and checks everything.
"""

import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from state.errors import StateError, StoreFrozen
from tests.chaos import checks
from tests.chaos.children import WORKERS, fast_folder, in_child, side_by_side
from tests.chaos.disk import Operation, meddled
from tests.chaos.faults import Fault, Injector, faults_of
from tests.chaos.report import Report
from tests.chaos.transitions import TRANSITIONS, Transition
from tests.chaos.world import Send, World

CLOCK = 2_000_000_000.0
"""The time (Unix seconds) of clients' actions, so that they write the same each time."""


def run(seconds: float, seed: int) -> Report:
    """Every fault at every operation of every transition, as far as the time goes, then chains of kills."""
    report = Report("every instant of every transition")
    until = time.monotonic() + seconds
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="instants-", dir=fast_folder()) as folder:
        places = [Place(transition, Path(folder) / str(index)) for index, transition in enumerate(TRANSITIONS)]
        points = [(place, number, fault) for place in places for number, fault in place.points()]
        report.count("transitions", len(places))
        report.count("operations", sum(len(place.operations) for place in places))
        # In any order, so that a short run sees something of everything.
        chance.shuffle(points)
        shares = [points[start::WORKERS] for start in range(WORKERS)]
        for what, fact in side_by_side(_try_all, shares, places, until, seed):
            if what == "tried":
                report.count(fact)
            else:
                report.faults.append(fact)
    tried = report.tried.get("points", 0)
    if tried < len(points):
        report.figures["short of time"] = f"{tried} of {len(points)} points"
    return report


def _try_all(
    send: Send, points: list[tuple["Place", int, Fault]], places: list["Place"], until: float, seed: int
) -> None:
    for place, number, fault in points:
        if time.monotonic() > until:
            return
        send(("tried", "points"))
        for wrong in place.attempt([(number, fault)]):
            send(("wrong", wrong))
    chance = random.Random(f"{seed} {os.getpid()}")
    while time.monotonic() < until:
        place = chance.choice(places)
        chain = [(chance.randrange(2 * len(place.operations)), Fault.KILL) for _ in range(chance.randint(2, 4))]
        send(("tried", "chains of kills"))
        for wrong in place.attempt(chain):
            send(("wrong", wrong))


class Place:
    """One transition in its folder: the prepared state, and what the transition does when nothing breaks."""

    def __init__(self, transition: Transition, folder: Path) -> None:
        self.transition = transition
        self._folder = folder
        self._template = folder / "template"
        folder.mkdir()
        messages, _ = in_child(_prepare, transition, self._template)
        assert messages == ["prepared"], messages
        self._copy()
        messages, _ = in_child(_dry, transition, self._copied)
        assert messages[-1:], "the transition did not end"
        assert messages[-1][0] == "done", messages
        self.operations: list[Operation] = messages[-1][1]
        self._old, self._new = _documents(self._template), _documents(self._copied)

    @property
    def _copied(self) -> Path:
        return self._folder / f"copy-{os.getpid()}"

    def _copy(self) -> None:
        shutil.rmtree(self._copied, ignore_errors=True)
        shutil.copytree(self._template, self._copied)

    def points(self) -> Iterator[tuple[int, Fault]]:
        """Every fault at every operation."""
        for number, operation in enumerate(self.operations):
            for fault in faults_of(operation):
                yield number, fault

    def attempt(self, chain: list[tuple[int, Fault]]) -> list[str]:
        """Break the transition, and its recovery as often as the chain goes on, then recover; faults in words."""
        self._copy()
        what = f"{self.transition.name}: " + ", then ".join(self._describe(*link) for link in chain)
        acknowledged: list[checks.Fact] = []
        for index, (number, fault) in enumerate(chain):
            messages, status = in_child(_break, self.transition, self._copied, number, fault, index > 0)
            killed = status == -signal.SIGKILL
            acknowledged += [fact for kind, fact in messages if kind == "acknowledged"]
            wrong = [fact for kind, fact in messages if kind == "wrong"]
            ended = any(kind == "done" for kind, _ in messages)
            if self.transition.client and index == 0:
                wrong += self._neither_old_nor_new()
            if wrong or not (ended or killed):
                return [f"{what}: {each}" for each in wrong or [f"ended with {status}"]]
        messages, _ = in_child(_recover, self.transition, self._copied, acknowledged)
        wrong = [fact for kind, fact in messages if kind == "wrong"]
        if not wrong and ("done", None) not in messages:
            wrong = ["the recovery did not end"]
        return [f"{what}: afterwards: {each}" for each in wrong]

    def _neither_old_nor_new(self) -> list[str]:
        """Documents that are neither as before nor as after the transition."""
        found = _documents(self._copied)
        paths = found.keys() | self._old.keys()
        wrong = [path for path in paths if found.get(path) not in (self._old.get(path), self._new.get(path))]
        return [f"{path} is neither old nor new: {found.get(path)!r}" for path in wrong]

    def _describe(self, number: int, fault: Fault) -> str:
        operation = str(self.operations[number]) if number < len(self.operations) else ""
        return f"{fault} (operation {number}: {operation.replace(str(self._copied) + '/state/', '')})"


def _prepare(send: Send, transition: Transition, folder: Path) -> None:
    world = World(folder, transition.pools, real=transition.real)
    with meddled(folder / "state", Injector()):
        transition.prepare(world)
    send("prepared")


def _dry(send: Send, transition: Transition, folder: Path) -> None:
    injector = Injector()
    _attempt(send, transition, folder, injector, False)
    send(("done", injector.operations))


def _break(send: Send, transition: Transition, folder: Path, number: int, fault: Fault, recovery: bool) -> None:
    injector = Injector(number, fault)
    _attempt(send, transition, folder, injector, recovery)
    send(("done", None))


def _attempt(send: Send, transition: Transition, folder: Path, injector: Injector, recovery: bool) -> None:
    """Act through the injector, and check at once what an error left behind."""
    refused: StateError | None = None
    try:
        world = World(folder, real=transition.real, opened=transition.opened or recovery)
        if transition.client and not recovery:
            world.stopped_at = CLOCK
        with meddled(folder / "state", injector):
            try:
                if recovery:
                    world.rest()
                else:
                    transition.act(world, lambda fact: send(("acknowledged", fact)))
            except StateError as error:
                refused = error
        if refused is not None and not transition.opened:
            return
        for fault in checks.whole(world) if not transition.corrupted else ():
            send(("wrong", fault))
        sync_failed = injector.happened is not None and injector.happened.name == "fsync"
        if transition.client and sync_failed:
            for what in _acknowledged(world):
                send(("wrong", f"after a failed sync {what} was acknowledged"))
        staged = [path.name for path in (folder / "state" / "tmp").glob(f"{os.getpid()}-*")]
        if staged and refused is not None and injector.happened.name != "unlink":  # type: ignore[union-attr]
            send(("wrong", f"{refused!r} left {staged} in tmp/"))
    except BaseException:
        send(("wrong", f"no typed error: {traceback.format_exc()}"))


def _acknowledged(world: World) -> Iterator[str]:
    """Which calls of clients and operators get an answer that they may count on."""
    calls: dict[str, Callable[[], object]] = {
        "a ticket": lambda: world.take("A"),
        "a ticket with a key": lambda: world.take_once("another key", "A"),
        "a close": lambda: world.close(min(world.store.tickets.living())),
        "a grant": lambda: world.store.tickets.read_durable(min(world.store.tickets.living())),
        "an intent": lambda: world.ask_delete(1),
    }
    for what, call in calls.items():
        try:
            call()
        except StoreFrozen:
            continue
        except ValueError:
            # There is no living ticket.
            continue
        yield what


def _recover(send: Send, transition: Transition, folder: Path, acknowledged: list[checks.Fact]) -> None:
    """Start again on what is left, run to quiet, and report all that is wrong."""
    try:
        world = World(folder, real=transition.real)
        if transition.corrupted:
            transition.act(world, lambda fact: None)
        faults = checks.whole(world) if not transition.corrupted else []
        faults += checks.kept(world, acknowledged)
        world.rest()
        faults += checks.whole(world) + checks.kept(world, acknowledged) + checks.lives(world, acknowledged)
        faults += [fault for fault in checks.holds(world) if not _expected(transition, fault)]
        faults += checks.keeps_keys(world, acknowledged) + checks.reuses_no_number(world, acknowledged)
        if transition.client:
            transition.act(world, lambda fact: None)
        for fault in faults:
            send(("wrong", fault))
        send(("done", None))
    except BaseException:
        send(("wrong", traceback.format_exc()))


def _documents(folder: Path) -> dict[str, bytes]:
    state = folder / "state"
    return {
        str(path.relative_to(state)): path.read_bytes()
        for name in ("tickets", "resources", "pools", "intents")
        for path in (state / name).rglob("*.json")
    }


def _expected(transition: Transition, fault: str) -> bool:
    """Faults that corruption leaves behind: itself, and documents that no longer show when they began."""
    return transition.corrupted and (fault.startswith("in quarantine") or fault.endswith("has no line"))
