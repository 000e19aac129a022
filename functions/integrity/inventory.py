"""What stands in a state folder, as the invariants are checked on it."""

from collections import defaultdict
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field

from config.pools import Pool
from state.documents import Intent, PoolRecord, Resource, Ticket


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What stands in a state folder. Documents and keys (the number of their ticket) by file.

    `pools` are those whose limits are in force, by name. `ceilings` stand, for "tickets" and "resources", above all
    numbers that were ever given. `lost` are tickets and resources whose documents exist but cannot be read, as
    ("tickets", 42); `forgotten` those that were removed after their retention. `runs` are ids of hook runs with whether
    they go on, `agents` all agents whose document is somewhere; None: not known. `started` are resources for which
    `cmd_new` was started, `told` tickets whose number somebody was told, `happened` tickets and resources that events
    tell of.
    """

    tickets: Mapping[str, Ticket] = field(default_factory=dict)
    done: Mapping[str, Ticket] = field(default_factory=dict)
    resources: Mapping[str, Resource] = field(default_factory=dict)
    ended: Mapping[str, Resource] = field(default_factory=dict)
    records: Mapping[str, PoolRecord] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    keys: Mapping[str, int] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    ceilings: Mapping[str, int] = field(default_factory=dict)
    lost: Collection[tuple[str, int]] = ()
    forgotten: Container[tuple[str, int]] = ()
    runs: Mapping[str, bool] | None = None
    agents: Collection[int] | None = None
    started: Collection[int] = ()
    told: Collection[int] = ()
    happened: Collection[tuple[str, int]] = ()

    @classmethod
    def of(cls, *documents: Ticket | Resource | PoolRecord | Intent, **facts: object) -> "Inventory":
        """An inventory of living documents, under the names that their files have."""
        kinds: dict[type, tuple[str, str]] = {
            Ticket: ("tickets", "tickets/open"),
            Resource: ("resources", "resources/live"),
            PoolRecord: ("records", "pools"),
            Intent: ("intents", "intents"),
        }
        found: defaultdict[str, dict[str, object]] = defaultdict(dict)
        for document in documents:
            name, folder = kinds[type(document)]
            found[name][f"{folder}/{document.key}.json"] = document
        return cls(**found, **facts)  # type: ignore[arg-type]

    def numbers_given(self) -> dict[str, set[int]]:
        """By "tickets" and "resources": all numbers that are known to be in use or to have been."""
        tickets, resources = self.all_tickets(), self.all_resources()
        given = {
            "tickets": {*tickets, *self.keys.values(), *self.told},
            "resources": {*resources, *self.started},
        }
        given["tickets"] |= {found.released_ticket for found in resources.values() if found.released_ticket is not None}
        given["resources"] |= {found.resource for found in tickets.values() if found.resource is not None}
        for kind, number in (*self.lost, *self.happened):
            given[kind].add(number)
        return given

    def all_tickets(self) -> dict[int, Ticket]:
        """Living and settled ones, by number."""
        return {ticket.id: ticket for ticket in (*self.done.values(), *self.tickets.values())}

    def all_resources(self) -> dict[int, Resource]:
        """Living and ended ones, by number."""
        return {resource.id: resource for resource in (*self.ended.values(), *self.resources.values())}
