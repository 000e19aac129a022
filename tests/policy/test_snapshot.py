"""The snapshot: which ticket has which resource, which numbers are free, and documents that come, change and go."""

import msgspec

from functions.policy.plan.plan import plan
from functions.policy.plan.steps import Assign, StartResource
from functions.policy.snapshot.snapshot import Snapshot
from state.documents import PoolRecord, ResourceState, TicketState
from tests.policy.world import (
    NOW,
    a_closed_ticket,
    a_pool,
    a_record,
    a_released_resource,
    a_resource,
    a_snapshot,
    a_ticket,
    an_assigned_ticket,
    an_intent,
)


def holder(*documents):
    ticket = a_snapshot([], *documents).holder(1)
    return ticket.id if ticket else None


def test_an_open_ticket_has_its_resource() -> None:
    """Given an OPEN ticket that names the resource, when asked, then it is the holder."""
    assert holder(a_resource(1), an_assigned_ticket(4, 1)) == 4
    assert holder(an_assigned_ticket(4, 1), a_resource(1)) == 4


def test_a_closed_ticket_has_its_resource_until_the_release_of_its_turn() -> None:
    """Given a CLOSED ticket with a turn, when the resource was released more often, then the ticket has it no more."""
    assert holder(a_resource(1, releases_counter=2), a_closed_ticket(4, 1, turn=2)) == 4
    assert holder(a_resource(1, releases_counter=3, released_ticket=9), a_closed_ticket(4, 1, turn=2)) is None
    assert holder(a_resource(1, releases_counter=1, released_ticket=9), a_closed_ticket(4, 1, turn=2)) == 4


def test_a_closed_ticket_without_a_turn_has_its_resource_until_it_is_the_last_that_released_it() -> None:
    """Given a CLOSED ticket of an older version, when the resource names it, then the ticket has it no more."""
    assert holder(a_resource(1), a_closed_ticket(4, 1)) == 4
    assert holder(a_resource(1, released_ticket=4), a_closed_ticket(4, 1)) is None
    assert holder(a_resource(1, released_ticket=3), a_closed_ticket(4, 1)) == 4


def test_a_failed_ticket_has_nothing() -> None:
    """Given a FAILED ticket, when asked, then no ticket has the resource."""
    assert holder(a_resource(1), an_assigned_ticket(4, 1, state=TicketState.FAILED)) is None


def test_of_several_an_open_one_with_the_lowest_id_wins() -> None:
    """Given claims that must not happen, when asked, then OPEN wins over CLOSED, then the lowest id."""
    documents = a_resource(1), a_closed_ticket(2, 1), an_assigned_ticket(5, 1), an_assigned_ticket(4, 1)
    assert holder(*documents) == 4
    assert holder(a_resource(1), a_closed_ticket(3, 1), a_closed_ticket(2, 1)) == 2


def test_a_dropped_ticket_has_nothing_any_more() -> None:
    """Given a ticket that was dropped, when asked, then its resource is free and can be assigned."""
    snapshot = a_snapshot([], a_resource(1), an_assigned_ticket(4, 1), a_ticket(5))
    snapshot.drop_ticket(4)
    assert snapshot.holder(1) is None
    assert plan(snapshot, NOW).steps == (Assign(5, 1),)


def test_an_ended_resource_is_forgotten() -> None:
    """Given a resource that ended, when put, then it is gone like a dropped one, and its numbers are free."""
    snapshot = a_snapshot([], a_resource(1, id_in_pool=0, counters={"port": 0}))
    assert (snapshot.free_number("vm"), snapshot.free_counter("port")) == (1, 1)
    snapshot.put_resource(a_resource(1, state=ResourceState.ENDED))
    assert snapshot.resources == {}
    assert (snapshot.free_number("vm"), snapshot.free_counter("port")) == (0, 0)


def test_dropping_what_is_not_there_does_nothing() -> None:
    """Given an empty snapshot, when unknown documents are dropped, then nothing happens."""
    snapshot = Snapshot()
    snapshot.drop_ticket(1)
    snapshot.drop_resource(1)
    snapshot.drop_intent(1)
    assert plan(snapshot, NOW).steps == ()


def test_a_dropped_intent_is_not_decided() -> None:
    """Given an intent that was dropped, when planned, then nothing happens."""
    snapshot = a_snapshot([a_pool()], a_resource(1), an_intent(1, 1))
    snapshot.drop_intent(1)
    assert plan(snapshot, NOW).steps == ()


def test_numbers_fill_the_gaps_of_their_pool() -> None:
    """Given numbers 0, 1 and 3 in one pool and 0 in another, when asked, then each pool has its own smallest."""
    snapshot = a_snapshot([])
    for id, number in enumerate((3, 0, 1), start=1):
        snapshot.put_resource(a_resource(id, id_in_pool=number))
    snapshot.put_resource(a_resource(9, "other", id_in_pool=0))
    assert [snapshot.free_number(pool) for pool in ("vm", "other", "empty")] == [2, 1, 0]
    snapshot.drop_resource(2)
    assert snapshot.free_number("vm") == 0


def test_a_number_used_twice_is_free_when_both_are_gone() -> None:
    """Given two resources with the same number, when one is gone, then the number is still in use."""
    snapshot = a_snapshot([], a_resource(1, id_in_pool=0), a_resource(2, id_in_pool=0))
    snapshot.drop_resource(1)
    assert snapshot.free_number("vm") == 1
    snapshot.drop_resource(2)
    assert snapshot.free_number("vm") == 0


def test_counters_are_shared_by_all_pools() -> None:
    """Given two pools that use a counter, when asked, then the smallest that neither uses is free."""
    snapshot = a_snapshot([], a_resource(1, counters={"port": 0}), a_resource(2, "other", counters={"port": 1}))
    assert (snapshot.free_counter("port"), snapshot.free_counter("unknown")) == (2, 0)


def test_options_are_the_configured_ones_or_else_the_last_good_ones() -> None:
    """Given a pool in the file and one that left it, when asked, then each has options, unknown ones have none."""
    old, new = a_pool(max=1), a_pool(max=2)
    snapshot = a_snapshot([new], a_record(old), a_record(a_pool("gone", max=3)))
    assert snapshot.options_of("vm") == new
    assert snapshot.options_of("gone") == a_pool("gone", max=3)
    assert snapshot.options_of("unknown") is None
    snapshot.set_pools([])
    assert snapshot.options_of("vm") == old


def test_newer_options_of_a_vanished_pool_replace_the_older() -> None:
    """Given a record that changes, when asked again, then the newer options hold."""
    snapshot = a_snapshot([], a_record(a_pool(max=1)))
    assert snapshot.options_of("vm") == a_pool(max=1)
    snapshot.put_record(a_record(a_pool(max=5)))
    assert snapshot.options_of("vm") == a_pool(max=5)


def test_options_that_make_no_pool_are_as_good_as_none() -> None:
    """Given a record without usable options, when asked, then there are none."""
    snapshot = a_snapshot([], PoolRecord(name="vm", options={"name": "vm", "max": "many"}))
    assert snapshot.options_of("vm") is None


def test_pools_that_change_are_planned_by_their_new_options() -> None:
    """Given pools that are set again, when planned, then the new limits hold."""
    snapshot = a_snapshot([a_pool(max_prealloc=0)])
    snapshot.set_pools([msgspec.structs.replace(a_pool(), max_prealloc=1)])
    assert plan(snapshot, NOW).steps == (StartResource("vm"),)


def test_resources_in_a_hook_run_are_known() -> None:
    """Given resources in several states, when asked, then those with a run come by id."""
    busy = [a_resource(3, state=ResourceState.DELETING), a_resource(1, state=ResourceState.STARTING)]
    snapshot = a_snapshot([], *busy, a_resource(2))
    assert [resource.id for resource in snapshot.resources_in_run()] == [1, 3]
    snapshot.put_resource(a_resource(1))
    snapshot.drop_resource(3)
    assert snapshot.resources_in_run() == []


def test_a_resource_that_moves_is_found_where_it_is_now() -> None:
    """Given tickets that resources of their sandbox can serve, when one changes its sandbox or tags, then they know."""
    x86, ppc = {"x86": 0}, {"ppc": 0}
    mine, other = a_released_resource(1, sandbox="mine", tags=x86), a_released_resource(2, sandbox="other", tags=x86)
    tickets = a_ticket(1, "x86", sandbox="mine"), a_ticket(2, "x86", sandbox="other")
    snapshot = a_snapshot([], mine, other, *tickets)
    assert set(snapshot.by_sandbox.own_tags) == {"mine", "other"}
    snapshot.put_resource(mine.replace(sandbox="other"))
    assert set(snapshot.by_sandbox.own_tags) == {"other"}
    snapshot.put_resource(mine.replace(tags=ppc))
    snapshot.put_resource(other.replace(sandbox="mine"))
    assert set(snapshot.by_sandbox.own_tags) == {"mine"}
    snapshot.put_resource(other.replace(sandbox="mine", tags=ppc))
    assert snapshot.by_sandbox.own_tags == {}
