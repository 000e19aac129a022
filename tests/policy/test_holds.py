"""Resources that operators hold: they are neither assigned nor deleted."""

import pytest

from functions.policy.plan.plan import Plan, plan
from functions.policy.plan.steps import (
    Assign,
    DeleteAfterRun,
    DropIntent,
    EndHold,
    HoldResource,
    Release,
    RequestDelete,
    StartDelete,
    StartResource,
)
from functions.policy.transitions.hook_results import fold_resource
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.resource import HOLDABLE, end_hold, hold_resource, release_resource
from state.documents import Actor, HookKind, PoolMode, ResourceState
from tests.policy.world import (
    NOW,
    a_closed_ticket,
    a_hold,
    a_pool,
    a_record,
    a_released_resource,
    a_resource,
    a_snapshot,
    a_ticket,
    an_assigned_ticket,
    an_end_of_hold,
    an_intent,
    of_kind,
    steps_of,
)

REUSING = a_pool(reuse_opportunity_time=1000)
HELD = {"held_since": NOW - 9, "held_until": NOW + 100, "held_by": "alice", "held_reason": "look"}
OVER = {**HELD, "held_until": NOW - 1}
UNTIL_LATER = Plan((), NOW + 100)


def test_an_intent_holds_what_is_free_in_the_plan_that_decides_it() -> None:
    """Given a ticket that would get the resource, when it is to be held, then it is, and the ticket waits."""
    assert steps_of([REUSING], a_resource(5), a_ticket(1), a_hold(1, 5)) == [HoldResource(5, 1), DropIntent(1)]


def test_a_held_resource_shows_its_holder_reason_and_end() -> None:
    """Given an intent, when decided, then its facts are in the resource; the same intent again changes nothing."""
    kept = hold_resource(a_resource(5), a_hold(1, 5), NOW)
    assert (kept.held_since, kept.held_until, kept.held_by, kept.held_reason) == (NOW, NOW + 3600, "alice", "look")
    assert hold_resource(kept, a_hold(2, 5), NOW + 7) is kept
    longer = hold_resource(kept, a_hold(2, 5, NOW + 9000), NOW + 7)
    assert (longer.held_since, longer.held_until) == (NOW, NOW + 9000)
    assert [event.until for event in longer.history] == [NOW + 3600, NOW + 9000]
    assert end_hold(longer, None, NOW + 8).history[-1].until is None


@pytest.mark.parametrize("state", [state for state in ResourceState if state not in HOLDABLE])
def test_only_what_is_up_is_held(state: ResourceState) -> None:
    """Given a resource in another state, when it is to be held, then the intent is dropped."""
    assert HoldResource(5, 1) not in steps_of([REUSING], a_resource(5, state=state), a_hold(1, 5))


@pytest.mark.parametrize(
    "resource",
    [
        a_resource(5, "gpu", **HELD),
        a_resource(5, check_failed_count=9, **HELD),
        a_released_resource(5, released_at=0.0, **HELD),
        a_released_resource(5, releases_counter=99, **HELD),
        a_released_resource(5, sandboxed_since=0.0, **HELD),
    ],
    ids=["surplus", "dead", "idle", "used up", "old"],
)
def test_nothing_deletes_what_is_held(resource) -> None:
    """Given any reason to delete it, when it is held, then the plan is empty and waits for the end of the hold."""
    pools = [a_pool(reuse_opportunity_time=60, reuse_max_count=2), a_pool("gpu", tags_on_demand={"gpu": 0})]
    assert plan(a_snapshot(pools, resource), NOW) == UNTIL_LATER


@pytest.mark.parametrize("document", [a_record(REUSING, mode=PoolMode.DRAINING, drain_until=0.0), an_intent(1, 5)])
@pytest.mark.parametrize("taken", [True, False])
def test_neither_a_drain_nor_an_operator_deletes_what_is_held(document, taken: bool) -> None:
    """Given a drain past its deadline, or an intent to delete it, when it is held, then it stays, taken or not."""
    documents = [an_assigned_ticket(7, 5)] if taken else []
    steps = steps_of([REUSING], a_resource(5, **HELD), document, *documents)
    assert of_kind(steps, RequestDelete, DeleteAfterRun, StartDelete) == []


def test_a_held_spare_is_replaced_within_max() -> None:
    """Given a pool with its one spare held, when planned, then it starts another one, if max lets it."""
    for most, starts in ((2, 1), (1, 0)):
        pool = a_pool(max=most, max_prealloc=1)
        assert steps_of([pool], a_resource(5, pool, **HELD)) == [StartResource("vm")] * starts


def test_its_ticket_lets_it_go_and_it_stays() -> None:
    """Given a held resource whose ticket is closed, when planned, then it is released, and not assigned again."""
    documents = a_resource(5, **HELD), a_closed_ticket(1, 5, sandbox="s"), a_ticket(2, sandbox="s")
    assert steps_of([a_pool()], *documents) == [Release(1, 5, False)]


@pytest.mark.parametrize("bad", [None, "disk full"])
@pytest.mark.parametrize("exit", [0, 1])
def test_after_its_release_it_stays(bad: str | None, exit: int) -> None:
    """Given a release hook, when it ends for a held resource, then that is UP; it is to go if it failed or was bad."""
    releasing = release_resource(a_resource(5, **HELD), a_closed_ticket(1, 5, bad=bad), True, NOW)
    assert releasing.run is not None
    ended = Outcome(run=releasing.run.id, kind=HookKind.RELEASE, started_at=NOW, ended_at=NOW, exit=exit)
    resource = fold_resource(releasing, ended, REUSING)
    assert (resource.state, bool(resource.delete_after_run)) == (ResourceState.UP, bool(exit or bad))
    assert plan(a_snapshot([REUSING], resource, a_ticket(2, sandbox="sandbox of 1")), NOW) == UNTIL_LATER


def test_a_hold_ends_when_its_time_is_over() -> None:
    """Given a free resource, when its hold is over, then that ends it, and the next plan gives it away."""
    assert steps_of([REUSING], a_resource(5, **OVER), a_ticket(1)) == [EndHold(5, "its time is over")]
    assert steps_of([REUSING], end_hold(a_resource(5, **OVER), None, NOW), a_ticket(1)) == [Assign(1, 5)]


def test_a_hold_that_lasts_longer_than_any_may_is_over() -> None:
    """Given a clock that was set back by months, when planned, then a hold does not last so much longer."""
    resource = a_resource(5, **{**HELD, "held_until": NOW + 1e7})
    assert steps_of([REUSING], resource) == [EndHold(5, "its time is over")]


def test_an_operator_ends_a_hold() -> None:
    """Given an intent to end the hold, when planned, then the hold ends, with the author; otherwise nothing changes."""
    ended = [EndHold(5, "bob", Actor.OPERATOR), DropIntent(1)]
    assert steps_of([REUSING], a_resource(5, **HELD), an_end_of_hold(1, 5)) == ended
    assert steps_of([REUSING], a_resource(5), an_end_of_hold(1, 5)) == [DropIntent(1)]
    free = end_hold(a_resource(5, **HELD), "bob", NOW, Actor.OPERATOR)
    assert (free.held, free.held_since, free.held_by, free.held_reason) == (False, None, None, None)


def test_released_and_deleted_in_one_plan() -> None:
    """Given intents to end the hold and to delete it, when planned in this order, then it is deleted."""
    steps = steps_of([REUSING], a_resource(5, **HELD), an_end_of_hold(1, 5), an_intent(2, 5))
    assert of_kind(steps, StartDelete) == [StartDelete(5)]
    steps = steps_of([REUSING], a_resource(5, **HELD), an_intent(1, 5), an_end_of_hold(2, 5))
    assert of_kind(steps, StartDelete) == []


def test_the_earlier_of_two_intents_wins() -> None:
    """Given intents to delete and to hold it, when planned, then the one with the lower number is fulfilled."""
    steps = steps_of([REUSING], a_resource(5), an_intent(1, 5), a_hold(2, 5))
    assert of_kind(steps, StartDelete, HoldResource) == [StartDelete(5)]
    steps = steps_of([REUSING], a_resource(5), a_hold(1, 5), an_intent(2, 5))
    assert of_kind(steps, StartDelete, HoldResource) == [HoldResource(5, 1)]


def test_intents_about_one_resource_are_fulfilled_in_their_order() -> None:
    """Given intents to hold, to release and to delete it, when planned, then the later ones wait for the next plan.

    So they do when the first one only renews a hold. Intents about others do not wait.
    """
    intents = a_hold(1, 5), an_end_of_hold(2, 5), an_intent(3, 5), an_intent(4, 6)
    for resource in (a_resource(5), a_resource(5, **HELD)):
        steps = steps_of([REUSING], resource, a_resource(6), *intents)
        assert [step.intent for step in of_kind(steps, DropIntent)] == [1, 4]
    steps = steps_of([REUSING], a_resource(5), a_hold(1, 5), a_hold(2, 5, NOW + 9000))
    assert of_kind(steps, DropIntent) == [DropIntent(1)]
    kept = hold_resource(a_resource(5), intents[0], NOW)
    steps = steps_of([REUSING], kept, *intents[1:3])
    assert of_kind(steps, EndHold, StartDelete, DropIntent) == [
        EndHold(5, "bob", Actor.OPERATOR),
        DropIntent(2),
        DropIntent(3),
        StartDelete(5),
    ]


def test_what_was_to_go_goes_when_the_hold_ends() -> None:
    """Given a held resource that its client called bad, when its hold ends, then it is deleted in the same plan."""
    resource = a_released_resource(5, delete_after_run="bad", **OVER)
    assert steps_of([REUSING], resource) == [EndHold(5, "its time is over"), RequestDelete(5, "bad"), StartDelete(5)]


def test_a_held_one_that_is_free_is_not_taken() -> None:
    """Given one that is held, one that is held and taken, and one that is taken, when counted, then two are taken."""
    resources = a_resource(5, **HELD), a_resource(6, **HELD), a_resource(7)
    snapshot = a_snapshot([REUSING], *resources, an_assigned_ticket(1, 6), an_assigned_ticket(2, 7))
    assert snapshot.taken(REUSING.name) == 2
