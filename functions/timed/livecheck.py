"""Livecheck: starts the due checks of UP resources, a limited number at one time; none waits for another.

Triggered by due times and by resources that came UP. Reads the mirror; writes nothing: how a check ended is
folded in by reconcile.
"""

import heapq

from functions.policy.clock import SLACK, due_at
from functions.policy.transitions.run_id import RunId
from functions.timed.hook_runs import resource_run
from functions.timed.leader import Leader
from state.documents import HookKind, Resource, ResourceState

SHORTEST_PERIOD = 1.0


class Checks:
    """When each resource is checked next. Entries may be outdated; each is verified when it is due.

    A check that says nothing (it could not be started, or its supervisor was killed) is repeated a period after it
    was begun, which only this process remembers.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int]] = []
        self._known: dict[int, float] = {}
        self._began: dict[int, float] = {}
        self._latest = float("-inf")

    def plan_all(self, leader: Leader) -> None:
        """Schedule the checks of all resources again: at the start and when periods may have changed."""
        self._due.clear()
        self._known.clear()
        for resource in leader.mirror.snapshot.resources.values():
            self.plan(leader, resource)

    def plan(self, leader: Leader, resource: Resource) -> None:
        """Schedule the next check of one resource, if it needs checks."""
        due = self.due(leader, resource)
        if due is not None and self._known.get(resource.id) != due:
            self._known[resource.id] = due
            heapq.heappush(self._due, (due, resource.id))

    def due(self, leader: Leader, resource: Resource) -> float | None:
        """When a resource is due for a check (Unix seconds); None while it needs no checks."""
        pool = leader.mirror.snapshot.options_of(resource.pool)
        if resource.state is not ResourceState.UP or pool is None or pool.cmd_livecheck is None:
            self._began.pop(resource.id, None)
            return None
        period = max(SHORTEST_PERIOD, pool.livecheck_period)
        ended, began = resource.check_last_time, self._began.get(resource.id)
        now = leader.clock()
        due = (resource.up_at or 0.0) if ended is None else ended + period
        due = due_at(due, period, now)
        return due if began is None else max(due, due_at(began + period, period, now))

    def begin(self, number: int, now: float) -> None:
        """Note that a check of this resource starts now (Unix seconds)."""
        self._began[number] = now

    def is_outdated(self, now: float) -> bool:
        """Whether the clock was set back, so that all checks must be scheduled again."""
        before, self._latest = self._latest, now
        return now < before - SLACK

    def pop(self, now: float) -> int | None:
        """The next resource that may be due."""
        while self._due and self._due[0][0] <= now:
            due, number = heapq.heappop(self._due)
            if self._known.get(number) == due:
                del self._known[number]
                return number
        return None

    def next_due(self) -> float | None:
        """When the next resource may be due (Unix seconds)."""
        return self._due[0][0] if self._due else None


def livecheck(leader: Leader, checks: Checks) -> float | None:
    """Start due checks within the bound; returns when the next one is due (Unix seconds), None at the bound."""
    now = leader.clock()
    if checks.is_outdated(now):
        checks.plan_all(leader)
    under_way = {RunId.parse(run).subject for run in leader.hooks.under_way(HookKind.WATCH)}
    while len(under_way) < leader.settings.livechecks_at_once:
        number = checks.pop(now)
        if number is None:
            return checks.next_due()
        resource = leader.mirror.snapshot.resources.get(number)
        if resource is None or number in under_way:
            continue
        due = checks.due(leader, resource)
        pool = leader.mirror.snapshot.options_of(resource.pool)
        if due is None or pool is None:
            continue
        if due > now:
            checks.plan(leader, resource)
            continue
        run = resource_run(resource, pool, HookKind.WATCH, str(RunId(HookKind.WATCH, number, int(now * 1000))), 0)
        checks.begin(number, now)
        leader.hooks.start(run)
        under_way.add(number)
    return None
