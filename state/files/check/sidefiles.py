"""The part of a survey that looks at all that is no document: events, samples, views, counters and hook runs."""

import os
import re
from typing import TYPE_CHECKING, Any

import msgspec

from state.documents import AgentState, Event
from state.errors import StoreUnavailable
from state.files import locks
from state.files.boot import boot_id
from state.files.events import EventFiles, Place
from state.files.ids import read_counter
from state.files.layout import is_file
from state.files.samples import ENDING
from state.files.staging import Files

if TYPE_CHECKING:
    from state.files.check.survey import Survey

_BEING_MADE = 2.0
"""Seconds for which the run of a new file counts as going on."""
_KINDS = {"ticket": "tickets", "resource": "resources"}
_MOVED = re.compile(r"(tickets|resources|agents)(?:/[a-z]+)?/(\d{1,18})")
"""Where what is in quarantine now stood."""
_NUMBER = re.compile(rb"\d+\n?")
_JSON: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class SideFiles:
    """Looks at them, and writes down in a survey what is there and what is wrong with it."""

    def __init__(self, files: Files, found: "Survey", now: float) -> None:
        self.files = files
        self.found = found
        self.now = now

    def look_at_events(self) -> None:
        """All lines: they tell of documents that must be somewhere."""
        events = EventFiles(self.files)
        days = events.days()
        names = {events.path(day).name for day in days}
        self.found.strays += [f"events/{name}" for name in self.files.names(events.folder) if name not in names]
        damaged = dict.fromkeys(days, 0)
        for piece in events.forwards(Place("", 0)):
            for line in piece.lines:
                event = line.event()
                if event is None:
                    damaged[line.place.day] += 1
                else:
                    self._note_event(event)
        for day, number in damaged.items():
            name = f"events/{events.path(day).name}"
            if day in events.unreadable:
                self.found.unreadable[name] = events.unreadable[day]
            elif number:
                self.found.garbled[name] = f"{number} of its lines cannot be read"
            elif events.is_torn(day):
                self.found.garbled[name] = "its last line has no end"

    def _note_event(self, event: Event) -> None:
        happened = self.found.happened
        number = event.resource if event.kind == "resource" else event.ticket
        if event.kind in _KINDS and number is not None:
            happened.add((_KINDS[event.kind], number))
        elif event.kind == "agent" and number is not None:
            (happened.discard if event.after == AgentState.ENDED else happened.add)(("agents", number))
        elif event.kind == "document" and (moved := _MOVED.fullmatch(event.before or "")):
            # It is seen in quarantine, or an operator has removed it there.
            happened.discard((moved[1], int(moved[2])))

    def look_at_samples(self) -> None:
        for name in sorted(self.files.names(self.files.root / "samples")):
            place = f"samples/{name}"
            if not name.endswith(ENDING):
                self.found.strays.append(place)
                continue
            lines = (self._read(place) or b"").split(b"\n")
            damaged = sum(_fault_of_json(line) is not None for line in lines if line)
            if damaged:
                self.found.garbled[place] = f"{damaged} of its lines cannot be read"

    def look_at_views(self) -> None:
        for name in sorted(self.files.names(self.files.root / "view")):
            place = f"view/{name}"
            content = self._read(place)
            fault = None if content is None else _fault_of_json(content)
            if fault is not None:
                self.found.garbled[place] = f"it is no JSON ({fault})"

    def shown_waiting(self) -> list[int]:
        """Tickets that the leader showed as waiting."""
        content = self._read("view/waiting.json")
        try:
            groups = msgspec.json.decode(content or b"{}", type=dict[str, Any]).get("groups", [])
            return [number for group in groups for number in group["ids"] if isinstance(number, int)]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            return []

    def look_at_runs(self) -> None:
        folder = self.files.root / "runs"
        names = sorted(self.files.names(folder))
        first = {name for name in names if name.endswith(".run")}
        self.found.strays += [f"runs/{name}" for name in names if f"{name.rpartition('.')[0]}.run" not in first]
        for name in names:
            run, _, ending = name.rpartition(".")
            path = folder / name
            if ending == "run" and is_file(path):
                try:
                    # Not while it may be about to be locked: who looks would be in the way.
                    new = path.stat().st_mtime > self.now - _BEING_MADE
                    self.found.runs[run] = new or locks.is_held(path)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self.found.unreadable[f"runs/{name}"] = error.strerror or str(error)
                    continue
                if not new:
                    self._look_at_run(run)

    def _look_at_run(self, run: str) -> None:
        for ending in ("run", "group", "result"):
            name = f"runs/{run}.{ending}"
            if not is_file(self.files.root / name):
                continue
            try:
                content = self.files.read(self.files.root / name)
            except StoreUnavailable as refused:
                self.found.unreadable[name] = refused.error.strerror or str(refused.error)
                continue
            if content is None:
                continue
            fault = _fault_of_json(content) if ending == "run" else None
            if ending != "run" and not _NUMBER.fullmatch(content):
                fault = "it holds no number"
            if fault is not None:
                self.found.damaged[name] = fault

    def look_at_counter(self, name: str) -> None:
        """Of "tickets", "resources" or "intents"."""
        found, file = self.found, f"ids/{name}.ceiling"
        content = self._read(file)
        if content is not None:
            if content.strip().isdigit():
                found.ceilings[name] = int(content)
            else:
                found.wrong[file] = "it holds no number"
        elif file not in found.wrong and os.path.lexists(self.files.root / "ids" / f"{name}.next"):
            found.wrong[file] = "it is gone"
        content = self._read(f"ids/{name}.next")
        counter = read_counter(content) if content else None
        if content is not None and counter is None:
            found.wrong[f"ids/{name}.next"] = "it does not hold what a counter holds"
        elif counter is not None:
            found.nexts[name] = counter[1]
            if counter[0] == boot_id() and counter[2] > found.ceilings.get(name, counter[2]):
                found.wrong[file] = f"it is below the last one of this boot, {counter[2]}"

    def _read(self, name: str) -> bytes | None:
        try:
            return self.files.read(self.files.root / name)
        except StoreUnavailable as refused:
            self.found.wrong[name] = f"it cannot be read: {refused.error.strerror or refused.error}"
            return None


def _fault_of_json(content: bytes) -> str | None:
    """What keeps it from being JSON, None when nothing does."""
    try:
        _JSON.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return str(error) or type(error).__name__
    return None
