"""The Store protocol: what web functions and the scheduler may ask of any store, and the values that they exchange.

`state.files.store.FileStore` implements it over a folder of files. The tests in `tests/state/contract` are the
contract in detail: every store passes all of them. Nothing here knows files: keys are numbers or pool names, a *place*
is a text for people such as `tickets/open/42`.

All methods raise StoreUnavailable when the store cannot be used, and those that write also StoreFrozen.
"""

import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Generic, NamedTuple, Protocol, Self, TypeAlias, TypeVar

import msgspec

from state.documents import Agent, Document, Event, Intent, PoolRecord, Resource, Ticket
from state.errors import CorruptDocument, StateError, StoreUnavailable, UnreadableDocument
from state.sample import Sample, Stamp, Use
from state.survey import Quarantined, Survey

D = TypeVar("D", bound=Document)
D_co = TypeVar("D_co", bound=Document, covariant=True)
K = TypeVar("K", int, str)

# Values: what is asked of tickets


@dataclass(frozen=True)
class Create(Generic[D]):
    """Write a new document with the next number."""

    make: Callable[[int], D]


@dataclass(frozen=True)
class Change(Generic[D]):
    """Replace a document by `change(document)`, alone. A change that returns the same object writes nothing."""

    key: int
    change: Callable[[D], D]


@dataclass(frozen=True)
class Read:
    """Read a document and make sure that it is durable, whichever process wrote it."""

    key: int


Call: TypeAlias = Create[D] | Change[D] | Read


# Values: what the leader writes


@dataclass(frozen=True)
class Put:
    """Put `document` in place of what is there: for documents that only the leader writes."""

    document: Document


@dataclass(frozen=True)
class Update:
    """Replace a ticket that must still equal `base`; otherwise it is a conflict and nothing is written."""

    base: Ticket
    document: Ticket


@dataclass(frozen=True)
class Batch:
    """Writes that are made durable together. They become visible one by one, in this order, each whole.

    `removed_intents` and `removed_agents` are numbers of documents to delete after the writes.
    """

    writes: Sequence[Put | Update] = ()
    removed_intents: Sequence[int] = ()
    removed_agents: Sequence[int] = ()


# Values: what is read


@dataclass(frozen=True)
class Contents:
    """All living documents, the corrupt ones that were quarantined, and those that cannot be read."""

    tickets: list[Ticket] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    records: list[PoolRecord] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)
    corrupt: list[CorruptDocument] = field(default_factory=list)
    unreadable: list[UnreadableDocument] = field(default_factory=list)


@dataclass(frozen=True)
class Dump:
    """All documents for an empty store. New numbers continue above the highest ones (0: none)."""

    tickets: Sequence[Ticket]
    settled: Sequence[Ticket]
    resources: Sequence[Resource]
    ended: Sequence[Resource]
    records: Sequence[PoolRecord]
    highest_ticket: int
    highest_resource: int


@dataclass(frozen=True)
class Swept:
    """How many documents and leftovers a sweep removed."""

    tickets: int
    resources: int
    leftovers: int
    quarantined: int


class Shown(NamedTuple):
    """What the leader shows under a name. `content` is None when the reader knows this stamp already."""

    stamp: Hashable
    content: bytes | None


ChangedKeys: TypeAlias = dict[str, set[int | str] | None]
"""By kind ("tickets", "resources", "pools", "intents", "agents", "events", "corruption") the keys of what changed;
None means that anything of this kind may have changed, so that all has to be read again.
"""


# Values: events


class Position(NamedTuple):
    """A position between two events. It grows with each event; what is in it means nothing outside the store."""

    day: str
    offset: int

    @classmethod
    def at(cls, time: float) -> Self:
        """A position before all events that were written since this time (Unix seconds, or infinite)."""
        if math.isinf(time):
            return cls("9999-99-99" if time > 0 else "0000-00-00", 0)
        return cls(datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d"), 0)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The position that `str` turned into this text; None for any other text."""
        match = _POSITION.fullmatch(text)
        return cls(match[1], int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.day}:{self.offset}"


_POSITION = re.compile(r"(\d{4}-\d{2}-\d{2}):(0|[1-9]\d{0,17})")


class Line(NamedTuple):
    """One event as it was written, and the positions before and after it."""

    start: Position
    end: Position
    content: bytes

    def event(self) -> Event | None:
        """The event; None when the line is corrupt."""
        try:
            event = msgspec.json.decode(self.content, type=Event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return None if event.kind is None else event


class Piece(NamedTuple):
    """Some lines in the order of reading, and the position that reading has reached."""

    reached: Position
    lines: list[Line]


# Protocols


class Documents(Protocol[D_co, K]):
    """The living documents of one kind."""

    @property
    def kind(self) -> str:
        """One of them in a word: "ticket", "resource", "poolrecord", "intent" or "agent"."""

    def place(self, key: K) -> str:
        """Where the living document is, for people: `tickets/open/42`."""

    def get(self, key: K) -> D_co | None:
        """The living document, None when there is none; raises CorruptDocument and NewerDocument."""

    def read(self, key: K) -> D_co:
        """The document, a finished one too; raises NotFound and CorruptDocument (also when it is quarantined)."""

    def living(self) -> Iterator[K]:
        """The keys of all living documents, in no order."""

    def all(self) -> tuple[D_co, ...]:
        """All living documents by key; the same tuple while nothing changes. Corrupt ones are left out.

        Only changed documents are read again. Any thread may call it.
        """


class Numbered(Documents[D, int], Protocol[D]):
    """Documents with numbers that the store assigns: in order, never twice."""

    def create(self, make: Callable[[int], D]) -> D:
        """Write `make(number)` with the next number; durable when this returns."""

    def create_all(self, makes: Sequence[Callable[[int], D]]) -> list[D]:
        """Create several documents, made durable together. When this raises, some may have been written."""

    def create_reserved(self, document: D) -> bool:
        """Write a new document with its reserved number, durably; False when that number is in use."""

    def reserve(self, count: int) -> range:
        """Numbers for documents that a batch or `create_reserved` will write."""


class Finished(Numbered[D], Protocol[D]):
    """Numbered documents that are archived when they are finished, and removed after a retention."""

    def read_with_durability(self, key: int) -> tuple[D, bool]:
        """The document, and whether it is known to be durable (otherwise `read_durable` makes it so).

        Raises as `read` does.
        """

    def read_durable(self, key: int) -> D:
        """Like `read`, and the document is durable when this returns, whichever process wrote it."""

    def update(self, key: int, change: Callable[[D], D]) -> D:
        """Replace the document by `change(document)`, alone; durable when this returns.

        A change that returns the same object writes nothing. Raises as `read` does, and what `change` raises.
        """

    def do_all(self, calls: Sequence[Call[D]]) -> list[D | StateError]:
        """Do several calls at once; each has its own result, durable, or its own error."""

    def archive_all(self, keys: Iterable[int]) -> tuple[set[int], dict[str, StoreUnavailable]]:
        """Archive finished documents. Returns the keys that are durably archived, and why others are not, by place."""

    def archived(self) -> Iterator[int]:
        """The keys of all finished documents, in no order."""

    def finished_since(self, time: float) -> Iterator[D]:
        """Readable documents that were finished since this time (Unix seconds), high numbers first."""


class Keys(Protocol):
    """Idempotency keys: requests with the same key create one ticket, however many are sent, also at the same time."""

    def create_once(self, key: str, body: str, make: Callable[[int], Ticket]) -> tuple[Ticket, bool]:
        """The ticket of this key, and whether it is new; durable when this returns.

        `body` identifies the request: raises Conflict (with the ticket's id) when the key was used with another body,
        and CorruptDocument when the key's ticket is no longer known.
        """

    def forget_before(self, time: float) -> Iterator[CorruptDocument | UnreadableDocument | None]:
        """Forget keys that were first sent before this time, one step at a time; each item is the fault of one key."""


class Events(Protocol):
    """The log of events. Only the leader writes; lines are copies of what documents say."""

    def recover(self) -> str | None:
        """Remove what a crash left of a half-written event; returns what was done, in words."""

    def append(self, events: Sequence[Event], now: float) -> None:
        """Write events; `sync` makes them durable."""

    def sync(self) -> None:
        """Make all appended events durable."""

    def end(self) -> Position:
        """The position after the last event."""

    def forwards(self, after: Position, needle: bytes = b"") -> Iterator[Piece]:
        """The events whose line contains `needle`, from `after` on, the oldest first. Unreadable parts are skipped."""

    def backwards(self, needle: bytes = b"", before: Position | None = None, strict: bool = False) -> Iterator[Piece]:
        """The same, back from `before`, the newest first. Unreadable parts are skipped.

        With `strict`, raises StoreUnavailable when the newest part is unreadable.
        """

    def thin_out(self, before: float) -> int:
        """Remove the events of days that ended before this time; returns the number of days."""


class Samples(Protocol):
    """Samples of the pools, for one to two days. Not durable: for charts only."""

    def add(self, pool: str, sample: Sample) -> None:
        """Append a sample."""

    def read(self, pool: str) -> tuple[Sample, ...]:
        """The samples of a pool by time; the same tuple while nothing is added. Any thread may call it."""

    def read_use(self, pool: str) -> tuple[Use, ...]:
        """How much of the pool was in use, for a small chart: one sample of several; read anew each time."""

    def stamp(self, pool: str) -> Stamp | None:
        """Differs whenever a sample was added; None when there are none."""


class Changes(Protocol):
    """Changes of documents since this object was made: subscribe, then read, then wait, so that none is lost.

    It belongs to one process and is opened after its fork.
    """

    def wait(self, seconds: float | None = None) -> ChangedKeys:
        """What changed since the last call, by kind; waits up to `seconds` (None: without end) for the first change."""

    def fileno(self) -> int:
        """A descriptor that becomes readable when something has changed, for poll(2)."""

    def close(self) -> None:
        """End the subscription."""


class Lease(Protocol):
    """The leader's role: at most one process has it, and loses it when it ends, whichever way it ends."""

    def acquire(self, seconds: float = 0, poll: float = 0.25) -> None:
        """Take the role, waiting up to `seconds` (negative: without end); raises LockTimeout."""

    def release(self) -> None:
        """Give the role up."""

    def held_until(self) -> float:
        """Until when (`time.monotonic`) this process has the role for sure; infinite when it cannot expire by itself.

        A time in the past means that the role was lost.
        """

    @property
    def term(self) -> int:
        """A number that is higher for each later leader; 0 in a store that needs none."""


class PutBack(Enum):
    """What became of a last good version that was to be written again."""

    WRITTEN = "written"
    PENDING = "pending"
    """Something else is in its place by now; a change of it is reported."""
    ARCHIVED = "archived"
    """It was finished meanwhile."""


class Corruption(Protocol):
    """What a store of files does about corrupt documents: it quarantines them, so that no reader takes them for
    "nothing there", and writes last good versions again. A database keeps its own documents whole and has none of it.
    """

    def mend(self) -> list[str]:
        """Repair everything that is no document; returns what was wrong, in words.

        Raises StoreUnavailable, and UnknownFormat when a newer program has taken the store over.
        """

    def read(
        self, documents: Documents[D, K], key: K, unreadable: bool = False
    ) -> tuple[D | None, CorruptDocument | None]:
        """Like `documents.get`, and a corrupt document is quarantined and returned as the fault.

        With `unreadable` so is one that cannot be read twice. Raises NewerDocument.
        """

    def quarantine(self, documents: Documents[D, K], key: K, unreadable: bool = False) -> CorruptDocument | None:
        """Quarantine the living document if it is corrupt, after reading it again; None when it is not.

        With `unreadable` also if it cannot be read. Raises NewerDocument.
        """

    def displace(self, documents: Documents[D, K], key: K) -> str | None:
        """Quarantine a living document that is whole but wrong; returns its new place, None when it is not there."""

    def put_back(self, documents: Documents[D, K], document: D) -> PutBack:
        """Write a last good version whose document is missing; durable when this returns."""

    def exists(self, documents: Documents[D, K], key: K) -> bool:
        """Whether anything is in the place of this document, finished ones too, be it corrupt or not."""

    def check_finished(self) -> Iterator[CorruptDocument | UnreadableDocument | None]:
        """Quarantine corrupt finished documents, one step at a time; each item is the fault of one document."""

    def quarantined(self) -> list[Quarantined]:
        """Everything in quarantine, the oldest first."""

    def content(self, thing: Quarantined) -> bytes:
        """What is left of a quarantined thing; empty for a folder and for what was removed."""

    def reason(self, thing: Quarantined) -> str | None:
        """What is wrong with a quarantined thing as a document; None when it is no document or a good one."""


class Store(Protocol):
    """All documents of one server. `state.open_store` opens it."""

    @property
    def name(self) -> str:
        """The store in log lines, for people."""

    @property
    def tickets(self) -> Finished[Ticket]: ...

    @property
    def resources(self) -> Finished[Resource]: ...

    @property
    def pools(self) -> Documents[PoolRecord, str]: ...

    @property
    def intents(self) -> Numbered[Intent]: ...

    @property
    def agents(self) -> Numbered[Agent]: ...

    @property
    def keys(self) -> Keys: ...

    @property
    def events(self) -> Events: ...

    @property
    def samples(self) -> Samples: ...

    @property
    def corruption(self) -> Corruption | None:
        """What this store does about corrupt documents; None in a store that has none."""

    def read_all(self) -> Contents:
        """Read every living document. Corrupt ones are quarantined, and so are unreadable intents: a later intent must
        not be decided before an earlier one.
        """

    def commit(self, batch: Batch) -> list[Ticket]:
        """Write a batch durably; returns the bases of updates that were conflicts and were not written.

        When this raises before the first write nothing is written; later, each document is either old or new.
        """

    def changes(self, *kinds: str, own: Sequence[str] = ()) -> Changes:
        """Subscribe to changes of these kinds. Only the caller writes the kinds in `own`: of these it learns what
        someone else changed.
        """

    def lead(self) -> Lease:
        """The leader's role, not acquired yet."""

    def has_leader(self) -> bool:
        """Whether a scheduler leads at this moment."""

    def show(self, name: str, content: bytes) -> None:
        """Show something to readers: replaced as a whole, not durable; the leader shows it anew after a restart."""

    def shown(self, name: str, known: Hashable = None) -> Shown | None:
        """What the leader shows under this name, without its content if its stamp is `known`; None for nothing."""

    def sweep(self, now: float, ticket_retention: float, resource_retention: float) -> Swept:
        """Remove what is finished and older than its retention (seconds), old samples, and leftovers of crashes."""

    def check_writable(self) -> None:
        """Try to write something; raises StoreUnavailable or StoreFrozen."""

    def survey(self, now: float) -> Survey:
        """Read everything without changing anything, for fsck."""
