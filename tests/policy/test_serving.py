"""How many tickets wait for each pool is what is said of each of those tickets."""

from collections import Counter

from hypothesis import given

from config.pools import Pool
from functions.policy.plan.limits import Reason
from functions.policy.waits.explain import explain
from functions.policy.waits.serving import waiting_for
from tests.policy.farms import Event, pools
from tests.policy.test_explain import at_some_time, crowded
from tests.policy.world import a_pool, a_resource, a_snapshot, a_ticket


def test_a_ticket_waits_for_each_pool_that_has_its_tags_and_for_no_other() -> None:
    farm = [a_pool("big", tags={"a": 0, "b": 0}), a_pool("small", tags={"a": 0}), a_pool("other", tags={"c": 0})]
    waiting = [a_ticket(1, "a"), a_ticket(2, "a", "b"), a_ticket(3, "nobody")]
    assert waiting_for(a_snapshot(farm, *waiting)) == {"big": 2, "small": 1, "other": 0}


def test_a_ticket_that_has_its_resource_waits_for_none() -> None:
    farm = [a_pool(tags={"a": 0})]
    snapshot = a_snapshot(farm, a_resource(1, farm[0]), a_ticket(1, "a", resource=1))
    assert waiting_for(snapshot) == {"vm": 0}


def test_a_ticket_waits_for_no_pool_that_starts_nothing_for_its_tags() -> None:
    """Given a pool that starts on demand only, when tickets wait, then it is waited for by those with such a tag."""
    farm = [a_pool(tags={"a": 0}, tags_on_demand={"d": 0})]
    assert waiting_for(a_snapshot(farm, a_ticket(1, "a"), a_ticket(2, "a", "d"))) == {"vm": 1}


@given(pools(), crowded())
def test_tickets_wait_for_the_pools_that_their_explanations_name(farm: list[Pool], happenings: list[Event]) -> None:
    """Given any farm, then for each pool those wait in whose explanation it is one that starts for them."""
    snapshot, now = at_some_time(farm, happenings, rest=False)
    told = Counter(dict.fromkeys(snapshot.pools, 0))
    never = {Reason.ON_DEMAND_ONLY, Reason.OLD_TAGS, Reason.NOT_CONFIGURED}
    for tags, case in explain(snapshot, now).cases.items():
        for prospect in case.prospects:
            if never.isdisjoint(hold.reason for hold in prospect.holds):
                told[prospect.pool] += len(snapshot.waiting[tags])
    assert waiting_for(snapshot) == dict(told)
