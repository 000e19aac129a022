"""What the leading scheduler counts and times while it works, for Prometheus. It begins at zero with the process.

To observe costs a few microseconds, and nothing here is written down: `metrics_view.py` shows it behind the grants.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric

from config.pools import Pool
from functions.policy.offers import Tags
from functions.policy.outcomes import Outcome
from functions.timed.hooks import HookRun
from functions.timed.minute import Minute
from state.documents import HookKind, Ticket

_WAITS = (0.05, 0.2, 1, 5, 15, 60, 300, 900, 1800, 3600, 10800)
_STARTS = (0.2, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)
_HOOKS = (0.05, 0.2, 1, 5, 15, 60, 300, 900, 3600)
_PASSES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
"""Upper bounds of the histograms' buckets, in seconds."""


class Measures:
    """The counters and histograms of one scheduler process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.minute = Minute()
        self.last_pass: float | None = None
        """When the last pass ended (Unix seconds)."""
        self.named_tags: set[Tags] = set()
        """Tag sets that have had a name of their own so far."""
        self._waits = Histogram(
            "resalloc_ticket_wait_seconds",
            "From the take of a ticket to its resource, by the pool of that.",
            ("pool",),
            buckets=_WAITS,
            registry=registry,
        )
        self._starts = Histogram(
            "resalloc_start_seconds",
            "Run time of cmd_new, for starts that succeeded.",
            ("pool",),
            buckets=_STARTS,
            registry=registry,
        )
        self._hooks = Histogram(
            "resalloc_hook_seconds",
            "Run time of hooks, by kind and by how they ended.",
            ("kind", "result"),
            buckets=_HOOKS,
            registry=registry,
        )
        self._hook_failures = Counter(
            "resalloc_hook_failures", "Hooks that did not end well.", ("pool", "kind"), registry=registry
        )
        self._failed_tickets = Counter(
            "resalloc_tickets_failed", "Tickets whose resource died or was deleted.", ("pool",), registry=registry
        )
        self._given_up = Counter(
            "resalloc_deletes_given_up",
            "Resources whose cmd_delete failed too often, so that they may still exist.",
            ("pool",),
            registry=registry,
        )
        self._passes = Histogram(
            "resalloc_pass_seconds", "Run time of reconcile passes.", buckets=_PASSES, registry=registry
        )

    def passed(self, ended_at: float, seconds: float) -> None:
        """A reconcile pass has ended."""
        self.last_pass = ended_at
        self._passes.observe(seconds)

    def granted(self, ticket: Ticket) -> None:
        """The ticket got its resource."""
        waited = max(0.0, (ticket.assigned_at or 0.0) - ticket.created_at)
        self._waits.labels(ticket.pool or "").observe(waited)
        self.minute.waits[ticket.pool or ""].append(waited)

    def ticket_failed(self, ticket: Ticket) -> None:
        """The ticket became FAILED."""
        self._failed_tickets.labels(ticket.pool or "").inc()

    def gave_up(self, pool: str) -> None:
        """A resource of the pool became ENDED although its `cmd_delete` failed."""
        self._given_up.labels(pool).inc()

    def hook_ended(self, run: HookRun, outcome: Outcome) -> None:
        """A run has ended, whichever way. What the hooks of agents mean is theirs: there, no is an answer too."""
        kind = run.kind.value if run.kind else "agent"
        self._hooks.labels(kind, _result(outcome)).observe(outcome.took)
        if run.kind is None:
            return
        if not outcome.good:
            self._hook_failures.labels(run.pool, kind).inc()
            if run.kind is HookKind.ALLOC:
                self.minute.failures[run.pool] += 1
        elif run.kind is HookKind.ALLOC:
            self._starts.labels(run.pool).observe(outcome.took)
            self.minute.starts[run.pool].append(outcome.took)

    def know(self, pool: Pool) -> None:
        """Let the counters of a pool stand at zero before there is something to count: a rate needs both."""
        self._failed_tickets.labels(pool.name)
        self._given_up.labels(pool.name)
        self._waits.labels(pool.name)
        self._starts.labels(pool.name)
        commands = {
            HookKind.ALLOC: pool.cmd_new,
            HookKind.TERMINATE: pool.cmd_delete,
            HookKind.WATCH: pool.cmd_livecheck,
            HookKind.RELEASE: pool.cmd_release,
            HookKind.LIST: pool.cmd_list,
        }
        for kind, command in commands.items():
            if command is not None:
                self._hook_failures.labels(pool.name, kind.value)

    def families(self) -> list[Metric]:
        """All of it as it stands now."""
        return list(self._registry.collect())


def _result(outcome: Outcome) -> str:
    if outcome.good:
        return "ok"
    if outcome.by_itself:
        return "failed"
    return "lost" if outcome.lost else "cut_off"
