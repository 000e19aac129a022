"""The machine that hooks run on, simulated: a hook ends when and how the model says, and things exist outside."""

from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.run_id import Consumer, RunId
from functions.timed.hook_runs import HookRun
from state.documents import HookKind

EXCLUSIVE = (HookKind.ALLOC, HookKind.RELEASE, HookKind.TERMINATE)
"""Hooks of one resource that never run side by side."""


class Ending(StrEnum):
    """The end of a hook."""

    WELL = "well"
    BADLY = "badly"
    KILLED = "killed"
    TOO_MUCH = "printed too much"
    VANISHED = "its supervisor was killed"


@dataclass
class Started:
    """One hook run on the machine. `listed` is what exists in its pool when it begins."""

    run: HookRun
    started_at: float
    boot: int
    uptime: float
    listed: tuple[str, ...]
    ending: Ending | None = None
    late: bool = False

    @property
    def resource(self) -> int:
        return int(self.run.environment["RESALLOC_ID"])

    @property
    def name(self) -> str:
        return self.run.environment["RESALLOC_NAME"]


class Witness(Protocol):
    """Is called at the instants that matter, and may fail then."""

    def asked(self, run: HookRun) -> None:
        """A scheduler wants this run."""

    def begins(self, run: HookRun) -> None:
        """The hook begins."""

    def clock_says(self, now: float) -> None:
        """The wall clock was set, or went on."""


class Machine:
    """Things that outlive a scheduler: runs, what they made, and the uptime (seconds)."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.boot = 1
        self.uptime = 0.0
        self.runs: dict[str, Started] = {}
        self.things: dict[str, str] = {}
        """All that exists outside, with its pool."""
        self.refusals = 0
        """The number of hooks, from now on, that cannot be started."""
        self.printed: dict[int, bytes] = {}
        """The output of `cmd_new` of a resource, when it succeeded."""
        self.started: set[int] = set()
        self.failed: set[int] = set()
        """Resources whose `cmd_new` failed by itself."""
        self.deletes: Counter[int] = Counter()
        self.unclean: set[int] = set()
        """Resources whose `cmd_release` did not end well."""
        self.failed_checks: Counter[int] = Counter()
        self._names: set[str] = set()

    def launch(self, run: HookRun, now: float) -> Started:
        """Start a run; fails when it must not begin now."""
        self.witness.begins(run)
        listed = tuple(name for name, pool in sorted(self.things.items()) if pool == run.pool)
        started = Started(run, now, self.boot, self.uptime, listed)
        again = run.kind in EXCLUSIVE and started.resource and run.id in self._names
        assert not again, f"run {run.id} is started twice"
        self._names.add(run.id)
        if run.kind in EXCLUSIVE and started.resource:
            others = [each.run.id for each in self.alive() if each.resource == started.resource]
            busy = [each for each in others if self.runs[each].run.kind in EXCLUSIVE]
            assert not busy, f"{run.id} begins while {busy} runs"
        self.runs[run.id] = started
        match run.kind:
            case HookKind.ALLOC:
                self.started.add(started.resource)
                self.things[started.name] = run.pool
            case HookKind.TERMINATE:
                self.deletes[started.resource] += 1
        return started

    def refuses(self, run: HookRun) -> bool:
        """Whether this run cannot be started."""
        if not self.refusals:
            return False
        self.refusals -= 1
        if run.kind is HookKind.RELEASE:
            self.unclean.add(int(run.environment["RESALLOC_ID"]))
        return True

    def alive(self) -> list[Started]:
        """The runs that go on."""
        return [each for each in self.runs.values() if each.ending is None and each.boot == self.boot]

    def end(self, run: str, how: Ending, late: bool = False) -> None:
        """Let a run end; `late`: by its time limit."""
        started = self.runs[run]
        if started.run.output_limit is None and how is Ending.TOO_MUCH:
            how = Ending.KILLED
        started.ending, started.late = how, late
        number = started.resource
        match started.run.kind, how:
            case HookKind.ALLOC, Ending.WELL:
                self.printed[number] = (
                    b"" if number % 5 == 0 else b"%s \xff\0 %f\n" % (started.name.encode(), started.uptime)
                )
            case HookKind.ALLOC, Ending.BADLY:
                self.failed.add(number)
                del self.things[started.name]
            case HookKind.TERMINATE, Ending.WELL:
                self.things.pop(started.name, None)
            case HookKind.RELEASE, _ if how is not Ending.WELL:
                self.unclean.add(number)
            case HookKind.WATCH, _ if how not in (Ending.WELL, Ending.VANISHED):
                self.failed_checks[number] += 1

    def enforce_limits(self) -> None:
        """End what runs for longer than it may."""
        for started in self.alive():
            if self.uptime - started.uptime > started.run.limit:
                self.end(started.run.id, Ending.KILLED, late=True)

    def reboot(self, runs_lost: bool) -> None:
        """End all that runs; things stay. With `runs_lost`, nothing shows that it ever began."""
        for started in self.alive():
            if started.run.kind is HookKind.RELEASE:
                self.unclean.add(started.resource)
        self.boot += 1
        if runs_lost:
            self.runs.clear()

    def outcome(self, run: str, now: float) -> Outcome | None:
        """The result of a run, None while it goes on."""
        started = self.runs[run]
        how = started.ending
        rebooted = started.boot != self.boot
        if how is None and not rebooted:
            return None
        lost = rebooted or how is Ending.VANISHED
        by_itself = how in (Ending.WELL, Ending.BADLY)
        cut_off = None if by_itself else "ended after its time limit" if started.late else str(how)
        output = None
        if how is Ending.WELL and not lost and started.run.output_limit is not None:
            output = (
                "\n".join(started.listed).encode()
                if started.run.kind is HookKind.LIST
                else self.printed[started.resource]
            )
        return Outcome(
            run=run,
            kind=started.run.kind,
            started_at=started.started_at,
            ended_at=max(now, started.started_at),
            exit=None if lost else {Ending.WELL: 0, Ending.BADLY: 1}.get(how or Ending.KILLED, 137),
            cut_off="the machine was restarted" if rebooted else cut_off,
            lost=lost,
            output=output,
        )


class SimulatedHooks:
    """The runner of one scheduler: what waits to be started dies with it, what was started stays on the machine."""

    def __init__(self, machine: Machine, clock: Callable[[], float], step: Callable[[], None]) -> None:
        self._machine = machine
        self._clock = clock
        self._step = step
        self._waiting: deque[HookRun] = deque()
        self._active: dict[str, HookRun] = {}
        self._ended: dict[str, Outcome] = {}

    def place(self) -> str:
        """The place of the runs: on this machine, in this boot."""
        return f"boot-{self._machine.boot}"

    def adopt(self) -> None:
        """Take over what an earlier scheduler started."""
        self._active = {name: started.run for name, started in self._machine.runs.items()}
        self.probe()

    def start(self, run: HookRun) -> None:
        self._machine.witness.asked(run)
        self._waiting.append(run)

    def notice(self, names: Collection[str]) -> None:
        pass

    def needs_probe(self) -> bool:
        return False

    def launch(self, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Start all that waits, one after the other."""
        while self._waiting:
            self._step()
            run = self._waiting.popleft()
            self._active[run.id] = run
            if self._machine.refuses(run):
                now = self._clock()
                why = "cannot be started: no more processes"
                self._ended[run.id] = Outcome(
                    run=run.id, kind=run.kind, started_at=now, ended_at=now, cut_off=why, lost=True
                )
            else:
                self._machine.launch(run, self._clock())
        return False

    def probe(self) -> None:
        """Check the state of each run."""
        self._machine.enforce_limits()
        for name in self._active.keys() - self._ended.keys():
            outcome = self._machine.outcome(name, self._clock())
            if outcome is not None:
                self._ended[name] = outcome

    def finished(self, consumer: Consumer | None = None) -> list[tuple[HookRun, Outcome]]:
        names = [name for name in sorted(self._ended) if consumer in (None, RunId.parse(name).consumer)]
        return [(self._active[name], self._ended[name]) for name in names]

    def forget(self, run: str) -> None:
        self._step()
        self._active.pop(run, None)
        self._ended.pop(run, None)
        self._machine.runs.pop(run, None)

    def under_way(self, kind: HookKind | None = None) -> Collection[str]:
        runs = [*self._waiting, *self._active.values()]
        return [run.id for run in runs if kind in (None, run.kind)]
