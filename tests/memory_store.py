"""A store in memory, without files: the second implementation, which proves that the protocol asks for none."""

import itertools
import math
import os
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from state.documents import Agent, Document, Event, Intent, PoolRecord, Resource, Ticket
from state.errors import Conflict, CorruptDocument, LockTimeout, NotFound, StateError, StoreUnavailable
from state.sample import Sample, Use
from state.store import (
    Batch,
    Call,
    ChangedKeys,
    Contents,
    Create,
    Line,
    Piece,
    Position,
    Read,
    Shown,
    Swept,
    Update,
)
from state.survey import GROUP_SIZE, Survey

D = TypeVar("D", bound=Document)
K = TypeVar("K", int, str)


class MemoryDocuments(Generic[D, K]):
    """Living documents as JSON, so that every reader decodes its own copy."""

    def __init__(self, store: "MemoryStore", form: type[D], kinds: str) -> None:
        self.store = store
        self.form = form
        self.kind = form.__name__.lower()
        self.kinds = kinds
        self.contents: dict[Any, bytes] = {}
        self._cached: tuple[int, tuple[D, ...]] = -1, ()
        self._version = 0

    def write(self, document: D) -> None:
        self.contents[document.key] = document.to_json()
        self.changed(document.key)

    def remove(self, key: Any) -> None:
        if self.contents.pop(key, None) is not None:
            self.changed(key)

    def changed(self, key: Any) -> None:
        self._version += 1
        self.store.tell(self.kinds, key)

    def place(self, key: K) -> str:
        return f"{self.kind} no. {key} in memory"

    def get(self, key: K) -> D | None:
        content = self.contents.get(key)
        return None if content is None else self.form.from_json(content)

    def read(self, key: K) -> D:
        document = self.get(key)
        if document is None:
            raise NotFound(self.kind, key)
        return document

    def living(self) -> Iterator[K]:
        yield from tuple(self.contents)

    def all(self) -> tuple[D, ...]:
        if self._cached[0] != self._version:
            found = [self.form.from_json(self.contents[key]) for key in sorted(self.contents)]
            self._cached = self._version, tuple(found)
        return self._cached[1]


class MemoryNumbered(MemoryDocuments[D, int]):
    next = 1

    def create(self, make: Callable[[int], D]) -> D:
        document = make(self.reserve(1)[0])
        self.write(document)
        return document

    def create_all(self, makes: Sequence[Callable[[int], D]]) -> list[D]:
        return [self.create(make) for make in makes]

    def create_reserved(self, document: D) -> bool:
        if document.key in self.contents:
            return False
        self.write(document)
        return True

    def reserve(self, count: int) -> range:
        numbers = range(self.next, self.next + count)
        self.next += count
        return numbers


class MemoryFinished(MemoryNumbered[D]):
    def __init__(self, store: "MemoryStore", form: type[D], kinds: str) -> None:
        super().__init__(store, form, kinds)
        self.finished: dict[int, tuple[float, bytes]] = {}

    def read(self, key: int) -> D:
        if key in self.finished:
            return self.form.from_json(self.finished[key][1])
        return super().read(key)

    def read_with_durability(self, key: int) -> tuple[D, bool]:
        return self.read(key), True

    def read_durable(self, key: int) -> D:
        return self.read(key)

    def update(self, key: int, change: Callable[[D], D]) -> D:
        found = self.read(key)
        document = change(found)
        if document is not found and key in self.finished:
            self.finished[key] = time.time(), document.to_json()
        elif document is not found:
            self.write(document)
        return document

    def do_all(self, calls: Sequence[Call[D]]) -> list[D | StateError]:
        return [self._do(call) for call in calls]

    def _do(self, call: Call[D]) -> D | StateError:
        try:
            match call:
                case Create(make=make):
                    return self.create(make)
                case Read(key=key):
                    return self.read(key)
                case _:
                    return self.update(call.key, call.change)
        except StateError as error:
            return error

    def archive_all(self, keys: Iterable[int]) -> tuple[set[int], dict[str, StoreUnavailable]]:
        archived = set(keys)
        for key in archived & self.contents.keys():
            self.finished[key] = time.time(), self.contents[key]
            self.remove(key)
        return archived, {}

    def archived(self) -> Iterator[int]:
        yield from tuple(self.finished)

    def finished_since(self, time: float) -> Iterator[D]:
        for key in sorted(self.finished, reverse=True):
            at, content = self.finished[key]
            if at >= time:
                yield self.form.from_json(content)

    def thin_out(self, before: float) -> int:
        newest = max((key // GROUP_SIZE for key in self.finished), default=0)
        old = [key for key, (at, _) in self.finished.items() if at < before and key // GROUP_SIZE < newest]
        for key in old:
            del self.finished[key]
        return len(old)


class MemoryKeys:
    def __init__(self, tickets: MemoryFinished[Ticket]) -> None:
        self._tickets = tickets
        self._known: dict[str, tuple[int, str, float]] = {}

    def create_once(self, key: str, body: str, make: Callable[[int], Ticket]) -> tuple[Ticket, bool]:
        if key in self._known:
            number, known, _ = self._known[key]
            if known != body:
                raise Conflict("ticket", number, "its key was sent with another body")
            return self._tickets.read(number), False
        ticket = self._tickets.create(make)
        self._known[key] = ticket.id, body, time.time()
        return ticket, True

    def forget_before(self, time: float) -> Iterator[CorruptDocument | None]:
        for key in [key for key, (_, _, at) in self._known.items() if at < time]:
            del self._known[key]
            yield None


class MemoryEvents:
    def __init__(self, store: "MemoryStore") -> None:
        self._store = store
        self._lines: list[Line] = []

    def recover(self) -> str | None:
        return None

    def append(self, events: Sequence[Event], now: float) -> None:
        day = max(datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d"), self.end().day)
        for event in events:
            count = len(self._lines)
            self._lines.append(Line(Position(day, count), Position(day, count + 1), msgspec.json.encode(event)))
        self._store.tell("events", day)

    def sync(self) -> None:
        pass

    def end(self) -> Position:
        return self._lines[-1].end if self._lines else Position("0000-00-00", 0)

    def forwards(self, after: Position, needle: bytes = b"") -> Iterator[Piece]:
        found = [line for line in self._lines if line.end > after]
        if found:
            yield Piece(found[-1].end, [line for line in found if needle in line.content])

    def backwards(self, needle: bytes = b"", before: Position | None = None, strict: bool = False) -> Iterator[Piece]:
        found = [line for line in reversed(self._lines) if before is None or line.end <= before]
        if found:
            yield Piece(found[-1].start, [line for line in found if needle in line.content])

    def thin_out(self, before: float) -> int:
        last = datetime.fromtimestamp(before, UTC).strftime("%Y-%m-%d")
        days = {line.end.day for line in self._lines if line.end.day < last}
        self._lines = [line for line in self._lines if line.end.day not in days]
        return len(days)


class MemorySamples:
    def __init__(self) -> None:
        self._samples: dict[str, tuple[Sample, ...]] = {}

    def add(self, pool: str, sample: Sample) -> None:
        found = (*self._samples.get(pool, ()), sample)
        self._samples[pool] = tuple(sorted(found, key=lambda each: each.at))

    def read(self, pool: str) -> tuple[Sample, ...]:
        return self._samples.get(pool, ())

    def read_use(self, pool: str) -> tuple[Use, ...]:
        return tuple(Use(each.at, each.max, each.taken) for each in self.read(pool))

    def stamp(self, pool: str) -> Hashable | None:
        return len(self.read(pool)) or None


class MemoryChanges:
    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = kinds
        self._changes: ChangedKeys = {}
        self._reader, self._writer = os.pipe()

    def tell(self, kind: str, key: int | str) -> None:
        if kind in self.kinds:
            if not self._changes:
                os.write(self._writer, b".")
            self._changes.setdefault(kind, set()).add(key)  # type: ignore[union-attr]

    def wait(self, seconds: float | None = None) -> ChangedKeys:
        until = math.inf if seconds is None else time.monotonic() + seconds
        while not self._changes and time.monotonic() < until:
            time.sleep(0.001)
        changes, self._changes = self._changes, {}
        if changes:
            os.read(self._reader, 1)
        return changes

    def fileno(self) -> int:
        return self._reader

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)
        self.kinds = ()


class MemoryLease:
    def __init__(self, store: "MemoryStore") -> None:
        self._store = store
        self.term = 0

    def acquire(self, seconds: float = 0, poll: float = 0.25) -> None:
        if self._store.leader not in (None, self):
            raise LockTimeout("the leader's role in memory", seconds)
        self._store.leader = self
        self._store.terms += 1
        self.term = self._store.terms

    def release(self) -> None:
        if self._store.leader is self:
            self._store.leader = None

    def held_until(self) -> float:
        return math.inf if self._store.leader is self else -math.inf


class MemoryStore:
    """See `state.store.Store`."""

    name = "memory"
    corruption = None

    def __init__(self) -> None:
        self.tickets = MemoryFinished(self, Ticket, "tickets")
        self.resources = MemoryFinished(self, Resource, "resources")
        self.pools: MemoryDocuments[PoolRecord, str] = MemoryDocuments(self, PoolRecord, "pools")
        self.intents = MemoryNumbered(self, Intent, "intents")
        self.agents = MemoryNumbered(self, Agent, "agents")
        self.keys = MemoryKeys(self.tickets)
        self.events = MemoryEvents(self)
        self.samples = MemorySamples()
        self.leader: MemoryLease | None = None
        self.terms = 0
        self._subscribers: list[tuple[MemoryChanges, Sequence[str]]] = []
        self._shown: dict[str, tuple[int, bytes]] = {}
        self._stamps = itertools.count()
        self._committing = False

    def tell(self, kind: str, key: int | str) -> None:
        for changes, own in self._subscribers:
            if not (self._committing and kind in own):
                changes.tell(kind, key)

    def read_all(self) -> Contents:
        return Contents(
            tickets=[*self.tickets.all()],
            resources=[*self.resources.all()],
            records=[*self.pools.all()],
            intents=[*self.intents.all()],
            agents=[*self.agents.all()],
        )

    def commit(self, batch: Batch) -> list[Ticket]:
        conflicts = []
        self._committing = True
        for write in batch.writes:
            if isinstance(write, Update) and self.tickets.get(write.base.id) != write.base:
                conflicts.append(write.base)
                continue
            homes: dict[type, Any] = {
                Ticket: self.tickets, Resource: self.resources, PoolRecord: self.pools, Agent: self.agents,
            }  # fmt: skip
            homes[type(write.document)].write(write.document)
        for number in batch.removed_intents:
            self.intents.remove(number)
        for number in batch.removed_agents:
            self.agents.remove(number)
        self._committing = False
        return conflicts

    def changes(self, *kinds: str, own: Sequence[str] = ()) -> MemoryChanges:
        changes = MemoryChanges((*kinds, *own))
        self._subscribers.append((changes, own))
        return changes

    def lead(self) -> MemoryLease:
        return MemoryLease(self)

    def has_leader(self) -> bool:
        return self.leader is not None

    def show(self, name: str, content: bytes) -> None:
        self._shown[name] = next(self._stamps), content

    def shown(self, name: str, known: Hashable = None) -> Shown | None:
        if name not in self._shown:
            return None
        stamp, content = self._shown[name]
        return Shown(stamp, None if stamp == known else content)

    def sweep(self, now: float, ticket_retention: float, resource_retention: float) -> Swept:
        tickets = self.tickets.thin_out(now - ticket_retention)
        return Swept(tickets, self.resources.thin_out(now - resource_retention), leftovers=0, quarantined=0)

    def check_writable(self) -> None:
        pass

    def survey(self, now: float) -> Survey:
        return Survey(
            tickets={self.tickets.place(found.id): found for found in self.tickets.all()},
            resources={self.resources.place(found.id): found for found in self.resources.all()},
            records={self.pools.place(found.name): found for found in self.pools.all()},
            thinned={"tickets": frozenset(), "resources": frozenset()},
        )
