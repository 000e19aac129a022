"""A day of a build farm in simulated time: the real policy, hooks that take their time and sometimes fail."""

import heapq
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import msgspec

from config.pools import Pool
from functions.policy.order import Queue, before, order_key, rivals
from functions.policy.plan.plan import plan
from functions.policy.plan.steps import Assign, StartResource, Step
from functions.policy.preview.rehearsal import apply
from functions.policy.snapshot.snapshot import Snapshot
from functions.policy.transitions.hook_results import fold_resource
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.pool import fold_record, fold_taken_times
from functions.policy.transitions.resource import new_resource
from functions.policy.transitions.run_id import RunId
from functions.policy.transitions.ticket import close_ticket
from functions.policy.waits.estimate import Confidence, Estimate, estimate
from functions.policy.waits.explain import explain
from state.documents import HookKind, Intent, IntentKind, PoolRecord, Resource, ResourceState, Run, Ticket, TicketState

START = 1_000_000.0
USERS = 40
DEMANDS = (
    (("copr_builder", "arch_x86_64"), 40),
    (("copr_builder", "arch_noarch"), 10),
    (("copr_builder", "arch_i386"), 6),
    (("copr_builder", "arch_aarch64"), 25),
    (("copr_builder", "arch_ppc64le"), 8),
    (("copr_builder", "arch_s390x"), 6),
    (("copr_builder", "arch_x86_64", "on_demand_powerful"), 3),
    (("copr_builder", "arch_aarch64", "on_demand_powerful"), 2),
)
"""The tags that tickets ask for, and how often."""
FAILURE_RATES = {HookKind.ALLOC: 0.04, HookKind.RELEASE: 0.02, HookKind.TERMINATE: 0.05}
ESTIMATED = 5
"""One of this many new tickets has its wait estimated."""
CUT_OFF_RATE = 0.005
DEATH_RATE = 0.002
"""Share of livechecks from which on the resource is dead."""


@dataclass
class Summary:
    """The result of a simulation; times in seconds."""

    tickets: int = 0
    served: int = 0
    failed: int = 0
    reused: int = 0
    longest_wait: float = 0.0
    waits: list[float] = field(default_factory=list)
    starts: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    most_living: int = 0
    plans: int = 0
    until: float = 0.0

    estimates: list[tuple[Estimate, float]] = field(default_factory=list)
    """Estimates for tickets that had to wait, each with how long it did (seconds)."""

    def __str__(self) -> str:
        waits = sorted(self.waits)
        return (
            f"{self.until / 3600:.1f} h simulated, {self.plans} plans: {self.tickets} tickets, {self.served} served "
            f"({self.reused} by a reused resource), {self.failed} failed while they had one; wait median "
            f"{waits[len(waits) // 2]:.1f} s, 99 % under {waits[len(waits) * 99 // 100]:.0f} s, longest "
            f"{self.longest_wait:.0f} s; {self.starts} starts, at most {self.most_living} resources at once, ended as "
            f"{dict(self.ends)}\n{self.accuracy()}"
        )

    def accuracy(self) -> str:
        """The errors of the estimates, by their confidence."""
        lines = []
        for level in Confidence:
            found = [(guess, waited) for guess, waited in self.estimates if guess.confidence is level]
            if level is Confidence.NONE:
                lines.append(f"estimates of the wait: none for {len(found)}")
            elif found:
                errors = [abs((guess.seconds or 0.0) - waited) for guess, waited in found]
                lines.append(
                    f"with confidence {level} for {len(found)}, off by {median(errors):.0f} s (median), of waits of "
                    f"{median(waited for _, waited in found):.0f} s; {self.within_range(level):.0%} within the range"
                )
        return "; ".join(lines)

    def median_ratio(self) -> float:
        """The median ratio of estimate and wait, the greater one by the smaller one."""
        pairs = [(max(guess.seconds, 1.0), max(waited, 1.0)) for guess, waited in self.estimates if guess.seconds]
        return median(max(guess / waited, waited / guess) for guess, waited in pairs)

    def within_range(self, *levels: Confidence) -> float:
        """Which part of the waits were within the estimated range."""
        found = [(guess, waited) for guess, waited in self.estimates if guess.confidence in (levels or _LEVELS)]
        return sum((guess.low or 0.0) <= waited <= (guess.high or 0.0) for guess, waited in found) / len(found)


_LEVELS = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)


class Simulation:
    """Tickets of `hours` at `tickets_per_hour`; `check` is called after each plan, with this simulation."""

    demands: Sequence[tuple[tuple[str, ...], int]] = DEMANDS
    estimated_one_of = ESTIMATED

    def __init__(
        self, pools: Sequence[Pool], seed: int, hours: float, tickets_per_hour: float, check: Callable[[Snapshot], None]
    ) -> None:
        self.pools = pools
        self.random = random.Random(seed)
        self.check = check
        self.now = START
        self.closing_time = START + hours * 3600
        self.tickets_per_hour = tickets_per_hour
        self.summary = Summary()
        self.snapshot = Snapshot()
        self.snapshot.set_pools(pools)
        for position, pool in enumerate(pools):
            options = msgspec.to_builtins(pool)
            self.snapshot.put_record(PoolRecord(name=pool.name, position=position, options=options))
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self._ticket_ids = itertools.count(1)
        self._new: int | None = None
        self._estimates: dict[int, Estimate] = {}
        self._dead: set[int] = set()
        self._due = START
        self._closed = False
        self._runs: set[str] = set()

    def run(self) -> Summary:
        """Until every ticket of the day is over and every resource was removed."""
        self._at(self.now, self._arrive)
        while self._events:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
            self._reconcile()
            self._estimate_wait()
            if self._closed and not self.snapshot.tickets and not self.snapshot.intents:
                self._remove_everything()
        self.summary.until = self.now - START
        return self.summary

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happen))

    def _arrive(self) -> None:
        demands, weights = zip(*self.demands, strict=True)
        tags = self.random.choices(demands, weights)[0]
        user = f"user-{self.random.randrange(USERS)}"
        self._new = next(self._ticket_ids)
        self.snapshot.put_ticket(Ticket(id=self._new, tags=tags, sandbox=user, created_at=self.now))
        self.summary.tickets += 1
        after = self.now + self.random.expovariate(self.tickets_per_hour / 3600)
        if after < self.closing_time:
            self._at(after, self._arrive)
        else:
            self._closed = True

    def _remove_everything(self) -> None:
        self.snapshot.set_pools([msgspec.structs.replace(pool, max_prealloc=0) for pool in self.pools])
        for resource in list(self.snapshot.resources.values()):
            if resource.state is not ResourceState.UP:
                continue
            self.snapshot.put_intent(
                Intent(id=resource.id, kind=IntentKind.DELETE_RESOURCE, resource=resource.id, reason="the day is over")
            )
        if self.snapshot.intents:
            self._at(self.now, lambda: None)

    def _reconcile(self) -> None:
        for _ in range(10):
            decided = plan(self.snapshot, self.now)
            self.summary.plans += 1
            if not decided.steps:
                break
            for step in decided.steps:
                if isinstance(step, StartResource):
                    self._start(step.pool)
            others = tuple(step for step in decided.steps if not isinstance(step, StartResource))
            apply(self.snapshot, msgspec.structs.replace(decided, steps=others), self.now)
            self._follow_up(others)
            self.check(self.snapshot)
        else:
            raise AssertionError("plans do not come to rest")
        due = decided.next_due
        if due is not None and due > self.now and not self.now < self._due <= due:
            self._due = due
            self._at(due, lambda: None)
        self.summary.most_living = max(self.summary.most_living, len(self.snapshot.resources))

    def _estimate_wait(self) -> None:
        """Estimate for some new tickets that have to wait, as a reader of the leader's view would."""
        if (
            self._new is not None
            and self._new % self.estimated_one_of == 0
            and self.snapshot.tickets[self._new].waiting
        ):
            found = explain(self.snapshot, self.now)
            queues = {
                tags: Queue(self.snapshot.waiting[tags], frozenset(p.pool for p in case.prospects), case.on_demand)
                for tags, case in found.cases.items()
            }
            tags = frozenset(self.snapshot.tickets[self._new].tags)
            ahead = before(
                order_key(self.snapshot.tickets[self._new]), queues[tags], rivals(queues[tags], queues.values())
            )
            self._estimates[self._new] = estimate(found.cases[tags].forecast, ahead, self.now)
        self._new = None

    def _start(self, name: str) -> None:
        pool = self.snapshot.pools[name]
        number = self.snapshot.free_number(name)
        self.snapshot.put_resource(new_resource(next(self._ids), pool, number, {}, self.now))
        self.snapshot.put_record(self.snapshot.records[name].replace(last_start=self.now))
        self.summary.starts += 1

    def _follow_up(self, steps: Sequence[Step]) -> None:
        """Let what the plan began go on: hooks end some time, tickets are used and closed."""
        for resource in self.snapshot.resources_in_run():
            if resource.run is not None and resource.run.started_at == self.now and resource.run.id not in self._runs:
                self._runs.add(resource.run.id)
                self._at(self.now + self._duration(resource.run.kind), self._ending(resource.id, resource.run))
        for step in steps:
            if isinstance(step, Assign):
                self._use(self.snapshot.tickets[step.ticket])

    def _use(self, ticket: Ticket) -> None:
        waited = self.now - ticket.created_at
        self.summary.served += 1
        self.summary.waits.append(waited)
        if ticket.id in self._estimates:
            self.summary.estimates.append((self._estimates.pop(ticket.id), waited))
        self.summary.longest_wait = max(self.summary.longest_wait, waited)
        resource = self.snapshot.resources[ticket.resource or 0]
        self.summary.reused += resource.releases_counter > 0
        self._at(self.now + self.random.lognormvariate(5.5, 0.9), lambda: self._close(ticket.id))

    def _close(self, number: int) -> None:
        ticket = self.snapshot.tickets[number]
        self.summary.failed += ticket.state is TicketState.FAILED
        self.snapshot.put_ticket(close_ticket(ticket, self.now))
        if ticket.pool is not None and ticket.state is TicketState.OPEN:
            record = self.snapshot.records[ticket.pool]
            self.snapshot.put_record(fold_taken_times(record, [self.now - (ticket.assigned_at or self.now)]))

    def _duration(self, kind: HookKind) -> float:
        typical = {HookKind.ALLOC: 90, HookKind.RELEASE: 3, HookKind.TERMINATE: 15}[kind]
        return typical * self.random.lognormvariate(0, 0.4)

    def _ending(self, number: int, run: Run) -> Callable[[], None]:
        failed = self.random.random() < FAILURE_RATES[run.kind]
        cut_off = "killed" if self.random.random() < CUT_OFF_RATE else None

        def end() -> None:
            resource = self.snapshot.resources[number]
            outcome = Outcome(
                run=run.id,
                kind=run.kind,
                started_at=run.started_at,
                ended_at=self.now,
                exit=None if cut_off else int(failed),
                cut_off=cut_off,
                output=b"10.0.0.1\n",
            )
            self._fold(resource, outcome)

        return end

    def _fold(self, resource: Resource, outcome: Outcome) -> None:
        pool = self.snapshot.pools[resource.pool]
        folded = fold_resource(resource, outcome, pool)
        if outcome.kind is HookKind.ALLOC:
            record = self.snapshot.records[resource.pool]
            self.snapshot.put_record(fold_record(record, outcome, pool.start_delay))
            if folded.state is ResourceState.UP:
                self._at(self.now, lambda: self._livecheck(resource.id))
        self.snapshot.put_resource(folded)
        if folded.state is ResourceState.ENDED:
            self.summary.ends[re.sub(r"[\d.]+", "N", (folded.reason or "").split(":")[0])[:40]] += 1

    def _livecheck(self, number: int) -> None:
        resource = self.snapshot.resources.get(number)
        if resource is None or resource.state not in (ResourceState.UP, ResourceState.RELEASING):
            return
        if self.random.random() < DEATH_RATE:
            self._dead.add(number)
        outcome = Outcome(
            run=str(RunId(HookKind.WATCH, number, int(self.now * 1000))),
            kind=HookKind.WATCH,
            started_at=self.now,
            ended_at=self.now,
            exit=int(number in self._dead),
            cut_off=None,
        )
        self._fold(resource, outcome)
        self._at(self.now + self.snapshot.pools[resource.pool].livecheck_period, lambda: self._livecheck(number))
