"""Explanations of waits agree with what the plan does."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from config.pools import Pool
from functions.policy.plan.draft import Draft
from functions.policy.plan.plan import decide, plan
from functions.policy.plan.starts import Limit, Reason
from functions.policy.plan.steps import Assign, StartResource
from functions.policy.preview.rehearsal import apply
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.waits.explain import Case, Explanation, explain
from functions.policy.waits.sentences import own_sentence, pool_sentence, why_briefly, why_waiting
from state.documents import PoolMode, Resource, ResourceState
from tests.policy.farms import SANDBOXES, Event, History, events, pools, tag_sets
from tests.policy.world import (
    NOW,
    Document,
    a_pool,
    a_record,
    a_released_resource,
    a_resource,
    a_snapshot,
    a_ticket,
    an_assigned_ticket,
)


def case_of(farm: list[Pool], *documents: Document, tags: tuple[str, ...] = ("a",)) -> Case:
    return explain(a_snapshot(farm, *documents), NOW).cases[frozenset(tags)]


def why(farm: list[Pool], *documents: Document, tags: tuple[str, ...] = ("a",)) -> str:
    return why_waiting(case_of(farm, *documents, tags=tags))


def reasons(case: Case, pool: str) -> dict[Reason, Limit]:
    return {limit.reason: limit for prospect in case.prospects if prospect.pool == pool for limit in prospect.limits}


# Examples


def test_a_pool_at_its_max_says_so() -> None:
    farm = [a_pool(tags={"a": 0}, max=1, max_prealloc=1)]
    case = case_of(farm, a_resource(1, farm[0]), an_assigned_ticket(1, 1), a_ticket(2, "a"))
    assert reasons(case, "vm") == {Reason.AT_MAX: Limit(Reason.AT_MAX, 1)}
    assert why_waiting(case) == "pool vm is at its max of 1, all taken"
    assert why_briefly(case) == "pool vm at its max of 1"


def test_a_pool_that_starts_one_says_so() -> None:
    farm = [a_pool(tags={"a": 0}, max_prealloc=1)]
    case = case_of(farm, a_resource(1, farm[0], ResourceState.STARTING), a_ticket(2, "a"))
    assert [(prospect.pool, prospect.starting) for prospect in case.prospects] == [("vm", 1)]
    assert why_briefly(case) == "pool vm starting 1"


def test_the_pool_that_promises_most_is_named_first() -> None:
    """Given a full pool, one that starts something and one that starts nothing for the ticket, then in that order."""
    farm = [
        a_pool("full", tags={"a": 0}, max=1, max_prealloc=1),
        a_pool("busy", tags={"a": 0}, max=1, max_prealloc=1),
        a_pool("vain", tags={"a": 0}, tags_on_demand={"x": 0}),
    ]
    taken = [a_resource(1, farm[0]), an_assigned_ticket(1, 1)]
    starting = a_resource(2, farm[1], ResourceState.STARTING)
    case = case_of(farm, *taken, starting, a_ticket(2, "a"))
    assert why_briefly(case) == "pool busy starting 1 (and 2 more pools)"
    assert why_waiting(case).split("; ") == [
        "pool busy is starting 1 and is at its max of 1 (0 taken)",
        "pool full is at its max of 1, all taken",
        "pool vain starts only for tickets that ask for x",
    ]


def test_a_pool_whose_starts_fail_says_until_when_and_why() -> None:
    farm = [a_pool(tags={"a": 0}, max_prealloc=1)]
    record = a_record(farm[0], start_failures=3, paused_until=NOW + 30, pause_reason="cmd_new exited 1: no quota left")
    assert why(farm, record, a_ticket(2, "a")) == (
        "pool vm starts nothing until 13:47:10 UTC because starts fail: cmd_new exited 1: no quota left"
    )


def test_a_start_delay_is_explained() -> None:
    farm = [a_pool(tags={"a": 0}, max_prealloc=1, start_delay=30)]
    case = case_of(farm, a_record(farm[0], last_start=NOW - 10), a_ticket(2, "a"))
    assert reasons(case, "vm") == {Reason.START_DELAY: Limit(Reason.START_DELAY, until=NOW + 20)}


def test_what_is_kept_for_other_sandboxes_is_explained() -> None:
    farm = [a_pool(tags={"a": 0}, max=1, max_prealloc=1, reuse_opportunity_time=60)]
    case = case_of(farm, a_released_resource(1, farm[0], "theirs"), a_ticket(2, "a", sandbox="mine"))
    assert reasons(case, "vm")[Reason.OTHER_SANDBOXES].count == 1
    assert why_waiting(case).endswith("and keeps 1 free resource for other sandboxes")


def test_a_failing_livecheck_is_explained() -> None:
    farm = [a_pool(tags={"a": 0}, max=1, max_prealloc=1)]
    case = case_of(farm, a_resource(1, farm[0], check_failed_count=1), a_ticket(2, "a"))
    assert reasons(case, "vm")[Reason.LIVECHECK_FAILING].count == 1


def test_a_pool_without_spares_says_that_it_starts_nothing() -> None:
    assert why([a_pool(tags={"a": 0})], a_ticket(2, "a")) == (
        "pool vm keeps no spares (max_prealloc is 0), so it starts nothing"
    )


def test_an_on_demand_pool_does_not_start_for_plain_tags() -> None:
    case = case_of([a_pool(tags={"a": 0}, tags_on_demand={"x": 0})], a_ticket(2, "a"))
    assert reasons(case, "vm") == {Reason.ON_DEMAND_ONLY: Limit(Reason.ON_DEMAND_ONLY, detail="x")}


def test_of_on_demand_pools_the_one_that_will_start_is_distinguished_from_the_others() -> None:
    farm = [a_pool("good", tags_on_demand={"x": 9}, start_delay=30), a_pool("bad", tags_on_demand={"x": 1})]
    case = case_of(farm, a_record(farm[0], last_start=NOW - 10), a_ticket(2, "x"), tags=("x",))
    assert reasons(case, "good").keys() == {Reason.START_DELAY}
    assert reasons(case, "bad").keys() == {Reason.BETTER_POOL}


def test_a_start_under_way_for_each_waiting_ticket_is_enough() -> None:
    farm = [a_pool(tags_on_demand={"x": 0})]
    case = case_of(farm, a_resource(1, farm[0], ResourceState.STARTING), a_ticket(2, "x"), tags=("x",))
    assert reasons(case, "vm").keys() == {Reason.MAX_STARTING, Reason.ENOUGH_COMING}


def test_tags_that_no_pool_has_are_explained() -> None:
    farm = [a_pool(tags={"a": 0, "b": 0}, max_prealloc=1)]
    assert case_of(farm, a_ticket(2, "a", "A", "B"), tags=("a", "A", "B")).missing == ("A", "B")
    assert why(farm, a_ticket(2, "a", "B"), tags=("a", "B")) == "no configured pool has the tag B"


def test_tags_that_no_pool_has_together_are_explained() -> None:
    farm = [a_pool("p", tags={"a": 0}), a_pool("q", tags={"b": 0})]
    assert why(farm, a_ticket(2, "a", "b"), tags=("a", "b")) == "no configured pool has all of these tags together"


def test_a_resource_with_older_tags_may_still_serve() -> None:
    farm = [a_pool(tags={"b": 0}, max_prealloc=1)]
    older = a_resource(1, farm[0], ResourceState.STARTING, tags={"a": 0})
    case = case_of(farm, older, a_ticket(2, "a"))
    assert reasons(case, "vm").keys() == {Reason.OLD_TAGS}
    assert case.prospects[0].starting == 1


def test_what_a_sandbox_has_of_its_own_is_explained() -> None:
    farm = [a_pool(tags={"a": 0}, max=1, max_prealloc=1, cmd_release="r", reuse_opportunity_time=60)]
    releasing = a_released_resource(1, farm[0], "mine", state=ResourceState.RELEASING)
    explained = explain(a_snapshot(farm, releasing, a_ticket(2, "a", sandbox="mine")), NOW)
    assert [(own.sandbox, own.releasing) for own in explained.own] == [("mine", 1)]
    assert own_sentence(explained.own[0]) == "1 resource of its own sandbox is being released"


def test_a_pool_that_operators_stopped_says_so_and_why() -> None:
    farm = [a_pool("p", tags={"a": 0}), a_pool("d", tags={"a": 0})]
    paused = a_record(farm[0], mode=PoolMode.PAUSED, mode_reason="new image")
    drained = a_record(farm[1], mode=PoolMode.DRAINING)
    starting = a_resource(1, farm[1], ResourceState.STARTING)
    case = explain(a_snapshot(farm, paused, drained, starting, a_ticket(1, "a")), NOW).cases[frozenset("a")]
    assert pool_sentence(case.prospects[0]).startswith("is paused by operators: new image")
    assert pool_sentence(case.prospects[1]).startswith("is drained by operators")
    assert case.prospects[1].starting == 0


def test_equal_cases_are_one_object() -> None:
    farm = [a_pool(tags={"a": 0, "b": 0}, max=0)]
    explained = explain(a_snapshot(farm, a_ticket(1, "a"), a_ticket(2, "b")), NOW)
    assert explained.cases[frozenset("a")] is explained.cases[frozenset("b")]


# For every farm

TIMED = (Reason.FAILING, Reason.START_DELAY)
STOPPED = (Reason.PAUSED, Reason.DRAINING)
NOTHING_STARTS = (Reason.ON_DEMAND_ONLY, Reason.OLD_TAGS, Reason.NOT_CONFIGURED)
START_LIMITS = (*TIMED, *STOPPED, Reason.AT_MAX, Reason.MAX_STARTING, Reason.ENOUGH_SPARES)


def crowded() -> st.SearchStrategy[list[Event]]:
    """Events of a farm that begin with many tickets."""
    tickets = st.lists(st.tuples(st.just("ticket"), tag_sets(), SANDBOXES), min_size=4, max_size=8)
    return st.tuples(tickets, events()).map(lambda parts: parts[0] + parts[1])


def at_some_time(farm: list[Pool], happenings: list[Event], rest: bool) -> tuple[Snapshot, float]:
    """The farm after these events; `rest`: once its plan is empty."""
    history = History.begin(farm)
    for event in happenings:
        history.happen(event)
        while rest and (decided := history.plan()).steps:
            history.apply(decided)
    return history.snapshot, history.now


@given(pools(), crowded(), st.booleans())
def test_what_is_about_to_start_is_what_the_plan_starts(farm: list[Pool], happenings: list[Event], rest: bool) -> None:
    """Given any farm, when explained, then a pool is about to start as many as its plan starts, and has no holds."""
    snapshot, now = at_some_time(farm, happenings, rest)
    starts = [step.pool for step in plan(snapshot, now).steps if isinstance(step, StartResource)]
    for case in explain(snapshot, now).cases.values():
        for prospect in case.prospects:
            assert prospect.about_to_start == starts.count(prospect.pool)
            if prospect.about_to_start:
                assert not any(limit.reason in START_LIMITS for limit in prospect.limits)


@given(pools(), crowded())
def test_at_rest_every_pool_that_could_serve_says_what_holds_it(farm: list[Pool], happenings: list[Event]) -> None:
    """Given a farm at rest, when a ticket waits, then each pool that has its tags gives at least one reason."""
    snapshot, now = at_some_time(farm, happenings, rest=True)
    for tags, case in explain(snapshot, now).cases.items():
        assert {p.pool for p in case.prospects} >= {p.name for p in snapshot.pools.values() if tags <= p.offers.keys()}
        for prospect in case.prospects:
            assert prospect.limits
            assert pool_sentence(prospect)
        assert why_waiting(case)


def without(pool: Pool, limits: list[Limit]) -> Pool:
    """The options of the pool, so changed that these limits do not hold it any more."""
    changes: dict[str, object] = {}
    for limit in limits:
        match limit.reason:
            case Reason.AT_MAX:
                changes["max"] = 99
            case Reason.MAX_STARTING:
                changes["max_starting"] = 99
            case Reason.ENOUGH_SPARES:
                changes["max_prealloc"] = 99
            case Reason.START_DELAY:
                changes["start_delay"] = 0
    return msgspec.structs.replace(pool, **changes)


def lift(snapshot: Snapshot, name: str, limits: list[Limit]) -> None:
    """Take away what limits one pool."""
    changed = without(snapshot.pools[name], limits)
    snapshot.set_pools([changed if pool.name == name else pool for pool in snapshot.pools.values()])
    if any(limit.reason is Reason.FAILING for limit in limits):
        snapshot.put_record(snapshot.records[name].replace(paused_until=None, pause_reason=None))
    if any(limit.reason in STOPPED for limit in limits):
        snapshot.put_record(snapshot.records[name].replace(mode=PoolMode.ACTIVE))


@given(pools(), crowded(), st.data())
def test_a_pool_starts_once_all_that_holds_it_is_gone_and_not_before(
    farm: list[Pool], happenings: list[Event], data: st.DataObject
) -> None:
    """Given a farm at rest, when all limits of a pool are lifted, then it starts one; when all but one, it does not."""
    snapshot, now = at_some_time(farm, happenings, rest=True)
    explained = explain(snapshot, now)
    candidates = [
        (tags, prospect)
        for tags, case in explained.cases.items()
        for prospect in case.prospects
        if any(limit.reason in START_LIMITS for limit in prospect.limits)
        and not any(limit.reason in (Reason.ENOUGH_COMING, Reason.BETTER_POOL) for limit in prospect.limits)
    ]
    if not candidates:
        return
    tags, prospect = data.draw(st.sampled_from(candidates))
    limits = [limit for limit in prospect.limits if limit.reason in START_LIMITS]
    kept = data.draw(st.sampled_from([None, *limits]))
    lift(snapshot, prospect.pool, [limit for limit in limits if limit is not kept])
    draft = Draft(snapshot, now)
    starts = [step.pool for step in decide(draft).steps if isinstance(step, StartResource)]
    if kept is not None:
        assert prospect.pool not in starts
    elif not snapshot.pools[prospect.pool].on_demand:
        assert prospect.pool in starts
    else:
        # A better pool may have come into question too; and what starts in a pool counts again when it drains no more.
        assert starts or draft.covered.keys() >= set(snapshot.waiting[tags])


def grow(snapshot: Snapshot, now: float) -> None:
    """Let every pool start whatever it can, let all starts and releases succeed, and assign what comes."""
    snapshot.set_pools([without(pool, [Limit(reason) for reason in START_LIMITS]) for pool in snapshot.pools.values()])
    for record in list(snapshot.records.values()):
        snapshot.put_record(record.replace(paused_until=None, mode=PoolMode.ACTIVE))
    for _ in range(4):
        apply(snapshot, plan(snapshot, now), now)
        for resource in list(snapshot.resources.values()):
            if resource.state in (ResourceState.STARTING, ResourceState.RELEASING):
                snapshot.put_resource(came_up(resource))


def came_up(resource: Resource) -> Resource:
    return resource.replace(state=ResourceState.UP, run=None, data=b"data")


@given(pools(), crowded())
def test_a_ticket_that_no_pool_can_serve_is_not_served_by_any_growth(farm: list[Pool], happenings: list[Event]) -> None:
    """Given a farm at rest, when it grows without limits, then tickets without prospects still wait, others do not."""
    snapshot, now = at_some_time(farm, happenings, rest=True)
    explained = explain(snapshot, now)
    own = {(own.tags, own.sandbox) for own in explained.own}
    waiting = {id: frozenset(snapshot.tickets[id].tags) for tags in explained.cases for id in snapshot.waiting[tags]}
    starts = {
        tags: any(
            all(
                limit.reason not in (Reason.ON_DEMAND_ONLY, Reason.OLD_TAGS, Reason.NOT_CONFIGURED)
                for limit in p.limits
            )
            for p in case.prospects
        )
        for tags, case in explained.cases.items()
    }
    grow(snapshot, now)
    for id, tags in waiting.items():
        ticket = snapshot.tickets[id]
        if not explained.cases[tags].prospects and (tags, ticket.sandbox) not in own:
            assert ticket.waiting
        elif starts[tags]:
            assert not ticket.waiting


@given(pools(), crowded())
def test_equal_tickets_are_served_in_the_order_of_their_places(farm: list[Pool], happenings: list[Event]) -> None:
    """Given any farm, when planned, then of tickets that differ in nothing those with the lower ids come first."""
    snapshot, now = at_some_time(farm, happenings, rest=False)
    served = [step.ticket for step in plan(snapshot, now).steps if isinstance(step, Assign)]
    for tags in explain(snapshot, now).cases:
        strangers = [id for id in snapshot.waiting[tags] if snapshot.tickets[id].sandbox is None]
        assert [id for id in strangers if id in served] == strangers[: len(set(strangers) & set(served))]


def test_an_explanation_changes_nothing() -> None:
    farm = [a_pool(tags={"a": 0}, max_prealloc=1)]
    snapshot = a_snapshot(farm, a_ticket(1, "a"))
    first: Explanation = explain(snapshot, NOW)
    assert explain(snapshot, NOW) == first
