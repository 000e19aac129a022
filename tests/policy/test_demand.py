"""The number of tickets that wait for each pool, as explanations say it, and the names of their tag sets."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from config.pools import Pool
from functions.policy.plan.starts import Reason
from functions.policy.waits.demand import LONGEST_NAME, MOST_EVER, MOST_NAMED, named, waiting_for
from functions.policy.waits.explain import explain
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
    counted = Counter(dict.fromkeys(snapshot.pools, 0))
    never = {Reason.ON_DEMAND_ONLY, Reason.OLD_TAGS, Reason.NOT_CONFIGURED}
    for tags, case in explain(snapshot, now).cases.items():
        for prospect in case.prospects:
            if never.isdisjoint(limit.reason for limit in prospect.limits):
                counted[prospect.pool] += len(snapshot.waiting[tags])
    assert waiting_for(snapshot) == dict(counted)


tag_sets = st.frozensets(st.text(min_size=1, max_size=50), max_size=5)


def everything(_tags):
    return True


def test_the_largest_are_named_after_their_sorted_tags():
    sizes = {frozenset({"b", "a"}): 3, frozenset({"c"}): 1}
    assert named(sizes, everything) == {frozenset({"a", "b"}): "a,b", frozenset({"c"}): "c"}


def test_given_more_than_may_be_named_the_smallest_are_not():
    sizes = {frozenset({f"t{number}"}): number for number in range(1, 100)}
    assert set(named(sizes, everything).values()) == {f"t{number}" for number in range(99, 99 - MOST_NAMED, -1)}


def test_what_no_pool_can_serve_is_not_named_however_many_wait():
    sizes = {frozenset({"nobody"}): 1000, frozenset({"x"}): 1}
    assert named(sizes, lambda tags: "x" in tags) == {frozenset({"x"}): "x"}


def test_given_very_many_names_before_only_those_are_used_again():
    before = {frozenset({f"t{number}"}) for number in range(MOST_EVER - 1)}
    sizes = {frozenset({name}): 1 for name in ("t7", "new", "newer")}
    assert set(named(sizes, everything, before).values()) == {"t7", "new"}


@given(st.dictionaries(tag_sets, st.integers(1, 1000), max_size=60), st.sets(tag_sets))
def test_names_are_few_short_and_only_for_what_can_be_served(sizes, served):
    names = named(sizes, lambda tags: tags in served)
    assert len(names) <= MOST_NAMED
    assert names.keys() <= sizes.keys() & served
    assert all(0 < len(name) <= LONGEST_NAME for name in names.values())


@given(st.lists(st.dictionaries(tag_sets, st.integers(1, 1000), max_size=60), max_size=30))
def test_names_are_bounded_over_time(rounds):
    before: set[frozenset[str]] = set()
    for sizes in rounds:
        before.update(named(sizes, everything, before))
    assert len(before) <= MOST_EVER
