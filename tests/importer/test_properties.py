"""Whatever the old server did before, what is imported keeps the rules of the documents."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from functions.policy.snapshot.snapshot import Snapshot
from scheduler.importer.convert import Converted, convert
from scheduler.importer.old_database import OldCounter, OldDatabase, OldIdInPool, OldResource, OldTicket, OldTicketTag
from state.documents import Document, ResourceState, TicketState

POOLS = ("a", "b")


@dataclass
class OldServer:
    """The old server in short: each method is one transaction of its, on the thing that `pick` chooses."""

    tickets: dict[int, dict[str, Any]] = field(default_factory=dict)
    resources: dict[int, dict[str, Any]] = field(default_factory=dict)
    ids: dict[int, int] = field(default_factory=dict)
    ports: dict[int, int] = field(default_factory=dict)
    now: float = 1000.0

    def do(self, action: str, pick: int) -> None:
        self.now += 1
        getattr(self, action)(pick)

    def take(self, pick: int) -> None:
        id = len(self.tickets) + 1
        self.tickets[id] = {"id": id, "resource_id": None, "state": "OPEN", "sandbox": (None, "x", "y")[pick % 3]}

    def start(self, pick: int) -> None:
        id, pool = len(self.resources) + 1, POOLS[pick % 2]
        taken = {self.ids[other] for other in self.ids if self.resources[other]["pool"] == pool}
        self.ids[id] = next(number for number in range(99) if number not in taken)
        self.ports[id] = next(number for number in range(99) if number not in self.ports.values())
        empty = dict.fromkeys(OldResource.__struct_fields__)
        self.resources[id] = empty | {"id": id, "name": f"r{id}", "pool": pool, "state": "STARTING"}
        self.resources[id]["releases_counter"] = 0

    def come_up(self, pick: int) -> None:
        for resource in self._some(pick, "STARTING"):
            resource |= {"state": "UP", "data": b"%d" % pick}

    def fail_to_start(self, pick: int) -> None:
        for resource in self._some(pick, "STARTING"):
            self._end(resource)

    def assign(self, pick: int) -> None:
        waiting = [ticket for ticket in self.tickets.values() if self._waits(ticket)]
        for resource in self._some(pick, "UP"):
            if not waiting or resource["ticket_id"] is not None:
                continue
            ticket = waiting[pick % len(waiting)]
            ticket["sandbox"] = ticket["sandbox"] or f"random{ticket['id']}"
            if resource["sandbox"] in (None, ticket["sandbox"]):
                resource["ticket_id"], ticket["resource_id"] = ticket["id"], resource["id"]
                resource["sandboxed_since"] = resource["sandboxed_since"] or self.now
                resource["sandbox"] = ticket["sandbox"]

    def close(self, pick: int) -> None:
        if self.tickets:
            self.tickets[pick % len(self.tickets) + 1]["state"] = "CLOSED"

    def let_go(self, pick: int) -> None:
        for resource in self._some(pick, "UP"):
            if resource["ticket_id"] and self.tickets[resource["ticket_id"]]["state"] == "CLOSED":
                resource |= {"ticket_id": None, "released_at": self.now}
                resource["releases_counter"] += 1
                resource["state"] = ("UP", "RELEASING")[pick % 2]

    def released(self, pick: int) -> None:
        for resource in self._some(pick, "RELEASING"):
            resource["state"] = "UP"

    def kill(self, pick: int) -> None:
        for resource in self._some(pick, "UP"):
            for ticket in self.tickets.values():
                if ticket["resource_id"] == resource["id"] and ticket["state"] == "OPEN":
                    ticket["state"] = "FAILED"
            resource["state"] = "DELETE_REQUEST"

    def delete(self, pick: int) -> None:
        for resource in self._some(pick, "DELETE_REQUEST"):
            resource["state"] = "DELETING"

    def deleted(self, pick: int) -> None:
        for resource in self._some(pick, "DELETING"):
            self._end(resource)

    def database(self) -> OldDatabase:
        pools = {id: resource["pool"] for id, resource in self.resources.items()}
        return OldDatabase(
            tickets=[msgspec.convert(tuple(row.values()), OldTicket) for row in self.tickets.values()],
            ticket_tags=[OldTicketTag(name="tag", ticket_id=id) for id in self.tickets],
            resources=[msgspec.convert(tuple(row.values()), OldResource) for row in self.resources.values()],
            ids_within_pool=[OldIdInPool(id, pools[id], number) for id, number in self.ids.items()],
            named_counters=[OldCounter(id, "port", number) for id, number in self.ports.items()],
        )

    def _some(self, pick: int, state: str) -> list[dict[str, Any]]:
        found = [resource for resource in self.resources.values() if resource["state"] == state]
        return [found[pick % len(found)]] if found else []

    def _waits(self, ticket: dict[str, Any]) -> bool:
        return ticket["state"] == "OPEN" and ticket["resource_id"] is None

    def _end(self, resource: dict[str, Any]) -> None:
        resource["state"] = "ENDED"
        del self.ids[resource["id"]], self.ports[resource["id"]]


ACTIONS = [
    *("take", "start", "come_up", "assign", "close", "let_go"),
    *("fail_to_start", "released", "kill", "delete", "deleted"),
]
histories = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 30)), max_size=60)


def after(history: list[tuple[str, int]]) -> tuple[OldDatabase, Converted]:
    server = OldServer()
    for action, pick in history:
        server.do(action, pick)
    old = server.database()
    return old, convert(old, now=server.now)


@given(histories)
def test_every_row_becomes_one_document_with_its_id_and_name_and_data(history: list[tuple[str, int]]) -> None:
    old, new = after(history)
    tickets = sorted([*new.tickets, *new.settled], key=lambda ticket: ticket.id)
    resources = sorted([*new.resources, *new.ended], key=lambda resource: resource.id)
    assert [(ticket.id, ticket.state, ticket.resource, ticket.sandbox) for ticket in tickets] == [
        (row.id, row.state, row.resource_id, row.sandbox) for row in old.tickets
    ]
    assert [(resource.id, resource.name, resource.data, resource.sandbox) for resource in resources] == [
        (row.id, row.name, row.data, row.sandbox) for row in old.resources
    ]
    data = {row.id: row.data or b"" for row in old.resources}
    assert all(ticket.output == data[ticket.resource] for ticket in tickets if ticket.resource is not None)
    assert (new.highest_ticket, new.highest_resource) == (len(old.tickets), len(old.resources))


@given(histories)
def test_numbers_are_unique_among_the_living(history: list[tuple[str, int]]) -> None:
    old, new = after(history)
    ids = [(resource.pool, resource.id_in_pool) for resource in new.resources]
    ports = [resource.counters["port"] for resource in new.resources]
    assert len(set(ids)) == len(ids)
    assert len(set(ports)) == len(ports)
    kept = {row.resource_id: row.id for row in old.ids_within_pool}
    assert all(kept[resource.id] == resource.id_in_pool for resource in new.resources)


@given(histories)
def test_each_resource_has_the_ticket_that_it_had(history: list[tuple[str, int]]) -> None:
    old, new = after(history)
    snapshot = Snapshot()
    for resource in new.resources:
        snapshot.put_resource(resource)
    for ticket in new.tickets:
        snapshot.put_ticket(ticket)
    for row in old.resources:
        if row.state is ResourceState.UP:
            holder = snapshot.holder(row.id)
            assert (holder.id if holder else None) == row.ticket_id
    claims = Counter(ticket.resource for ticket in new.tickets if ticket.state is TicketState.OPEN and ticket.resource)
    assert all(count == 1 for count in claims.values())


@given(histories)
def test_only_states_that_a_scheduler_can_go_on_from_are_written(history: list[tuple[str, int]]) -> None:
    _, new = after(history)
    assert {resource.state for resource in new.resources} <= {ResourceState.UP, ResourceState.DELETE_REQUEST}
    assert all(resource.run is None for resource in new.resources)
    assert {resource.state for resource in new.ended} <= {ResourceState.ENDED}
    assert {ticket.state for ticket in new.settled} <= {TicketState.CLOSED}


@given(histories)
def test_every_document_can_be_read_again(history: list[tuple[str, int]]) -> None:
    _, new = after(history)
    documents: list[Document] = [*new.tickets, *new.settled, *new.resources, *new.ended, *new.records]
    assert all(type(document).from_json(document.to_json()) == document for document in documents)
