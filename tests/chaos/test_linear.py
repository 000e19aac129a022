"""The checker of histories: finds each fault in examples, finds none in what a right allocator may do."""

import dataclasses
import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from state.documents import Ticket, TicketState
from tests.chaos.linear import check
from tests.chaos.record import Call, Ending, Operation, Rule, Seen

CLIENTS = 4


def take(ticket: int | None, at: float, sandbox: str | None = None, key: str | None = None) -> Operation:
    returned = None if ticket is None else at + 0.5
    return Operation(call=Call.TAKE, invoked=at, returned=returned, ticket=ticket, sandbox=sandbox, key=key)


def read(ticket: int, at: float, resource: str | None, seen: Seen = Seen.OPEN) -> Operation:
    return Operation(call=Call.READ, invoked=at, returned=at + 0.5, ticket=ticket, resource=resource, seen=seen)


def close(ticket: int, at: float, answered: bool = True, bad: bool = False) -> Operation:
    return Operation(call=Call.CLOSE, invoked=at, returned=at + 0.5 if answered else None, ticket=ticket, bad=bad)


def document(
    number: int, state: TicketState = TicketState.CLOSED, resource: int | None = None, **rest: object
) -> Ticket:
    return Ticket(id=number, state=state, resource=resource).replace(**rest)


def rules(operations: Sequence[Operation], *documents: Ticket, deletes: Sequence[tuple[str, float]] = ()) -> set[Rule]:
    ending = Ending({ticket.id: ticket for ticket in documents}, deletes)
    return {fault.rule for fault in check(operations, ending)}


def test_a_plain_life_of_a_ticket_has_no_fault() -> None:
    history = [take(1, 1), read(1, 2, None), read(1, 3, "7"), close(1, 4), read(1, 5, "7", Seen.CLOSED)]
    assert rules(history, document(1, resource=7)) == set()


def test_one_id_for_two_requests() -> None:
    assert rules([take(1, 1), take(1, 1)], document(1)) == {Rule.ID_REUSED}


def test_two_ids_for_one_key() -> None:
    history = [take(1, 1, key="k"), take(2, 2, key="k")]
    assert rules(history, document(1), document(2)) == {Rule.KEY_SPLIT}


def test_one_id_for_two_tries_with_one_key_is_right() -> None:
    history = [take(None, 1, key="k"), take(1, 2, key="k"), take(1, 3, key="k")]
    assert rules(history, document(1)) == set()


def test_a_lower_id_after_a_higher_one() -> None:
    assert rules([take(2, 1), take(1, 2)], document(1), document(2)) == {Rule.ORDER}


def test_any_order_while_both_are_under_way() -> None:
    assert rules([take(2, 1), take(1, 1.2)], document(1), document(2)) == set()


def test_an_acknowledged_ticket_without_a_document() -> None:
    assert rules([take(1, 1)]) == {Rule.LOST_TICKET}


def test_an_acknowledged_ticket_that_is_unknown_for_a_while() -> None:
    assert rules([take(1, 1), read(1, 2, None, Seen.UNKNOWN)], document(1)) == {Rule.LOST_TICKET}


def test_a_take_without_an_answer_may_have_left_no_ticket() -> None:
    assert rules([take(None, 1)]) == set()


def test_a_close_that_was_answered_and_is_forgotten() -> None:
    assert rules([take(1, 1), close(1, 2)], document(1, TicketState.OPEN)) == {Rule.LOST_CLOSE}


def test_a_close_that_was_answered_and_is_not_seen_for_a_while() -> None:
    history = [take(1, 1), read(1, 2, "7"), close(1, 3), read(1, 4, "7", Seen.OPEN)]
    assert rules(history, document(1, resource=7)) == {Rule.LOST_CLOSE}


def test_a_close_without_an_answer_may_not_have_come() -> None:
    assert rules([take(1, 1), close(1, 2, answered=False)], document(1, TicketState.OPEN)) == set()


def test_a_resource_with_two_tickets_at_a_time() -> None:
    history = [take(1, 1, "s"), take(2, 1, "s"), read(1, 2, "7"), read(2, 3, "7"), close(1, 4), close(2, 5)]
    assert rules(history, document(1, resource=7), document(2, resource=7)) == {Rule.DOUBLE_GRANT}


def test_a_resource_is_perhaps_free_since_a_close_without_an_answer_was_sent() -> None:
    history = [take(1, 1, "s"), take(2, 1, "s"), read(1, 2, "7"), close(1, 3, answered=False), read(2, 3.1, "7")]
    assert rules(history, document(1, resource=7), document(2, resource=7)) == set()


def test_a_double_grant_that_only_the_documents_show() -> None:
    first = document(1, resource=7, sandbox="s", assigned_at=10.0, closed_at=12.0)
    second = document(2, resource=7, sandbox="s", assigned_at=11.0, closed_at=13.0)
    assert rules([], first, second) == {Rule.DOUBLE_GRANT}


def test_a_ticket_whose_resource_changes() -> None:
    history = [take(1, 1), read(1, 2, "7"), read(1, 3, "8"), close(1, 4)]
    assert rules(history, document(1, resource=7)) == {Rule.CHANGED_GRANT}


def test_a_ticket_whose_resource_is_taken_away() -> None:
    history = [take(1, 1), read(1, 2, "7"), read(1, 3, None)]
    assert rules(history, document(1, TicketState.OPEN, resource=7)) == {Rule.LOST_GRANT}
    assert rules(history[:2], document(1, TicketState.OPEN)) == {Rule.LOST_GRANT}


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("a", None), (None, None)])
def test_a_resource_that_leaves_its_sandbox(first: str | None, second: str | None) -> None:
    history = [take(1, 1, first), read(1, 2, "7"), close(1, 3), take(2, 4, second), read(2, 5, "7"), close(2, 6)]
    assert rules(history, document(1, resource=7), document(2, resource=7)) == {Rule.SANDBOX}


def test_a_resource_that_is_reused_in_its_sandbox_is_right() -> None:
    history = [take(1, 1, "a"), read(1, 2, "7"), close(1, 3), take(2, 4, "a"), read(2, 5, "7"), close(2, 6)]
    assert rules(history, document(1, resource=7), document(2, resource=7)) == set()


def test_a_resource_that_is_deleted_while_a_ticket_has_it() -> None:
    history = [take(1, 1), read(1, 2, "7"), close(1, 9)]
    assert rules(history, document(1, resource=7), deletes=[("7", 5.0)]) == {Rule.DELETED_IN_USE}
    assert rules(history, document(1, resource=7), deletes=[("7", 9.1)]) == set()


def test_a_resource_that_is_deleted_after_its_ticket_failed_is_right() -> None:
    history = [take(1, 1), read(1, 2, "7")]
    failed = document(1, TicketState.FAILED, resource=7, failed_at=4.0)
    assert rules(history, failed, deletes=[("7", 5.0)]) == set()


@given(st.integers(0, 2**32), st.integers(1, 80), st.floats(0, 1))
def test_what_a_right_allocator_may_do_has_no_fault(seed: int, steps: int, lost: float) -> None:
    history, ending = right_history(random.Random(seed), steps, lost)
    assert check(history, ending) == []


@given(st.integers(0, 2**32), st.integers(20, 80))
def test_a_seeded_double_grant_is_found(seed: int, steps: int) -> None:
    source = random.Random(seed)
    history, ending = right_history(source, steps, lost=0.0)
    holds = [(begin, end, ticket) for ticket, (begin, end) in surely_held(history).items()]
    pairs = [(a, b) for a in holds for b in holds if a < b and b[0] < a[1] and a[0] != b[0]]
    assume(pairs)
    (_, _, victim), (_, _, thief) = source.choice(pairs)
    stolen = ending.tickets[victim].resource
    forged = [
        dataclasses.replace(operation, resource=str(stolen))
        if operation.ticket == thief and operation.resource is not None
        else operation
        for operation in history
    ]
    tickets = {**ending.tickets, thief: ending.tickets[thief].replace(resource=stolen)}
    assert Rule.DOUBLE_GRANT in {fault.rule for fault in check(forged, Ending(tickets))}


@given(st.integers(0, 2**32), st.integers(5, 60), st.sampled_from(["ticket", "close"]))
def test_what_is_lost_at_the_end_is_found(seed: int, steps: int, what: str) -> None:
    source = random.Random(seed)
    history, ending = right_history(source, steps, lost=0.0)
    closed = [ticket.id for ticket in ending.tickets.values() if ticket.state is TicketState.CLOSED]
    assume(closed)
    victim = source.choice(closed)
    tickets = dict(ending.tickets)
    if what == "ticket":
        del tickets[victim]
    else:
        tickets[victim] = tickets[victim].replace(state=TicketState.OPEN, closed_at=None)
    found = {fault.rule for fault in check(history, Ending(tickets))}
    assert (Rule.LOST_TICKET if what == "ticket" else Rule.LOST_CLOSE) in found


def surely_held(history: Sequence[Operation]) -> dict[int, tuple[float, float]]:
    """From when to when clients knew that they had a resource, by ticket."""
    holds = {}
    for seen in history:
        if seen.call is Call.READ and seen.resource is not None and seen.returned is not None:
            closes = [op.invoked for op in history if op.call is Call.CLOSE and op.ticket == seen.ticket]
            begin, end = seen.returned, min(closes, default=float("inf"))
            if seen.ticket is not None and begin < end:
                known = holds.get(seen.ticket, (begin, end))
                holds[seen.ticket] = (min(begin, known[0]), end)
    return holds


def right_history(source: random.Random, steps: int, lost: float) -> tuple[list[Operation], Ending]:
    """A history of clients of an allocator that does each thing at one instant, without fault.

    Answers get lost with probability `lost`: the thing was done, or it was not.
    """
    allocator = Allocator(source)
    history: list[Operation] = []
    free_at = [0.0] * CLIENTS
    tickets: list[int | None] = [None] * CLIENTS
    for step in range(1, steps):
        client, at = source.randrange(CLIENTS), float(step)
        invoked, returned = source.uniform(free_at[client], at), at + source.uniform(0, 5)
        if free_at[client] >= at:
            continue
        free_at[client] = returned
        answered = source.random() >= lost
        done = answered or source.random() < 0.5
        ticket, sandbox = tickets[client], source.choice([None, "a", "b"])
        if ticket is None:
            number = allocator.take(at, sandbox) if done else None
            tickets[client] = number if answered else None
            operation = Operation(call=Call.TAKE, invoked=invoked, ticket=number if answered else None, sandbox=sandbox)
        elif source.random() < 0.5:
            resource = allocator.read(ticket)
            operation = Operation(call=Call.READ, invoked=invoked, ticket=ticket, resource=resource, seen=Seen.OPEN)
        else:
            if done:
                allocator.close(at, ticket)
            tickets[client] = None
            operation = Operation(call=Call.CLOSE, invoked=invoked, ticket=ticket)
        history.append(dataclasses.replace(operation, returned=returned if answered else None))
        allocator.assign(at + 0.5)
    return history, Ending(allocator.tickets)


class Allocator:
    """Two resources for each sandbox, new ones for those without."""

    def __init__(self, source: random.Random) -> None:
        self.tickets: dict[int, Ticket] = {}
        self._free: dict[str, list[int]] = {"a": [1, 2], "b": [3, 4]}
        self._next = 10
        self._source = source

    def take(self, at: float, sandbox: str | None) -> int:
        number = len(self.tickets) + 1
        self.tickets[number] = Ticket(id=number, sandbox=sandbox, created_at=at)
        return number

    def read(self, ticket: int) -> str | None:
        resource = self.tickets[ticket].resource
        return None if resource is None else str(resource)

    def close(self, at: float, ticket: int) -> None:
        found = self.tickets[ticket]
        self.tickets[ticket] = found.replace(state=TicketState.CLOSED, closed_at=at)
        if found.resource is not None and found.sandbox in self._free:
            self._free[found.sandbox].append(found.resource)

    def assign(self, at: float) -> None:
        for number, ticket in self.tickets.items():
            if not ticket.waiting or self._source.random() < 0.3:
                continue
            if ticket.sandbox is None:
                self._next += 1
                self.tickets[number] = ticket.replace(resource=self._next, assigned_at=at, sandbox=f"own{number}")
            elif self._free[ticket.sandbox]:
                resource = self._free[ticket.sandbox].pop(0)
                self.tickets[number] = ticket.replace(resource=resource, assigned_at=at)
