"""Rows of the old database become documents."""

from datetime import datetime

import pytest

from scheduler.importer.convert import Converted, convert
from scheduler.importer.old_database import read_database
from state.documents import PoolRecord, Resource, ResourceState, Ticket, TicketState
from tests.importer.old import Old

NOW = 2e9


def converted(old: Old) -> Converted:
    return convert(read_database(old.url), NOW)


def test_an_empty_database_becomes_nothing(old: Old) -> None:
    assert converted(old) == Converted([], [], [], [], [], 0, 0, [])


def test_a_waiting_ticket(old: Old) -> None:
    old.ticket(7, tags=["b", "a"], sandbox="box")
    assert converted(old).tickets == [Ticket(id=7, tags=("a", "b"), sandbox="box", created_at=NOW)]


def test_an_open_ticket_with_its_fresh_resource(old: Old) -> None:
    old.resource(5, tags={"a": 3}, data=b"ip\0\xff\n", ticket_id=7, sandbox="box", sandboxed_since=1000.0, number=2)
    old.ticket(7, tags=["a"], resource_id=5, sandbox="box")
    found = converted(old)
    assert found.tickets == [
        Ticket(
            id=7,
            tags=("a",),
            sandbox="box",
            created_at=1000.0,
            resource=5,
            resource_name="vm_00000005",
            pool="vm",
            assigned_at=1000.0,
            output=b"ip\0\xff\n",
        )
    ]
    assert found.resources == [
        Resource(
            id=5,
            name="vm_00000005",
            pool="vm",
            state=ResourceState.UP,
            tags={"a": 3},
            id_in_pool=2,
            data=b"ip\0\xff\n",
            created_at=1000.0,
            sandbox="box",
            sandboxed_since=1000.0,
        )
    ]
    assert found.oddities == []


def test_a_reused_resource_was_assigned_after_its_last_release(old: Old) -> None:
    old.resource(5, ticket_id=7, sandbox="box", sandboxed_since=1000.0, released_at=1500.0, releases_counter=3)
    old.ticket(6, "CLOSED", resource_id=5, sandbox="box")
    old.ticket(7, resource_id=5, sandbox="box")
    found = converted(old)
    assert [ticket.assigned_at for ticket in found.tickets] == [1500.0]
    assert [ticket.assigned_at for ticket in found.settled] == [1000.0]
    (resource,) = found.resources
    assert (resource.releases_counter, resource.released_at, resource.sandboxed_since) == (3, 1500.0, 1000.0)


def test_a_ticket_of_a_resource_without_data_has_an_empty_output(old: Old) -> None:
    old.resource(5, ticket_id=7)
    old.ticket(7, resource_id=5)
    assert converted(old).tickets[0].output == b""


def test_a_closed_ticket_whose_resource_was_not_released_stays_for_the_scheduler(old: Old) -> None:
    old.resource(5, ticket_id=7)
    old.ticket(7, "CLOSED", resource_id=5)
    found = converted(old)
    assert [(ticket.id, ticket.state, ticket.resource) for ticket in found.tickets] == [(7, TicketState.CLOSED, 5)]
    assert found.settled == []


@pytest.mark.parametrize("state", ["UP", "RELEASING", "DELETE_REQUEST", "DELETING", "ENDED"])
def test_a_closed_ticket_that_released_its_resource_is_settled(old: Old, state: str) -> None:
    old.resource(5, state, data=b"ip")
    old.ticket(7, "CLOSED", resource_id=5)
    found = converted(old)
    assert found.tickets == []
    assert [(ticket.id, ticket.state, ticket.output) for ticket in found.settled] == [(7, TicketState.CLOSED, b"ip")]


@pytest.mark.parametrize("state", ["DELETE_REQUEST", "ENDED"])
def test_a_closed_ticket_whose_resource_was_deleted_is_settled_without_a_release(old: Old, state: str) -> None:
    old.resource(5, state, ticket_id=7)
    old.ticket(7, "CLOSED", resource_id=5)
    assert [ticket.id for ticket in converted(old).settled] == [7]


def test_a_closed_ticket_that_never_had_a_resource_is_settled(old: Old) -> None:
    old.ticket(7, "CLOSED")
    (ticket,) = converted(old).settled
    assert (ticket.resource, ticket.output) == (None, None)


def test_a_failed_ticket_stays_until_its_client_closes_it_or_a_whole_retention_has_passed(old: Old) -> None:
    old.resource(5, "ENDED", ticket_id=7, data=b"ip")
    old.ticket(7, "FAILED", resource_id=5)
    (ticket,) = converted(old).tickets
    assert (ticket.state, ticket.failed_at, ticket.output) == (TicketState.FAILED, NOW, b"ip")
    assert ticket.reason == "it had failed before the import"


@pytest.mark.parametrize("state", ["STARTING", "RELEASING", "DELETING"])
def test_what_a_restart_of_the_old_server_would_delete_is_to_be_deleted(old: Old, state: str) -> None:
    old.resource(5, state, number=4)
    found = converted(old)
    (resource,) = found.resources
    assert resource.state is ResourceState.DELETE_REQUEST
    assert resource.reason == f"it was {state} when it was imported"
    assert resource.id_in_pool == 4
    assert found.oddities == [f"resource 5 (vm_00000005) is {state}: it will be deleted, as after a restart"]


def test_a_requested_delete_stays_requested(old: Old) -> None:
    old.resource(5, "DELETE_REQUEST")
    found = converted(old)
    assert found.resources[0].state is ResourceState.DELETE_REQUEST
    assert found.oddities == []


@pytest.mark.parametrize("state", ["STARTING", "RELEASING", "DELETE_REQUEST", "DELETING", "ENDED"])
def test_an_open_ticket_that_lost_its_resource_is_reported_and_left_to_the_scheduler(old: Old, state: str) -> None:
    old.resource(5, state, data=b"ip")
    old.ticket(7, resource_id=5)
    found = converted(old)
    assert [(ticket.state, ticket.resource, ticket.output) for ticket in found.tickets] == [
        (TicketState.OPEN, 5, b"ip")
    ]
    assert f"ticket 7 is OPEN, but its resource 5 is {state}: it will fail" in found.oddities


def test_tickets_of_resources_that_are_not_in_the_database(old: Old) -> None:
    old.ticket(7, resource_id=99)
    old.ticket(8, "CLOSED", resource_id=98)
    found = converted(old)
    assert [ticket.resource for ticket in found.tickets] == [99]
    assert [ticket.resource for ticket in found.settled] == [98]
    assert found.oddities == [
        "ticket 7 is OPEN, but its resource 99 is not in the database: it will fail",
        "ticket 8 is CLOSED; its resource 98 is not in the database",
    ]
    assert found.highest_resource == 99


def test_an_ended_resource_goes_to_the_archive_with_its_data(old: Old) -> None:
    old.resource(5, "ENDED", data=b"ip", releases_counter=None, check_failed_count=None)
    found = converted(old)
    assert found.resources == []
    assert [(resource.id, resource.state, resource.data) for resource in found.ended] == [
        (5, ResourceState.ENDED, b"ip")
    ]


def test_a_free_resource_keeps_its_checks_counters_and_priorities(old: Old) -> None:
    old.resource(
        5,
        tags={"a": -20, "b": None},
        user="joe",
        check_last_time=1600.0,
        check_failed_count=2,
        sandbox="box",
        sandboxed_since=1000.0,
        released_at=1500.0,
        releases_counter=1,
    )
    old.put("named_counters", resource_id=5, counter_name="port", value=9)
    old.put("named_counters", resource_id=5, counter_name="disk", value=0)
    (resource,) = converted(old).resources
    assert resource.tags == {"a": -20, "b": 0}
    assert resource.counters == {"port": 9, "disk": 0}
    assert (resource.user, resource.check_last_time, resource.check_failed_count) == ("joe", 1600.0, 2)
    assert (resource.sandbox, resource.sandboxed_since, resource.released_at) == ("box", 1000.0, 1500.0)


def test_a_living_resource_without_an_id_in_its_pool_gets_the_smallest_free_one(old: Old) -> None:
    old.resource(5, number=0)
    old.resource(6, number=None)
    old.resource(7, number=2)
    old.resource(8, number=None)
    found = converted(old)
    assert [resource.id_in_pool for resource in found.resources] == [0, 1, 2, 3]
    assert found.oddities == [
        'resource 6 has no id within its pool "vm": it gets 1',
        'resource 8 has no id within its pool "vm": it gets 3',
    ]


def test_numbers_of_deleted_resources_are_free_again(old: Old) -> None:
    old.resource(5, "ENDED")
    old.put("ids_within_pool", resource_id=5, pool_name="vm", id=3)
    old.put("named_counters", resource_id=6, counter_name="port", value=9)
    found = converted(old)
    assert found.oddities == [
        'value 9 of counter "port" belongs to resource 6, which is gone: it is free again',
        'id 3 within pool "vm" belongs to resource 5, which is gone: it is free again',
    ]


def test_a_resource_without_a_name_keeps_what_its_hooks_have_seen(old: Old) -> None:
    old.resource(5, name=None)
    found = converted(old)
    assert found.resources[0].name == "None"
    assert found.oddities == ['resource 5 has no name: it gets the one that hooks have seen, "None"']


def test_tags_of_missing_rows_are_left_out_and_reported(old: Old) -> None:
    for id in (12, 11):
        old.put("ticket_tags", id="a", ticket_id=id)
        old.put("resource_tags", id="a", resource_id=id)
    found = converted(old)
    assert found.oddities == [
        "2 tags are left out: their resources (the first is 11) are not there",
        "2 tags are left out: their tickets (the first is 11) are not there",
    ]
    assert found.highest_ticket == 12


def test_the_statistics_of_a_pool(old: Old) -> None:
    old.pool(
        "vm",
        last_start=900.5,
        last_successful_start=800.5,
        last_attempt_to_start=850.5,
        startup_success_rate=0.75,
        startup_time_avg=60.5,
        cleaning_unknown_resources="2026-03-04 10:52:27.500000",
        max=9,
    )
    assert converted(old).records == [
        PoolRecord(
            name="vm",
            configured=False,
            first_seen_at=NOW,
            last_start=900.5,
            last_successful_start=800.5,
            last_attempt_to_start=850.5,
            startup_success_rate=0.75,
            startup_time_avg=60.5,
            last_list_at=datetime(2026, 3, 4, 10, 52, 27, 500000).timestamp(),
        )
    ]


@pytest.mark.parametrize(
    ("listed", "kept"), [(None, None), ("0001-01-01 00:00:00", None), ("2099-01-01 00:00:00", NOW)]
)
def test_a_pool_that_never_started_anything_and_times_of_lists_that_cannot_be(
    old: Old, listed: str | None, kept: float | None
) -> None:
    old.pool("vm", cleaning_unknown_resources=listed)
    (record,) = converted(old).records
    assert (record.last_start, record.last_list_at) == (None, kept)


def test_the_statistics_of_a_pool_whose_name_is_not_allowed_are_left_out(old: Old) -> None:
    old.pool("../b")
    found = converted(old)
    assert found.records == []
    (oddity,) = found.oddities
    assert oddity.startswith('the statistics of pool "../b" are left out')


def test_the_highest_numbers_are_known(old: Old) -> None:
    old.ticket(40, "CLOSED")
    old.resource(50, "ENDED")
    found = converted(old)
    assert (found.highest_ticket, found.highest_resource) == (40, 50)
