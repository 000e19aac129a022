"""The checker of what was held or called bad: finds each fault in examples, and none where all is well."""

import pytest

from state.documents import Ticket, TicketState
from tests.chaos.linear import check
from tests.chaos.record import Call, Ending, Kept, Operation, Rule


def had(number: int, begin: float, end: float | None = None, bad: str | None = None) -> Ticket:
    """A ticket that had resource 7."""
    state = TicketState.OPEN if end is None else TicketState.CLOSED
    return Ticket(id=number, state=state, sandbox="s", resource=7, assigned_at=begin, closed_at=end, bad=bad)


def rules(
    *tickets: Ticket,
    deletes: tuple[tuple[str, float], ...] = (),
    kept: tuple[Kept, ...] = (),
    closes: tuple[Operation, ...] = (),
) -> set[Rule]:
    return {fault.rule for fault in check(closes, Ending({ticket.id: ticket for ticket in tickets}, deletes, kept))}


@pytest.mark.parametrize(("at", "found"), [(9.9, set()), (10.5, {Rule.HELD}), (12.1, set())])
def test_a_held_resource_is_neither_assigned_nor_deleted(at: float, found: set[Rule]) -> None:
    """Given a hold from 10 to 12, when the resource is given or deleted then, that is a fault; before and after not."""
    kept = (Kept("7", 10.0, 12.0),)
    assert rules(had(1, at), kept=kept) == found
    assert rules(deletes=(("7", at),), kept=kept) == found
    assert rules(had(1, at), kept=(Kept("8", 10.0, 12.0),)) == set()


def test_a_ticket_keeps_what_is_held() -> None:
    """Given a ticket that has the resource already, when that is held, then there is no fault."""
    assert rules(had(1, 5.0, 11.0), kept=(Kept("7", 10.0, 12.0),)) == set()


@pytest.mark.parametrize(("bad", "found"), [("broken", {Rule.BAD}), (None, set())])
def test_what_was_called_bad_is_not_used_again(bad: str | None, found: set[Rule]) -> None:
    """Given a ticket that was closed, when another one gets its resource, that is a fault if it had been called bad."""
    assert rules(had(1, 1.0, 2.0, bad), had(2, 3.0, 4.0)) == found
    assert rules(had(2, 1.0, 2.0), had(3, 3.0, 4.0, bad)) == set()


@pytest.mark.parametrize("answered", [True, False])
def test_a_word_against_a_resource_lasts(answered: bool) -> None:
    """Given a close with a word, when the document does not show it, that is a fault once the close was answered."""
    said = Operation(call=Call.CLOSE, invoked=2.0, returned=2.1 if answered else None, ticket=1, bad=True)
    assert rules(had(1, 1.0, 2.0), closes=(said,)) == ({Rule.LOST_WORD} if answered else set())
    assert rules(had(1, 1.0, 2.0, "broken"), closes=(said,)) == set()
