"""Hypothesis strategies: pools, arbitrary documents, and histories of what may happen on a farm."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from config.pools import Pool
from functions.policy.plan.plan import Plan, plan
from functions.policy.preview.rehearsal import apply
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.hook_results import fold_resource
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.pool import fold_record
from functions.policy.transitions.resource import DELETABLE_AFTER_RUN, HOLDABLE
from functions.policy.transitions.ticket import close_ticket
from state.documents import HookKind, IntentKind, PoolMode, Resource, ResourceState, Ticket, TicketState
from tests.policy.world import (
    NOW,
    Document,
    a_hold,
    a_pool,
    a_pool_intent,
    a_record,
    a_resource,
    a_snapshot,
    a_ticket,
    an_end_of_hold,
    an_intent,
)

PLAIN, ON_DEMAND = ("a", "b", "c"), ("x", "y")
PRIORITIES = st.sampled_from([0, 0, 1, 10, -5, 500, 600])
SANDBOXES = st.sampled_from([None, "s", "t"])
POOL_VERBS = [IntentKind.PAUSE_POOL, IntentKind.DRAIN_POOL, IntentKind.RESUME_POOL, IntentKind.RETRY_POOL]
TIMES = st.sampled_from([NOW - 4000, NOW - 90, NOW - 20, NOW - 1, NOW, NOW + 20])


@st.composite
def pools(draw: st.DrawFn) -> list[Pool]:
    """Up to four pools in any order, on-demand or not, some with reuse, release hook or start_delay."""
    names = draw(st.permutations(["p", "q", "r", "z"]))[: draw(st.integers(1, 4))]
    return [
        a_pool(
            name,
            max=draw(st.integers(0, 5)),
            max_starting=draw(st.integers(0, 3)),
            max_prealloc=draw(st.integers(0, 3)),
            start_delay=draw(st.sampled_from([0, 0, 30])),
            tags=draw(st.dictionaries(st.sampled_from(PLAIN), PRIORITIES)),
            tags_on_demand=draw(st.dictionaries(st.sampled_from(ON_DEMAND), PRIORITIES)),
            cmd_release=draw(st.sampled_from([None, "release"])),
            livecheck_attempts=draw(st.integers(1, 3)),
            delete_attempts=2,
            reuse_opportunity_time=draw(st.sampled_from([0, 60, 1000])),
            reuse_max_count=draw(st.integers(0, 2)),
            reuse_max_time=draw(st.sampled_from([0, 100, 3600])),
        )
        for name in names
    ]


def tag_sets() -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(PLAIN + ON_DEMAND), max_size=2).map(tuple)


@st.composite
def resources(draw: st.DrawFn, id: int, farm: list[Pool]) -> Resource:
    pool = draw(st.sampled_from([*farm, *farm, a_pool("gone", tags={"a": 1})]))
    state = draw(st.sampled_from([*ResourceState] + [ResourceState.UP] * 6))
    tags = draw(st.sampled_from([pool.offers, pool.offers, {}, {"a": 0, "x": 2}]))
    sandbox = draw(SANDBOXES)
    busy = state in DELETABLE_AFTER_RUN
    is_held = state in HOLDABLE and draw(st.integers(0, 5)) == 0
    return a_resource(
        id,
        pool.name,
        state,
        tags=tags,
        sandbox=sandbox,
        sandboxed_since=draw(TIMES) if sandbox else None,
        releases_counter=draw(st.integers(1, 3)) if sandbox else 0,
        released_at=draw(TIMES) if sandbox else None,
        released_ticket=draw(st.sampled_from([None, 1, 2, 3])),
        check_failed_count=draw(st.sampled_from([0, 0, 0, 1, 2, 3])),
        delete_after_run=draw(st.sampled_from([None, None, "why"])) if busy or is_held else None,
        held_until=draw(st.sampled_from([NOW - 1, NOW, NOW + 20, NOW + 1e7])) if is_held else None,
        delete_retry_at=draw(st.none() | TIMES) if state is ResourceState.DELETE_REQUEST else None,
    )


@st.composite
def tickets(draw: st.DrawFn, id: int, resource_ids: list[int]) -> Ticket:
    ticket = a_ticket(id, *draw(tag_sets()), sandbox=draw(SANDBOXES))
    kind = draw(st.sampled_from(["waiting"] * 4 + ["has one", "closed", "failed"]))
    if kind == "waiting":
        return ticket
    state = {"has one": TicketState.OPEN, "closed": TicketState.CLOSED, "failed": TicketState.FAILED}[kind]
    bad = draw(st.sampled_from([None, None, "why"])) if state is TicketState.CLOSED else None
    return ticket.replace(state=state, resource=draw(st.sampled_from(resource_ids)), assigned_at=draw(TIMES), bad=bad)


@st.composite
def documents(draw: st.DrawFn, farm: list[Pool], size: int = 10) -> list[Document]:
    """Documents of every kind, also such as can never come about together."""
    resource_ids = draw(st.sets(st.integers(1, size), max_size=size))
    found: list[Document] = [draw(resources(id, farm)) for id in sorted(resource_ids)]
    found += [
        draw(tickets(id, [*range(1, size + 1)])) for id in sorted(draw(st.sets(st.integers(1, size), max_size=size)))
    ]
    for pool in [*farm, a_pool("gone", reuse_opportunity_time=60)]:
        if draw(st.booleans()):
            paused_until, last_start = draw(st.none() | TIMES), draw(st.none() | TIMES)
            mode = draw(st.sampled_from([PoolMode.ACTIVE, PoolMode.ACTIVE, *PoolMode]))
            until = draw(st.none() | TIMES) if mode is PoolMode.DRAINING else None
            found.append(a_record(pool, paused_until=paused_until, last_start=last_start, mode=mode, drain_until=until))
    for id in draw(st.sets(st.integers(1, 3), max_size=2)):
        kind = draw(st.sampled_from(["delete", "hold", "end of hold", "pool"]))
        if kind == "delete":
            found.append(an_intent(id, draw(st.integers(1, size)), unused_only=draw(st.booleans())))
        elif kind == "hold":
            found.append(a_hold(id, draw(st.integers(1, size)), draw(TIMES)))
        elif kind == "end of hold":
            found.append(an_end_of_hold(id, draw(st.integers(1, size))))
        else:
            verb, until = draw(st.sampled_from(POOL_VERBS)), draw(st.none() | TIMES)
            found.append(a_pool_intent(id, verb, draw(st.sampled_from(["p", "q", "gone", "nowhere"])), until=until))
    return found


@st.composite
def farms(draw: st.DrawFn) -> tuple[list[Pool], list[Document]]:
    farm = draw(pools())
    return farm, draw(documents(farm))


# Histories

Event = tuple[Any, ...]
CHOSEN = st.integers(0, 30)
ENDINGS = st.sampled_from(["good", "good", "good", "bad", "cut off", "lost"])


def events() -> st.SearchStrategy[list[Event]]:
    """Lists of events; a number chooses among the documents of that time."""
    return st.lists(
        st.one_of(
            st.tuples(st.just("ticket"), tag_sets(), SANDBOXES),
            st.tuples(st.just("close"), CHOSEN, st.sampled_from([None, None, "why"])),
            st.tuples(st.just("run ends"), CHOSEN, ENDINGS),
            st.tuples(st.just("run ends"), CHOSEN, ENDINGS),
            st.tuples(st.just("livecheck"), CHOSEN, st.booleans()),
            st.tuples(st.just("intent"), CHOSEN, st.booleans()),
            st.tuples(st.just("hold"), CHOSEN, st.sampled_from([0, 30, 500])),
            st.tuples(st.just("end of hold"), CHOSEN),
            st.tuples(st.just("pool verb"), CHOSEN, st.sampled_from(POOL_VERBS), st.sampled_from([None, 0, 60])),
            st.tuples(st.just("clock"), st.sampled_from([1, 5, 61, 1000])),
            st.tuples(st.just("pools"), pools()),
        ),
        max_size=25,
    )


@dataclass
class History:
    """A farm to which events happen, one after another."""

    snapshot: Snapshot
    now: float = NOW
    last_ticket: int = 0
    last_intent: int = 0

    @classmethod
    def begin(cls, farm: list[Pool]) -> "History":
        return cls(a_snapshot(farm, *(a_record(pool) for pool in farm)))

    def happen(self, event: Event) -> None:
        kind, *details = event
        {
            "ticket": self._ticket,
            "close": self._close,
            "run ends": self._run_ends,
            "livecheck": self._livecheck,
            "intent": self._intent,
            "hold": self._hold,
            "end of hold": self._end_hold,
            "pool verb": self._pool_verb,
            "clock": self._clock,
            "pools": self._pools,
        }[kind](*details)

    def plan(self) -> Plan:
        return plan(self.snapshot, self.now)

    def apply(self, decided: Plan) -> None:
        apply(self.snapshot, decided, self.now)

    def _ticket(self, tags: tuple[str, ...], sandbox: str | None) -> None:
        self.last_ticket += 1
        self.snapshot.put_ticket(a_ticket(self.last_ticket, *tags, sandbox=sandbox, created_at=self.now))

    def _close(self, chosen: int, bad: str | None) -> None:
        closable = [ticket for ticket in self.snapshot.tickets.values() if ticket.state is not TicketState.CLOSED]
        if closable:
            self.snapshot.put_ticket(close_ticket(closable[chosen % len(closable)], self.now, bad=bad))

    def _run_ends(self, chosen: int, ending: str) -> None:
        busy = self.snapshot.resources_in_run()
        if not busy:
            return
        resource = busy[chosen % len(busy)]
        assert resource.run is not None
        exit_status = {"good": 0, "bad": 1}.get(ending)
        outcome = Outcome(
            run=resource.run.id,
            kind=resource.run.kind,
            started_at=resource.run.started_at,
            ended_at=self.now,
            exit=exit_status,
            cut_off="time limit" if ending == "cut off" else None,
            lost=ending == "lost",
            output=b"data",
        )
        pool = self.snapshot.options_of(resource.pool)
        self.snapshot.put_resource(fold_resource(resource, outcome, pool))
        if outcome.kind is HookKind.ALLOC:
            record = self.snapshot.records[resource.pool]
            self.snapshot.put_record(fold_record(record, outcome, pool.start_delay if pool else 0))

    def _livecheck(self, chosen: int, good: bool) -> None:
        up = [resource for resource in self.snapshot.resources.values() if resource.state is ResourceState.UP]
        if up:
            resource = up[chosen % len(up)]
            outcome = Outcome(
                run="a livecheck",
                kind=HookKind.WATCH,
                started_at=self.now,
                ended_at=self.now,
                exit=0 if good else 1,
            )
            self.snapshot.put_resource(fold_resource(resource, outcome, None))

    def _intent(self, chosen: int, unused_only: bool) -> None:
        self.last_intent += 1
        ids = [*self.snapshot.resources, 999]
        self.snapshot.put_intent(an_intent(self.last_intent, ids[chosen % len(ids)], unused_only=unused_only))

    def _hold(self, chosen: int, seconds: float) -> None:
        self.last_intent += 1
        ids = [*self.snapshot.resources, 999]
        self.snapshot.put_intent(a_hold(self.last_intent, ids[chosen % len(ids)], self.now + seconds))

    def _end_hold(self, chosen: int) -> None:
        self.last_intent += 1
        ids = [*self.snapshot.resources, 999]
        self.snapshot.put_intent(an_end_of_hold(self.last_intent, ids[chosen % len(ids)]))

    def _pool_verb(self, chosen: int, kind: IntentKind, deadline: float | None) -> None:
        self.last_intent += 1
        names = [*self.snapshot.records]
        until = self.now + deadline if deadline is not None and kind is IntentKind.DRAIN_POOL else None
        self.snapshot.put_intent(a_pool_intent(self.last_intent, kind, names[chosen % len(names)], until=until))

    def _clock(self, seconds: float) -> None:
        self.now += seconds

    def _pools(self, farm: list[Pool]) -> None:
        for pool in farm:
            record = self.snapshot.records.get(pool.name) or a_record(pool)
            self.snapshot.put_record(record.replace(options=a_record(pool).options))
        self.snapshot.set_pools(farm)
