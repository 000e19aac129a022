"""Hooks without processes: each ends as its command says, at once, and what it did to the farm is remembered.

Runs, what they made and a journal of them are in a folder of their own: like detached processes they outlive the
scheduler, and they die with the machine.
"""

import json
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec

from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.run_id import Consumer, RunId
from functions.timed.hook_runs import HookRun
from state.documents import HookKind, TicketState
from state.host.machine import boot_id
from tests.chaos.disk import unseen_open


class SimHooks:
    """A HookRunner; each line of its journal is passed to `noted`.

    Commands: `exit N`, `fails ID` (exits 1 for this resource only), `print WORDS`, `cut` (killed half way), `hang`
    (ends on request).
    """

    def __init__(
        self,
        folder: Path,
        state: Path,
        clock: Callable[[], float],
        noted: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._folder = folder
        self._state = state
        self._clock = clock
        self._noted = noted
        self._waiting: list[HookRun] = []
        for name in ("runs", "things"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def place(self) -> str:
        """Where the runs are, in which boot: as the hooks of a real scheduler say it."""
        status = (self._state / "runs").stat()
        return f"{boot_id()} {status.st_dev} {status.st_ino}"

    def start(self, run: HookRun) -> None:
        self._waiting.append(run)

    def launch(self, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Start what waits: only now does it exist outside of this process."""
        waiting, self._waiting = self._waiting, []
        for run in waiting:
            self._note(run)
            outcome = self._outcome(run)
            pair = msgspec.json.encode((run, outcome if run.command != "hang" else None))
            (self._folder / "runs" / run.id).write_bytes(pair)
        return False

    def _outcome(self, run: HookRun) -> Outcome:
        word, _, rest = run.command.partition(" ")
        status = int(rest) if word == "exit" else 0
        if word == "fails" and run.environment.get("RESALLOC_ID") == rest:
            status = 1
        cut = "killed by signal 9" if word == "cut" else None
        name = run.environment.get("RESALLOC_NAME", "")
        thing = self._folder / "things" / name
        if run.kind is HookKind.ALLOC and status == 0:
            thing.touch()
        if run.kind is HookKind.TERMINATE and status == 0 and cut is None:
            thing.unlink(missing_ok=True)
        return Outcome(
            run=run.id,
            kind=run.kind,
            started_at=self._clock(),
            ended_at=self._clock(),
            exit=None if cut else status,
            cut_off=cut,
            output=(rest if word == "print" else name).encode() if run.output_limit is not None else None,
        )

    def _note(self, run: HookRun) -> None:
        """Write down that a hook begins, and which ticket had its resource open at this moment."""
        resource = int(run.environment.get("RESALLOC_ID", "0"))
        holders = []
        for path in (self._state / "tickets/open").glob("*.json"):
            with unseen_open(path, "rb") as file:
                ticket = json.loads(file.read())
            if ticket["resource"] == resource and ticket["state"] == TicketState.OPEN:
                holders.append(ticket["id"])
        line = {
            "run": run.id,
            "kind": run.kind,
            "resource": resource,
            "name": run.environment.get("RESALLOC_NAME"),
            "pool": run.pool,
            "number": run.environment.get("RESALLOC_ID_IN_POOL"),
            "holders": holders,
            "good": not run.command.startswith(("exit 1", "cut")),
        }
        if self._noted is not None:
            self._noted(line)
        with (self._folder / "journal").open("a") as journal:
            journal.write(json.dumps(line) + "\n")

    def _runs(self) -> list[tuple[HookRun, Outcome | None]]:
        return [
            msgspec.json.decode(path.read_bytes(), type=tuple[HookRun, Outcome | None])
            for path in sorted((self._folder / "runs").iterdir())
        ]

    def finished(self, consumer: Consumer | None = None) -> list[tuple[HookRun, Outcome]]:
        ended = [(run, outcome) for run, outcome in self._runs() if outcome is not None]
        return [each for each in ended if consumer in (None, RunId.parse(each[0].id).consumer)]

    def forget(self, run: str) -> None:
        (self._folder / "runs" / run).unlink(missing_ok=True)

    def under_way(self, kind: HookKind | None = None) -> Collection[str]:
        runs = [run for run, _ in self._runs()] + self._waiting
        return [run.id for run in runs if kind in (None, run.kind)]

    def probe(self) -> None:
        pass

    def notice(self, names: Collection[str]) -> None:
        pass

    def needs_probe(self) -> bool:
        return False

    def end_hanging(self) -> None:
        """Let what hangs come to a good end."""
        for run, outcome in self._runs():
            if outcome is None:
                good = msgspec.structs.replace(run, command="exit 0")
                (self._folder / "runs" / run.id).write_bytes(msgspec.json.encode((good, self._outcome(good))))

    @staticmethod
    def lay_out(folder: Path, journal: list[dict[str, Any]]) -> None:
        """Write to `folder` what is left of these runs after a reboot: no run, but all that was made."""
        (folder / "things").mkdir(parents=True)
        (folder / "journal").write_text("".join(json.dumps(line) + "\n" for line in journal))
        for line in journal:
            thing = folder / "things" / str(line["name"])
            if line["kind"] == HookKind.ALLOC and line["good"]:
                thing.touch()
            elif line["kind"] == HookKind.TERMINATE and line["good"]:
                thing.unlink(missing_ok=True)

    def things(self) -> set[str]:
        """The names of all that exists."""
        return set(os.listdir(self._folder / "things"))

    def journal(self) -> list[dict[str, Any]]:
        """All hooks that ever began, in order."""
        journal = self._folder / "journal"
        return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
