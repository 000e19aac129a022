"""What the leading scheduler counts and times while it works, for Prometheus. It begins at zero with the process.

To observe costs a few microseconds, and nothing here is written down: `metrics_view.py` shows it behind the grants.
"""

from config.pools import Pool
from functions.policy.snapshot.offers import Tags
from functions.policy.transitions.outcome import Outcome
from functions.timed.hook_runs import HookRun
from functions.timed.minute import Minute
from functions.timed.series import Counter, Family, Histogram
from state.documents import HookKind, Ticket

_WAITS = (0.05, 0.2, 1, 5, 15, 60, 300, 900, 1800, 3600, 10800)
_STARTS = (0.2, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)
_HOOKS = (0.05, 0.2, 1, 5, 15, 60, 300, 900, 3600)
_PASSES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
"""Upper bounds of the histograms' buckets, in seconds."""


class Measures:
    """The counters and histograms of one scheduler process."""

    def __init__(self) -> None:
        self.minute = Minute()
        self.last_pass: float | None = None
        """When the last pass ended (Unix seconds)."""
        self.named_tags: set[Tags] = set()
        """Tag sets that have had a name of their own so far."""
        self._waits = Histogram(
            "resalloc_ticket_wait_seconds",
            "From the take of a ticket to its resource, by the pool of that.",
            "pool",
            bounds=_WAITS,
        )
        self._starts = Histogram(
            "resalloc_start_seconds", "Run time of cmd_new, for starts that succeeded.", "pool", bounds=_STARTS
        )
        self._hooks = Histogram(
            "resalloc_hook_seconds",
            "Run time of hooks, by kind and by how they ended.",
            "kind",
            "result",
            bounds=_HOOKS,
        )
        self._hook_failures = Counter("resalloc_hook_failures", "Hooks that did not end well.", "pool", "kind")
        self._failed_tickets = Counter("resalloc_tickets_failed", "Tickets whose resource died or was deleted.", "pool")
        self._given_up = Counter(
            "resalloc_deletes_given_up",
            "Resources whose cmd_delete failed too often, so that they may still exist.",
            "pool",
        )
        self._passes = Histogram("resalloc_pass_seconds", "Run time of reconcile passes.", bounds=_PASSES)

    def passed(self, ended_at: float, seconds: float) -> None:
        """A reconcile pass has ended."""
        self.last_pass = ended_at
        self._passes.observe(seconds)

    def granted(self, ticket: Ticket) -> None:
        """The ticket got its resource."""
        waited = max(0.0, (ticket.assigned_at or 0.0) - ticket.created_at)
        self._waits.observe(waited, ticket.pool or "")
        self.minute.waits[ticket.pool or ""].append(waited)

    def ticket_failed(self, ticket: Ticket) -> None:
        """The ticket became FAILED."""
        self._failed_tickets.add(1, ticket.pool or "")

    def gave_up(self, pool: str) -> None:
        """A resource of the pool became ENDED although its `cmd_delete` failed."""
        self._given_up.add(1, pool)

    def hook_ended(self, run: HookRun, outcome: Outcome) -> None:
        """A run has ended, whichever way. What the hooks of agents mean is theirs: there, no is an answer too."""
        kind = run.kind.value if run.kind else "agent"
        self._hooks.observe(outcome.took, kind, _result(outcome))
        if run.kind is None:
            return
        if not outcome.good:
            self._hook_failures.add(1, run.pool, kind)
            if run.kind is HookKind.ALLOC:
                self.minute.failures[run.pool] += 1
        elif run.kind is HookKind.ALLOC:
            self._starts.observe(outcome.took, run.pool)
            self.minute.starts[run.pool].append(outcome.took)

    def know(self, pool: Pool) -> None:
        """Let the counters of a pool stand at zero before there is something to count: a rate needs both."""
        self._failed_tickets.begin(pool.name)
        self._given_up.begin(pool.name)
        self._waits.begin(pool.name)
        self._starts.begin(pool.name)
        commands = {
            HookKind.ALLOC: pool.cmd_new,
            HookKind.TERMINATE: pool.cmd_delete,
            HookKind.WATCH: pool.cmd_livecheck,
            HookKind.RELEASE: pool.cmd_release,
            HookKind.LIST: pool.cmd_list,
        }
        for kind, command in commands.items():
            if command is not None:
                self._hook_failures.begin(pool.name, kind.value)

    def families(self) -> list[Family]:
        """All of it as it stands now."""
        histograms = (self._waits, self._starts, self._hooks)
        counters = (self._hook_failures, self._failed_tickets, self._given_up)
        return [each.family() for each in (*histograms, *counters, self._passes)]


def _result(outcome: Outcome) -> str:
    if outcome.good:
        return "ok"
    if outcome.by_itself:
        return "failed"
    return "lost" if outcome.lost else "cut_off"
