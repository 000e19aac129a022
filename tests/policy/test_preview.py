"""The preview of another pools.yaml is what the next pass does with it."""

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from config.pools import Pool
from functions.policy.plan.plan import plan
from functions.policy.plan.steps import DeleteAfterRun, FailTicket, RequestDelete, StartResource
from functions.policy.preview.preview import (
    Change,
    Documents,
    Left,
    Option,
    PoolPreview,
    Preview,
    Stop,
    Taken,
    Waiting,
    preview,
    put_in_place,
    snapshot_of,
)
from functions.policy.preview.rehearsal import apply, rehearse_all
from state.documents import Intent, PoolMode, PoolRecord, Resource, ResourceState, Ticket, TicketState
from tests.policy.farms import documents, pools
from tests.policy.world import (
    NOW,
    Document,
    a_pool,
    a_record,
    a_released_resource,
    a_resource,
    a_ticket,
    an_assigned_ticket,
    an_intent,
    steps_of,
)


def farm_of(now_in_force: list[Pool], *others: Document) -> Documents:
    """The documents of a farm whose pools.yaml has these pools."""
    given = {one.name: one for one in others if isinstance(one, PoolRecord)}
    records = [
        (given.pop(pool.name, None) or a_record(pool)).replace(
            position=position, configured=True, options=msgspec.json.decode(msgspec.json.encode(pool))
        )
        for position, pool in enumerate(now_in_force)
    ]
    records += [record.replace(configured=False) for record in given.values()]

    def every(kind: type) -> list:
        return [one for one in others if isinstance(one, kind)]

    return Documents(records, every(Resource), every(Ticket), every(Intent))


def previewed(before: list[Pool], after: list[Pool], *others: Document) -> Preview:
    return preview(farm_of(before, *others), after, NOW)


def pool_of(found: Preview, name: str = "vm") -> PoolPreview:
    return next(pool for pool in found.pools if pool.name == name)


# Examples


def test_the_same_file_makes_no_difference() -> None:
    farm = [a_pool(tags={"a": 0}, max_prealloc=2, max_starting=2)]
    found = previewed(farm, farm, a_ticket(1, "z"))
    assert [(pool.change, pool.differs) for pool in found.pools] == [(Change.SAME, False)]
    assert pool_of(found).then.starts == 2
    assert not found.stranded, "ticket 1 waits in vain with the file and without it"


def test_a_larger_pool_shows_what_it_starts_at_once_and_how_far_it_grows() -> None:
    found = previewed(
        [a_pool(max=2, max_prealloc=1)],
        [a_pool(max=9, max_prealloc=5, max_starting=2, start_delay=30)],
        a_resource(1),
    )
    grown = pool_of(found)
    assert grown.change is Change.CHANGED
    assert grown.options == (
        Option("max", 2, 9),
        Option("max_prealloc", 1, 5),
        Option("max_starting", 1, 2),
        Option("start_delay", 0, 30),
    )
    assert (grown.then.starts, grown.then.in_the_end) == (1, 5), "one at a time because of start_delay"
    assert (grown.now.starts, grown.now.in_the_end) == (0, 1)
    assert (grown.living, grown.taken, grown.max) == (1, 0, 9)


def test_a_new_pool_serves_tickets_that_waited_in_vain() -> None:
    found = previewed([a_pool("p")], [a_pool("p"), a_pool("q", tags_on_demand={"x": 0})], a_ticket(1, "x"))
    assert [(pool.name, pool.change, pool.then.starts) for pool in found.pools] == [
        ("p", Change.SAME, 0),
        ("q", Change.ADDED, 1),
    ]
    assert not found.stranded


def test_what_is_stopped_is_shown_with_its_reason() -> None:
    """Given an idle resource for reuse, when its pool is to reuse none, then it is deleted at once."""
    found = previewed([a_pool(reuse_opportunity_time=600)], [a_pool()], a_released_resource(1))
    reason = "released, and its pool does not reuse (reuse_opportunity_time is 0)"
    assert pool_of(found).then.stops == (Stop(1, "vm_1", reason),)
    assert pool_of(found).now.stops == ()


def test_a_ticket_that_would_fail_is_shown() -> None:
    """Given a taken resource that failed a livecheck, when one failure is to be enough, then its ticket fails."""
    checked = a_resource(1, check_failed_count=1)
    found = previewed([a_pool()], [a_pool(livecheck_attempts=1)], checked, an_assigned_ticket(7, 1))
    assert pool_of(found).then.stops == (Stop(1, "vm_1", "livecheck failed 1 time in a row", 7),)
    assert found.taken == (Taken(7, 1, "vm_1", "vm", True, "livecheck failed 1 time in a row"),)


def test_what_is_left_of_a_pool_that_is_not_in_the_file_is_stranded() -> None:
    """Given a pool with all kinds of resources, when it leaves the file, then its free resources stay, unused."""
    farm = [a_pool(tags={"a": 0}, max_prealloc=1)]
    taken, free = a_resource(1, farm[0]), a_resource(2, farm[0])
    starting, going = a_resource(3, farm[0], ResourceState.STARTING), a_resource(4, farm[0], ResourceState.DELETING)
    found = previewed(farm, [], taken, free, starting, going, an_assigned_ticket(7, 1))
    assert pool_of(found).change is Change.REMOVED
    assert found.left == (
        Left(2, "vm_2", "vm", ResourceState.UP),
        Left(3, "vm_3", "vm", ResourceState.STARTING),
    )
    assert found.taken == (Taken(7, 1, "vm_1", "vm", False, "the pool vm is not in the file"),)
    assert (pool_of(found).then.in_the_end, pool_of(found).max) == (3, 0)


def test_what_was_left_of_a_pool_before_is_not_the_files_doing() -> None:
    gone = a_pool("gone")
    found = previewed([a_pool()], [a_pool(max=5)], a_record(gone), a_resource(1, gone))
    assert [(pool.name, pool.change) for pool in found.pools] == [("vm", Change.CHANGED), ("gone", Change.SAME)]
    assert not found.stranded


def test_removed_tags_strand_waiting_and_served_tickets() -> None:
    before, after = [a_pool(tags={"a": 0, "b": 0}, max=1, max_prealloc=1)], [a_pool(tags={"a": 0}, max=1)]
    waits, has = a_ticket(8, "b"), an_assigned_ticket(7, 1).replace(tags=("b",))
    found = previewed(before, after, a_resource(1, before[0]), has, waits, a_ticket(9, "z"))
    assert found.waiting == (Waiting(("b",), (8,), "no configured pool has the tag b"),)
    assert found.taken == (Taken(7, 1, "vm_1", "vm", False, "the pool vm no longer offers b"),)
    assert pool_of(found).old_tags == 1


def test_a_ticket_that_gets_the_last_resource_does_not_wait_in_vain() -> None:
    """Given two tickets and one spare with the tag, when no pool gives it any more, then the second is stranded."""
    before = [a_pool(tags={"a": 0}, max=1, max_prealloc=1)]
    starting = a_resource(1, before[0], ResourceState.STARTING)
    found = previewed(before, [a_pool(tags={"b": 0})], starting, a_ticket(1, "a"), a_ticket(2, "a"))
    assert [group.tickets for group in found.waiting] == [(2,)]


def test_a_pool_that_may_start_nothing_serves_no_ticket() -> None:
    farm = [a_pool(tags={"a": 0}, max_prealloc=1, max=1)]
    taken = a_resource(1, farm[0]), an_assigned_ticket(1, 1)
    for options in ({"max": 0}, {"max_prealloc": 0}, {"max_starting": 0}):
        after = [a_pool(**{"tags": {"a": 0}, "max_prealloc": 1, "max": 1, **options})]
        assert previewed(farm, after, *taken, a_ticket(2, "a")).waiting[0].tickets == (2,), options
    assert not previewed(farm, farm, *taken, a_ticket(2, "a")).stranded


def test_a_smaller_max_stops_nothing() -> None:
    farm = [a_pool(max=3, max_prealloc=3)]
    found = previewed(farm, [a_pool(max=1, max_prealloc=1)], *(a_resource(number) for number in (1, 2, 3)))
    assert (pool_of(found).then.stops, pool_of(found).then.in_the_end) == ((), 3)


def test_what_operators_asked_for_is_done_with_and_without_the_file() -> None:
    farm = [a_pool()]
    found = previewed(farm, farm, a_resource(1), an_intent(1, 1))
    assert [stop.resource for stop in pool_of(found).then.stops] == [1]
    assert not pool_of(found).differs


def test_a_paused_pool_starts_nothing_with_the_file_either() -> None:
    before, after = [a_pool()], [a_pool(max_prealloc=2)]
    found = previewed(before, after, a_record(before[0], mode=PoolMode.PAUSED))
    assert (pool_of(found).then.starts, pool_of(found).mode) == (0, PoolMode.PAUSED)


def test_what_is_too_far_ahead_is_not_followed() -> None:
    found = previewed([], [a_pool(max=1_000_000, max_prealloc=1_000_000, max_starting=2)])
    assert (pool_of(found).then.starts, pool_of(found).then.in_the_end) == (2, None)


def test_a_slip_in_the_number_of_spares_costs_nothing() -> None:
    """Given a pool that is to keep a billion spares, when planned, then what its limits allow is started."""
    assert steps_of([a_pool(max_prealloc=10**9)]) == [StartResource("vm")]


# For every farm


@given(st.data())
def test_what_is_shown_is_what_the_next_pass_does_with_the_file_in_place(data: st.DataObject) -> None:
    """Given any farm and any new pools, when put in place, then the pass starts and stops what was shown."""
    before, after = data.draw(pools()), data.draw(pools())
    living = farm_of(before, *(one for one in data.draw(documents(before)) if not is_over(one)))
    found = preview(living, after, NOW)

    snapshot = snapshot_of(living)
    put_in_place(snapshot, after, NOW)
    assert [*snapshot.pools.values()] == after
    steps = []
    while (decided := plan(snapshot, NOW)).steps:
        steps += decided.steps
        apply(snapshot, decided, NOW)
    started = Counter(step.pool for step in steps if isinstance(step, StartResource))
    stopped = [step.resource for step in steps if isinstance(step, RequestDelete | DeleteAfterRun)]
    failed = {step.ticket for step in steps if isinstance(step, FailTicket)}

    assert +Counter({pool.name: pool.then.starts for pool in found.pools}) == started
    stops = [stop for pool in found.pools for stop in pool.then.stops]
    assert sorted(stop.resource for stop in stops) == sorted(stopped)
    assert {stop.ticket for stop in stops} - {None} <= failed
    assert [pool.name for pool in found.pools][: len(after)] == [pool.name for pool in after]
    assert {one.resource for one in found.left}.isdisjoint(stopped)


@given(st.data())
def test_the_file_that_is_in_place_makes_no_difference(data: st.DataObject) -> None:
    """Given any farm, when the pools in force are looked at, then nothing differs and nothing is stranded."""
    farm = data.draw(pools())
    found = preview(farm_of(farm, *data.draw(documents(farm))), farm, NOW)
    assert not any(pool.differs for pool in found.pools)
    assert not found.stranded


@given(st.data())
def test_a_ticket_shown_as_waiting_in_vain_is_assigned_nothing_however_the_pools_grow(data: st.DataObject) -> None:
    """Given any farm, when resources come and go again and again, then stranded tickets still wait."""
    before, after = data.draw(pools()), data.draw(pools())
    living = farm_of(before, *(one for one in data.draw(documents(before)) if not is_over(one)))
    found = preview(living, after, NOW)
    snapshot = snapshot_of(living)
    put_in_place(snapshot, after, NOW)
    _, now = rehearse_all(snapshot, NOW)
    for _ in range(3):
        for resource in [*snapshot.resources]:
            snapshot.drop_resource(resource)
        for ticket in [*snapshot.tickets.values()]:
            if not ticket.waiting:
                snapshot.drop_ticket(ticket.id)
        _, now = rehearse_all(snapshot, now + 1000)
    for group in found.waiting:
        for number in group.tickets:
            assert snapshot.tickets[number].state is TicketState.OPEN
            assert snapshot.tickets[number].waiting


def is_over(document: Document) -> bool:
    """Whether no reader would find it among the living."""
    return isinstance(document, Resource) and document.state is ResourceState.ENDED
