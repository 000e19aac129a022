"""Rows that contradict each other are refused, all at once."""

import pytest

from scheduler.importer.convert import convert
from scheduler.importer.old_database import read_database
from scheduler.importer.rules import BrokenRules
from tests.importer.old import Old


def faults(old: Old) -> list[str]:
    with pytest.raises(BrokenRules) as refusal:
        convert(read_database(old.url), now=2e9)
    return list(refusal.value.faults)


def test_two_open_tickets_of_one_resource(old: Old) -> None:
    old.resource(5, ticket_id=1)
    old.ticket(1, resource_id=5)
    old.ticket(2, resource_id=5)
    assert faults(old) == ["tickets 1 and 2 are both OPEN and have the same resource 5"]


def test_two_open_tickets_of_one_resource_that_is_gone(old: Old) -> None:
    old.resource(5, "ENDED")
    old.ticket(1, resource_id=5)
    old.ticket(2, resource_id=5)
    assert faults(old) == ["tickets 1 and 2 are both OPEN and have the same resource 5"]


def test_a_resource_taken_by_a_ticket_that_is_not_there(old: Old) -> None:
    old.resource(5, ticket_id=1)
    assert faults(old) == ["resource 5 is taken by ticket 1, and there is no such ticket"]


@pytest.mark.parametrize(("number", "has"), [(6, "6"), (None, "none")])
def test_a_resource_taken_by_a_ticket_that_has_another(old: Old, number: int | None, has: str) -> None:
    old.resource(5, ticket_id=1)
    old.resource(6, "ENDED")
    old.ticket(1, "CLOSED", resource_id=number)
    assert faults(old) == [f"resource 5 is taken by ticket 1, but that ticket has resource {has}"]


def test_a_resource_that_lives_though_its_ticket_failed(old: Old) -> None:
    old.resource(5, ticket_id=1)
    old.ticket(1, "FAILED", resource_id=5)
    (fault,) = faults(old)
    assert fault.startswith("resource 5 is taken by ticket 1, but that ticket is FAILED and the resource is UP")


@pytest.mark.parametrize(("holder", "said"), [(None, "no ticket"), (2, "ticket 2")])
def test_an_open_ticket_whose_resource_is_not_taken_by_it(old: Old, holder: int | None, said: str) -> None:
    old.resource(5, ticket_id=holder)
    old.ticket(1, resource_id=5)
    old.ticket(2, "CLOSED", resource_id=5)
    assert faults(old) == [f"ticket 1 is OPEN and has resource 5, but that is taken by {said}"]


def test_a_living_resource_of_a_pool_that_cannot_be_configured(old: Old) -> None:
    old.resource(5, pool="a/b")
    assert faults(old) == ['resource 5 is of pool "a/b", but a pool\'s name must not hold "/" nor start with "."']


def test_two_resources_with_the_same_id_within_their_pool(old: Old) -> None:
    old.resource(5, number=None)
    old.resource(6, number=None)
    old.run("DROP TABLE ids_within_pool")
    old.run("CREATE TABLE ids_within_pool (resource_id INTEGER, pool_name VARCHAR, id INTEGER)")
    old.put("ids_within_pool", resource_id=5, pool_name="vm", id=3)
    old.put("ids_within_pool", resource_id=6, pool_name="vm", id=3)
    assert faults(old) == ['resources 5 and 6 both have id 3 within pool "vm"']


def test_a_resource_with_an_id_within_another_pool(old: Old) -> None:
    old.resource(5, number=None)
    old.put("ids_within_pool", resource_id=5, pool_name="other", id=0)
    assert faults(old) == ['resource 5 is of pool "vm", but has an id within pool "other"']


def test_two_resources_with_the_same_value_of_a_counter(old: Old) -> None:
    old.resource(5, number=0)
    old.resource(6, number=1)
    old.run("DROP TABLE named_counters")
    old.run("CREATE TABLE named_counters (resource_id INTEGER, counter_name VARCHAR, value INTEGER)")
    old.put("named_counters", resource_id=5, counter_name="port", value=3)
    old.put("named_counters", resource_id=6, counter_name="port", value=3)
    assert faults(old) == ['resources 5 and 6 both have value 3 of counter "port"']


def test_a_resource_with_two_values_of_a_counter(old: Old) -> None:
    old.resource(5)
    old.put("named_counters", resource_id=5, counter_name="port", value=3)
    old.put("named_counters", resource_id=5, counter_name="port", value=4)
    assert faults(old) == ['resource 5 has two values of counter "port": 3 and 4']


def test_all_contradictions_are_reported_at_once(old: Old) -> None:
    old.resource(5, ticket_id=1, number=0)
    old.resource(6, ticket_id=2, number=1)
    assert len(faults(old)) == 2
