"""The part of a survey about everything that is no document: events, samples, views, counters and hook runs."""

import os
import re
from typing import Any

import msgspec

from state.documents import AgentState, Event
from state.files import ids
from state.files.disk import Disk, DiskError
from state.files.events import EventFiles
from state.files.layout import is_file
from state.files.samples import ENDING
from state.host import locks
from state.host.machine import boot_id
from state.store import Position
from state.survey import Survey

_BEING_MADE = 2.0
"""Seconds for which the hook run of a new file counts as running."""
_KINDS = {"ticket": "tickets", "resource": "resources"}
_MOVED = re.compile(r"(tickets|resources|agents)(?:/[a-z]+)?/(\d{1,18})")
"""The origin of something in quarantine."""
_NUMBER = re.compile(rb"\d+\n?")
_JSON: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class SideFiles:
    """Reads these files, and records in a survey what is there and what is wrong with it."""

    def __init__(self, disk: Disk, found: Survey, now: float) -> None:
        self.disk = disk
        self.found = found
        self.now = now

    def read_events(self) -> None:
        """All lines, for they name documents that must be somewhere."""
        events = EventFiles(self.disk)
        days = events.days()
        names = {events.path(day).name for day in days}
        self.found.strays += [f"events/{name}" for name in self.disk.names(events.folder) if name not in names]
        corrupt = dict.fromkeys(days, 0)
        for piece in events.forwards(Position("", 0)):
            for line in piece.lines:
                event = line.event()
                if event is None:
                    corrupt[line.end.day] += 1
                else:
                    self._note_event(event)
        for day, number in corrupt.items():
            name = f"events/{events.path(day).name}"
            if day in events.unreadable:
                self.found.unreadable[name] = events.unreadable[day]
            elif number:
                self.found.garbled[name] = f"{number} of its lines cannot be read"
            elif events.is_torn(day):
                self.found.garbled[name] = "its last line is incomplete"

    def _note_event(self, event: Event) -> None:
        happened = self.found.happened
        number = event.resource if event.kind == "resource" else event.ticket
        if event.kind in _KINDS and number is not None:
            happened.add((_KINDS[event.kind], number))
        elif event.kind == "agent" and number is not None:
            (happened.discard if event.after == AgentState.ENDED else happened.add)(("agents", number))
        elif event.kind == "document" and (moved := _MOVED.fullmatch(event.before or "")):
            # It is found in quarantine, or an operator has removed it from there.
            happened.discard((moved[1], int(moved[2])))

    def read_samples(self) -> None:
        for name in sorted(self.disk.names(self.disk.root / "samples")):
            place = f"samples/{name}"
            if not name.endswith(ENDING):
                self.found.strays.append(place)
                continue
            lines = (self._read(place) or b"").split(b"\n")
            corrupt = sum(_fault_of_json(line) is not None for line in lines if line)
            if corrupt:
                self.found.garbled[place] = f"{corrupt} of its lines cannot be read"

    def read_views(self) -> None:
        for name in sorted(self.disk.names(self.disk.root / "view")):
            place = f"view/{name}"
            content = self._read(place)
            fault = None if content is None else _fault_of_json(content)
            if fault is not None:
                self.found.garbled[place] = f"it is no JSON ({fault})"

    def shown_waiting(self) -> list[int]:
        """The tickets that the leader showed as waiting."""
        content = self._read("view/waiting.json")
        try:
            groups = msgspec.json.decode(content or b"{}", type=dict[str, Any]).get("groups", [])
            return [number for group in groups for number in group["ids"] if isinstance(number, int)]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            return []

    def read_runs(self) -> None:
        folder = self.disk.root / "runs"
        names = sorted(self.disk.names(folder))
        first = {name for name in names if name.endswith(".run")}
        self.found.strays += [f"runs/{name}" for name in names if f"{name.rpartition('.')[0]}.run" not in first]
        for name in names:
            run, _, ending = name.rpartition(".")
            path = folder / name
            if ending == "run" and is_file(path):
                try:
                    # Not while it may be about to be locked: this check would be in the way.
                    new = path.stat().st_mtime > self.now - _BEING_MADE
                    self.found.runs[run] = new or locks.is_held(path)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self.found.unreadable[f"runs/{name}"] = error.strerror or str(error)
                    continue
                if not new:
                    self._read_run(run)

    def _read_run(self, run: str) -> None:
        for ending in ("run", "group", "result"):
            name = f"runs/{run}.{ending}"
            if not is_file(self.disk.root / name):
                continue
            try:
                content = self.disk.read(self.disk.root / name)
            except DiskError as refused:
                self.found.unreadable[name] = refused.reason
                continue
            if content is None:
                continue
            fault = _fault_of_json(content) if ending == "run" else None
            if ending != "run" and not _NUMBER.fullmatch(content):
                fault = "it holds no number"
            if fault is not None:
                self.found.corrupt[name] = fault

    def read_counter(self, name: str) -> None:
        """The counter and the ceiling of "tickets", "resources" or "intents"."""
        found, file = self.found, f"ids/{name}.ceiling"
        content = self._read(file)
        if content is not None:
            if content.strip().isdigit():
                found.ceilings[name] = int(content)
            else:
                found.wrong[file] = "it holds no number"
        elif file not in found.wrong and os.path.lexists(self.disk.root / "ids" / f"{name}.next"):
            found.wrong[file] = "it is missing"
        content = self._read(f"ids/{name}.next")
        counter = ids.read_counter(content) if content else None
        if content is not None and counter is None:
            found.wrong[f"ids/{name}.next"] = "it does not hold what a counter holds"
        elif counter is not None:
            found.nexts[name] = counter[1]
            if counter[0] == boot_id() and counter[2] > found.ceilings.get(name, counter[2]):
                found.wrong[file] = f"it is below the last one of this boot, {counter[2]}"

    def _read(self, name: str) -> bytes | None:
        try:
            return self.disk.read(self.disk.root / name)
        except DiskError as refused:
            self.found.wrong[name] = f"it cannot be read: {refused.reason}"
            return None


def _fault_of_json(content: bytes) -> str | None:
    """Why it is no JSON; None when it is."""
    try:
        _JSON.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return str(error) or type(error).__name__
    return None
