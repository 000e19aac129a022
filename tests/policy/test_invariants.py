"""The invariants: each finds a farm that breaks only it, and none finds anything in what the policy brings about."""

from typing import Any

import pytest
from hypothesis import given

from config.pools import Pool
from functions.integrity.invariants import NOTES, Fault, Inventory, Kind, check
from state import documents
from state.documents import Actor, HookKind, PoolRecord, Resource, ResourceState, Run, Ticket, TicketState
from state.lifecycle import ResourceEvent
from tests.policy.farms import Event, History, events, pools
from tests.policy.world import (
    NOW,
    a_closed_ticket,
    a_pool,
    a_record,
    a_released_resource,
    a_resource,
    a_ticket,
    an_assigned_ticket,
    an_intent,
)

S = ResourceState
ENDED: dict[str, Any] = {
    "state": S.ENDED,
    "up_at": NOW - 90,
    "delete_began_at": NOW - 5,
    "ended_at": NOW,
    "reason": "x",
}
SETTLED = a_closed_ticket(1, 1)


def at(file: str, *documents: Ticket | Resource) -> dict[str, Any]:
    """Documents in an archive."""
    return {f"{file}/0/{document.id}.json": document for document in documents}


def failed(id: int, resource: int = 1, **fields: Any) -> Ticket:
    return an_assigned_ticket(
        id, resource, **{"state": TicketState.FAILED, "failed_at": NOW, "reason": "its resource died", **fields}
    )


def cut_off(id: int, fields: dict[str, Any]) -> Resource:
    """A resource that never came up, and ended without a delete although it is unknown what its start left behind."""
    event = documents.Event(at=NOW, n=1, event=ResourceEvent.START_CUT_OFF, actor=Actor.HOOK)
    return a_resource(id, **{**fields, "up_at": None, "delete_began_at": None, "history": (event,)})


HEALTHY = Inventory.of(
    a_resource(3, data=b"x"),
    a_released_resource(4, sandbox="s", released_ticket=1),
    a_resource(5, state=S.STARTING),
    a_resource(6, state=S.RELEASING, released_ticket=2),
    a_resource(7, state=S.DELETING),
    a_resource(8, state=S.DELETE_REQUEST),
    a_resource(9, "other", id_in_pool=3, counters={"address": 0}),
    an_assigned_ticket(3, 3),
    an_assigned_ticket(4, 4, sandbox="s"),
    a_ticket(5),
    failed(6),
    a_record(a_pool()),
    done=at("tickets/done", SETTLED, a_closed_ticket(2, None)),
    ended=at(
        "resources/ended", a_resource(1, **ENDED), a_resource(2, **{**ENDED, "up_at": None, "delete_began_at": None})
    ),
    pools={"vm": a_pool(max=6, max_starting=1)},
    keys={"tickets/keys/abc.json": 5},
    ceilings={"tickets": 7, "resources": 10},
    runs={"run of 5": True, "run of 6": False, "run of 7": True, "000003_watch_1": True, "agent_check_1_1": True},
    started=[1, 2, 3],
    known_to_clients=[1, 5],
    agents=[1],
)


def test_a_healthy_farm_has_no_fault() -> None:
    """Given every kind of document as it can be at rest, when checked, then nothing is reported."""
    assert check(HEALTHY) == []


BROKEN: dict[str, tuple[Inventory, set[tuple[Kind, str]]]] = {
    "a ticket open and settled": (
        Inventory.of(a_ticket(1), done=at("tickets/done", SETTLED)),
        {(Kind.DUPLICATE, "tickets/open/1.json")},
    ),
    "a resource living and ended": (
        Inventory.of(a_resource(1), ended=at("resources/ended", a_resource(1, **ENDED))),
        {(Kind.DUPLICATE, "resources/live/1.json")},
    ),
    "an open ticket among the settled": (
        Inventory.of(done=at("tickets/done", a_ticket(1))),
        {(Kind.WRONG_PLACE, "tickets/done/0/1.json")},
    ),
    "a living resource among the ended": (
        Inventory.of(ended=at("resources/ended", a_resource(1))),
        {(Kind.WRONG_PLACE, "resources/ended/0/1.json")},
    ),
    "a ceiling that is reached": (
        Inventory.of(a_ticket(7), ceilings={"tickets": 7}),
        {(Kind.COUNTER, "ids/tickets.ceiling")},
    ),
    "a ceiling below a resource of a ticket": (
        Inventory.of(failed(1, resource=9), ceilings={"resources": 9}),
        {(Kind.COUNTER, "ids/resources.ceiling")},
    ),
    "a ticket whose number was given out and is gone": (
        Inventory.of(a_ticket(1), known_to_clients=[1, 2]),
        {(Kind.MISSING_TICKET, "tickets/open/2.json")},
    ),
    "a ticket that events mention and is gone": (
        Inventory.of(a_ticket(1), in_events=[("tickets", 1), ("tickets", 2)]),
        {(Kind.MISSING_TICKET, "tickets/open/2.json")},
    ),
    "a resource that events mention and is gone": (
        Inventory.of(a_resource(1), in_events=[("resources", 1), ("resources", 2)]),
        {(Kind.MISSING_RESOURCE, "resources/live/2.json")},
    ),
    "a ticket that let a resource go and is gone": (
        Inventory.of(a_released_resource(1, released_ticket=3)),
        {(Kind.MISSING_TICKET, "tickets/open/3.json")},
    ),
    "a resource that was started and is gone": (
        Inventory.of(started=[4]),
        {(Kind.MISSING_RESOURCE, "resources/live/4.json")},
    ),
    "a ticket whose resource is gone": (
        Inventory.of(an_assigned_ticket(1, 4)),
        {(Kind.MISSING_RESOURCE, "resources/live/4.json")},
    ),
    "a ticket that forgot its resource": (
        Inventory.of(a_ticket(1, output=b"", assigned_at=NOW)),
        {(Kind.HALF_GRANTED, "tickets/open/1.json")},
    ),
    "a ticket that names another resource than it has": (
        Inventory.of(a_resource(1), an_assigned_ticket(1, 1, resource_name="another")),
        {(Kind.MISMATCH, "tickets/open/1.json")},
    ),
    "a ticket that was given what its resource is not": (
        Inventory.of(a_resource(1), an_assigned_ticket(1, 1, output=b"another")),
        {(Kind.MISMATCH, "tickets/open/1.json")},
    ),
    "a failed ticket without a reason": (
        Inventory.of(failed(1, reason=None), a_resource(1)),
        {(Kind.NO_REASON, "tickets/open/1.json")},
    ),
    "an ended resource without a reason": (
        Inventory.of(ended=at("resources/ended", a_resource(1, **{**ENDED, "reason": None}))),
        {(Kind.NO_REASON, "resources/ended/0/1.json")},
    ),
    "a resource with two open tickets": (
        Inventory.of(a_resource(1), an_assigned_ticket(1, 1), an_assigned_ticket(2, 1, assigned_at=NOW - 60)),
        {(Kind.DOUBLE_GRANT, "tickets/open/1.json")},
    ),
    "a resource of another sandbox": (
        Inventory.of(a_released_resource(1, sandbox="s", released_ticket=None), an_assigned_ticket(1, 1, sandbox="t")),
        {(Kind.WRONG_SANDBOX, "tickets/open/1.json")},
    ),
    "a delete of what is in use": (
        Inventory.of(a_resource(1, state=S.DELETING), an_assigned_ticket(1, 1)),
        {(Kind.DELETED_IN_USE, "tickets/open/1.json")},
    ),
    "an end without a delete": (
        Inventory.of(ended=at("resources/ended", a_resource(1, **{**ENDED, "delete_began_at": None}))),
        {(Kind.NEVER_DELETED, "resources/ended/0/1.json")},
    ),
    "an end of a start that was cut off": (
        Inventory.of(ended=at("resources/ended", cut_off(1, ENDED))),
        {(Kind.NEVER_DELETED, "resources/ended/0/1.json")},
    ),
    "the same number twice in a pool": (
        Inventory.of(a_resource(1, id_in_pool=0), a_resource(2, id_in_pool=0), a_resource(3, "other", id_in_pool=0)),
        {(Kind.SAME_NUMBER, "resources/live/2.json")},
    ),
    "the same value of a counter twice": (
        Inventory.of(a_resource(1, counters={"ip": 0, "x": 1}), a_resource(2, "other", counters={"ip": 0, "x": 2})),
        {(Kind.SAME_NUMBER, "resources/live/2.json")},
    ),
    "the same name twice": (
        Inventory.of(a_resource(1, name="n"), a_resource(2, name="n")),
        {(Kind.SAME_NAME, "resources/live/2.json")},
    ),
    "more than max": (
        Inventory.of(a_resource(1), a_resource(2), pools={"vm": a_pool(max=1)}),
        {(Kind.OVER_MAX, "pools/vm.json")},
    ),
    "more than max_starting": (
        Inventory.of(a_resource(1, state=S.STARTING), a_resource(2, state=S.STARTING), pools={"vm": a_pool(max=5)}),
        {(Kind.OVER_MAX, "pools/vm.json")},
    ),
    "a start that waits for nothing": (
        Inventory.of(a_resource(1, state=S.STARTING, run=None)),
        {(Kind.WRONG_RUN, "resources/live/1.json")},
    ),
    "a resource that waits for no reason": (
        Inventory.of(a_resource(1, run=Run(id="r", kind=HookKind.ALLOC, started_at=NOW))),
        {(Kind.WRONG_RUN, "resources/live/1.json")},
    ),
    "a run of another kind": (
        Inventory.of(a_resource(1, state=S.DELETING, run=Run(id="r", kind=HookKind.ALLOC, started_at=NOW))),
        {(Kind.WRONG_RUN, "resources/live/1.json")},
    ),
    "a hook that runs without a document": (
        Inventory.of(a_resource(1), runs={"000001_alloc_1": True}),
        {(Kind.LONELY_RUN, "runs/000001_alloc_1.run")},
    ),
    "a hook that runs for an agent that is gone": (
        Inventory.of(agents=[2], runs={"agent_prepare_1_9": True, "agent_check_2_9": True, "agent_converge_0_9": True}),
        {(Kind.LONELY_RUN, "runs/agent_prepare_1_9.run")},
    ),
    "a run of an agent that is over and forgotten": (
        Inventory.of(agents=[], runs={"agent_terminate_3_9": False}),
        {(Kind.LEFTOVER, "runs/agent_terminate_3_9.run")},
    ),
    "a run that is over and forgotten": (
        Inventory.of(runs={"000001_watch_77": False}),
        {(Kind.LEFTOVER, "runs/000001_watch_77.run")},
    ),
    "a closed ticket that is not settled": (
        Inventory.of(SETTLED, ended=at("resources/ended", a_resource(1, **ENDED))),
        {(Kind.UNSETTLED, "tickets/open/1.json")},
    ),
    "an open ticket whose resource is to go": (
        Inventory.of(a_resource(1, state=S.DELETE_REQUEST), an_assigned_ticket(1, 1)),
        {(Kind.UNSETTLED, "tickets/open/1.json")},
    ),
    "an ended resource that is not archived": (
        Inventory.of(a_resource(1, **ENDED)),
        {(Kind.UNSETTLED, "resources/live/1.json")},
    ),
    "a resource whose run is not there": (
        Inventory.of(a_resource(1, state=S.STARTING), runs={}),
        {(Kind.UNSETTLED, "resources/live/1.json")},
    ),
    "an intent that is not decided": (
        Inventory.of(a_resource(1), an_intent(1, 1)),
        {(Kind.UNSETTLED, "intents/1.json")},
    ),
    "a resource that is deleted although it is held": (
        Inventory.of(a_resource(1, state=S.DELETE_REQUEST, held_until=NOW, held_reason="look")),
        {(Kind.DELETED_WHILE_HELD, "resources/live/1.json")},
    ),
    "a number without a document": (
        Inventory.of(a_ticket(1), a_ticket(3)),
        {(Kind.GAP, "tickets/")},
    ),
    "a ticket of which only its key is left": (
        Inventory.of(a_ticket(1), a_ticket(3), keys={"tickets/keys/a.json": 2}),
        {(Kind.GAP, "tickets/")},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_invariant_finds_the_farm_that_breaks_only_it(name: str) -> None:
    """Given a farm with one thing wrong, when checked, then exactly that is reported, in a sentence with a repair."""
    inventory, wrong = BROKEN[name]
    faults = check(inventory)
    assert {(fault.kind, fault.file) for fault in faults} == wrong
    assert len(faults) == len(wrong)
    assert all(fault.sentence and fault.repair.endswith(".") for fault in faults)


def test_every_kind_of_the_invariants_is_broken_by_one_farm() -> None:
    """Given the farms above, when their kinds are gathered, then none is missing but those that files alone show."""
    of_places = {Kind.DAMAGED, Kind.UNREADABLE, Kind.QUARANTINED, Kind.FORMAT, Kind.FOLDER}
    of_places |= {Kind.KEPT, Kind.STRAY, Kind.GARBLED, Kind.NEWER, Kind.MISSING_POOL, Kind.MISSING_AGENT}
    assert {kind for _, wrong in BROKEN.values() for kind, _ in wrong} == set(Kind) - of_places


def test_what_is_kept_in_quarantine_or_forgotten_is_not_missing() -> None:
    """Given numbers without documents that are accounted for, when checked, then nothing is reported."""
    inventory = Inventory.of(
        an_assigned_ticket(1, 4),
        a_released_resource(6, released_ticket=7),
        lost=[("resources", 4), ("tickets", 8)],
        forgotten=[("tickets", 2), ("tickets", 7), ("resources", 5)],
        started=[5],
        known_to_clients=[8],
    )
    assert check(inventory) == []


def test_a_ceiling_must_be_above_numbers_in_quarantine_too() -> None:
    """Given a ticket in quarantine with the ceiling's number, when checked, then the ceiling is too low."""
    inventory = Inventory.of(lost=[("tickets", 5)], ceilings={"tickets": 5, "resources": 1})
    assert [fault.kind for fault in check(inventory)] == [Kind.COUNTER]


def test_a_fault_is_one_line() -> None:
    """Given a fault and a note, when printed, then each is a line that begins with which of both it is."""
    assert str(Fault(Kind.DAMAGED, "FORMAT", "it is gone", "Do it.")) == "fault FORMAT: it is gone (damaged). Do it."
    assert str(Fault(Kind.GAP, "tickets/", "x", "Y.")).startswith("note tickets/: x")


@given(pools(), events())
def test_whatever_happens_on_a_farm_no_invariant_breaks(farm: list[Pool], happenings: list[Event]) -> None:
    """Given any history, when planned and applied after each event, then no fault, and at rest no unsettled thing."""
    history = History.begin(farm)
    notes = NOTES - {Kind.UNSETTLED}
    for event in [("clock", 0), *happenings]:
        history.happen(event)
        for _ in range(3):
            history.apply(history.plan())
            assert faults_of(history) == []
        rest = [fault for fault in check(inventory_of(history)) if fault.kind not in notes]
        assert rest == []


def faults_of(history: History) -> list[Fault]:
    return [fault for fault in check(inventory_of(history)) if not fault.is_note]


def inventory_of(history: History) -> Inventory:
    """The farm as it would be on disk; documents that have left it are forgotten."""
    snapshot = history.snapshot
    records: list[PoolRecord] = list(snapshot.records.values())
    return Inventory.of(
        *snapshot.tickets.values(),
        *snapshot.resources.values(),
        *snapshot.intents.values(),
        *records,
        pools=snapshot.pools,
        forgotten={("tickets", number) for number in range(100)} | {("resources", number) for number in range(100)},
    )
