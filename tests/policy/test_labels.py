from hypothesis import given
from hypothesis import strategies as st

from functions.policy.waits.labels import LONGEST_NAME, MOST_EVER, MOST_NAMED, named

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


def test_given_very_many_names_before_only_those_are_given_again():
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
