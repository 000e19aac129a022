"""The order of tickets is the order in which resources are assigned."""

from hypothesis import given
from hypothesis import strategies as st

from config.pools import Pool
from functions.policy.order import Queue, before, order_key, rivals
from functions.policy.plan.plan import plan
from functions.policy.plan.steps import Assign
from functions.policy.snapshot.groups import Tags
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.waits.explain import explain
from state.documents import PoolMode
from tests.policy.farms import Event, pools
from tests.policy.test_explain import at_some_time, crowded
from tests.policy.world import a_resource

A = Queue([2, 4, 6], frozenset({"p", "q"}), on_demand=False)
B = Queue([1, 5], frozenset({"q"}), on_demand=False)
X = Queue([9], frozenset({"q", "r"}), on_demand=True)
OTHER = Queue([3], frozenset({"r"}), on_demand=False)


def test_by_number_among_those_that_the_same_pools_could_serve() -> None:
    assert rivals(A, [A, B, OTHER]) == [A, B]
    assert [before(ticket, A, [A, B]) for ticket in A.keys] == [1, 2, 4]


def test_on_demand_tickets_come_before_all_others() -> None:
    assert before(2, A, [A, B, X]) == 2
    assert before(9, X, [A, B, X]) == 0


def queues_of(snapshot: Snapshot, now: float) -> dict[Tags, Queue]:
    return {
        tags: Queue(snapshot.waiting[tags], frozenset(p.pool for p in case.prospects), case.on_demand)
        for tags, case in explain(snapshot, now).cases.items()
    }


@given(pools(), crowded(), st.data())
def test_what_comes_goes_to_the_first_ticket_in_the_order(
    farm: list[Pool], happenings: list[Event], data: st.DataObject
) -> None:
    """Given a farm at rest, when a pool has one more, then it is assigned to the first ticket that fits there."""
    snapshot, now = at_some_time(farm, happenings, rest=True)
    giving = [pool for pool in snapshot.pools.values() if snapshot.records[pool.name].mode is not PoolMode.DRAINING]
    if not giving:
        return
    pool = data.draw(st.sampled_from(giving))
    queues = queues_of(snapshot, now)
    fitting = {tags: queue for tags, queue in queues.items() if tags <= pool.offers.keys()}
    snapshot.put_resource(a_resource(1000, pool))
    given_to = [step.ticket for step in plan(snapshot, now).steps if isinstance(step, Assign)]
    assert len(given_to) == bool(fitting)
    for ticket in given_to:
        queue = fitting[frozenset(snapshot.tickets[ticket].tags)]
        assert pool.name in queue.pools
        assert before(order_key(snapshot.tickets[ticket]), queue, fitting.values()) == 0
        # Tickets that come before it all the same, for other pools, count only if they could take from this one.
        assert all(other in rivals(queue, queues.values()) for other in fitting.values())
