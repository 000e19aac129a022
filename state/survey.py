"""Everything that a store holds, as fsck reads it: documents by place, what is corrupt, and what is left over."""

from dataclasses import dataclass, field

from state.documents import Agent, Intent, PoolRecord, Resource, Ticket

GROUP_SIZE = 1000
"""Finished documents are removed after their retention in groups of so many numbers."""


@dataclass(frozen=True)
class Quarantined:
    """One thing in quarantine at `place` (`quarantine/...`): it was `key` in `folder` ("" is the root) until `at`."""

    place: str
    folder: str
    key: str
    at: float

    @property
    def origin(self) -> str:
        """Where it was: `tickets/open/42`."""
        return f"{self.folder}/{self.key}" if self.folder else self.key


@dataclass
class Survey:
    """What is there, by place.

    | field | meaning |
    |---|---|
    | `made_at` | when the store was made (Unix seconds), None when that is unknown |
    | `corrupt`, `unreadable`, `newer` | why, by place; a newer version of this program wrote the newer ones |
    | `wrong` | what is wrong with things that are no documents |
    | `garbled` | what cannot be used of things that readers can do without |
    | `strays` | things that are no documents and that nothing reads |
    | `staged` | leftovers of writes that were never finished |
    | `ceilings`, `nexts` | by kind, a number above all assigned ones, and the next number |
    | `runs` | ids of hook runs, and whether their supervisor lives |
    | `thinned` | by "tickets" and "resources", the groups of finished documents that were removed |
    | `shown_waiting` | tickets that the leader showed as waiting |
    | `happened` | what events say must be somewhere: ("tickets", 42), ("resources", 17) or ("agents", 42) |
    """

    made_at: float | None = None
    tickets: dict[str, Ticket] = field(default_factory=dict)
    done: dict[str, Ticket] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    ended: dict[str, Resource] = field(default_factory=dict)
    records: dict[str, PoolRecord] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    corrupt: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    newer: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    garbled: dict[str, str] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)
    staged: list[str] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    ceilings: dict[str, int] = field(default_factory=dict)
    nexts: dict[str, int] = field(default_factory=dict)
    runs: dict[str, bool] = field(default_factory=dict)
    thinned: dict[str, frozenset[int]] = field(default_factory=dict)
    shown_waiting: list[int] = field(default_factory=list)
    happened: set[tuple[str, int]] = field(default_factory=set)

    def is_forgotten(self, kind: str, number: int) -> bool:
        """Whether the ticket or resource of this number was removed after its retention."""
        return number // GROUP_SIZE in self.thinned[kind]
