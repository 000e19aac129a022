"""What the leader counts and times while it works, for Prometheus and for the charts. All of it starts at zero.

To observe costs a few microseconds and writes nothing: `metrics_view.py` and `samples.py` write behind the grants.

Counters, gauges and histograms make the same families as those of `prometheus_client`, with which the web writes the
text. The scheduler does without that library: it brings an HTTP server, 2.6 MB in a process that serves nothing
(docs/decisions/0005). A series is named by the values of its family's labels, in their order; a family without labels
has one series from the start. None of this is for several threads.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate
from math import inf

from config.pools import Pool
from functions.leader_view import Family, MetricSample
from functions.policy.snapshot.groups import Tags
from functions.policy.transitions.outcome import Outcome
from functions.timed.hook_runs import HookRun
from state.documents import HookKind, Ticket

_WAITS = (0.05, 0.2, 1, 5, 15, 60, 300, 900, 1800, 3600, 10800)
_STARTS = (0.2, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)
_HOOKS = (0.05, 0.2, 1, 5, 15, 60, 300, 900, 3600)
_PASSES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
"""Upper bounds of the histograms' buckets, in seconds."""


class _Numbers:
    """One number per series."""

    type = ""
    suffix = ""
    """Added to the family's name in the names of samples."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self._name = name
        self._about = about
        self._labels = labels
        self._values: dict[tuple[str, ...], float] = {}
        if not labels:
            self._values[()] = 0.0

    def family(self) -> Family:
        """The family with its present samples."""
        name = self._name + self.suffix
        samples = ((name, _labelled(self._labels, series), value) for series, value in self._values.items())
        return Family(self._name, self._about, self.type, tuple(samples))


class Gauge(_Numbers):
    """A number that goes up and down."""

    type = "gauge"

    def set(self, value: float, *series: str) -> None:
        """Set one series."""
        self._values[series] = value


class Counter(_Numbers):
    """A number that only grows."""

    type = "counter"
    suffix = "_total"

    def begin(self, *series: str) -> None:
        """Show one series as zero if nothing was counted yet."""
        self._values.setdefault(series, 0.0)

    def add(self, amount: float, *series: str) -> None:
        """Add to one series."""
        self._values[series] = self._values.get(series, 0.0) + amount


class Histogram:
    """How many observations were at most as large as each bound. Bounds are positive, under a million, and grow."""

    def __init__(self, name: str, about: str, *labels: str, bounds: Iterable[float]) -> None:
        self._name = name
        self._about = about
        self._labels = labels
        self._bounds = [*map(float, bounds), inf]
        self._shown_bounds = [*map(repr, self._bounds[:-1]), "+Inf"]
        self._series: dict[tuple[str, ...], _Buckets] = {}
        if not labels:
            self.begin()

    def begin(self, *series: str) -> None:
        """Show one series as zero if nothing was observed yet."""
        self._of(series)

    def observe(self, value: float, *series: str) -> None:
        """Add an observation."""
        buckets = self._of(series)
        buckets.counts[bisect_left(self._bounds, value)] += 1
        buckets.sum += value

    def family(self) -> Family:
        """The family with its present samples."""
        samples: list[MetricSample] = []
        for series, buckets in self._series.items():
            labels = _labelled(self._labels, series)
            totals = [*accumulate(buckets.counts)]
            for bound, total in zip(self._shown_bounds, totals, strict=True):
                samples.append((f"{self._name}_bucket", {**labels, "le": bound}, total))
            samples.append((f"{self._name}_count", labels, totals[-1]))
            samples.append((f"{self._name}_sum", labels, buckets.sum))
        return Family(self._name, self._about, "histogram", tuple(samples))

    def _of(self, series: tuple[str, ...]) -> "_Buckets":
        buckets = self._series.get(series)
        if buckets is None:
            buckets = self._series[series] = _Buckets(len(self._bounds))
        return buckets


class _Buckets:
    """One series of a histogram: the observations in each bucket, without those of the buckets below."""

    __slots__ = ("counts", "sum")

    def __init__(self, number: int) -> None:
        self.counts = [0.0] * number
        self.sum = 0.0


class Minute:
    """What happened in each pool since the last samples.

    `waits` are the seconds that tickets waited for their resources, `starts` those that successful starts took,
    `failures` the number of starts that failed.
    """

    def __init__(self) -> None:
        self.waits: defaultdict[str, list[float]] = defaultdict(list)
        self.starts: defaultdict[str, list[float]] = defaultdict(list)
        self.failures: defaultdict[str, int] = defaultdict(int)

    def clear(self) -> None:
        """Start at zero again."""
        for happened in (self.waits, self.starts, self.failures):
            happened.clear()


class Measures:
    """The counters and histograms of one scheduler process."""

    def __init__(self) -> None:
        self.minute = Minute()
        self.last_pass: float | None = None
        """When the last pass ended (Unix seconds)."""
        self.named_tags: set[Tags] = set()
        """Tag sets that had a name of their own so far."""
        self._waits = Histogram(
            "resalloc_ticket_wait_seconds",
            "Wait of tickets for their resource, by the pool of the resource.",
            "pool",
            bounds=_WAITS,
        )
        self._starts = Histogram(
            "resalloc_start_seconds", "Run time of cmd_new, for starts that succeeded.", "pool", bounds=_STARTS
        )
        self._hooks = Histogram(
            "resalloc_hook_seconds",
            "Run time of hooks by kind and result.",
            "kind",
            "result",
            bounds=_HOOKS,
        )
        self._hook_failures = Counter(
            "resalloc_hook_failures", "Hook runs with another result than ok.", "pool", "kind"
        )
        self._failed_tickets = Counter("resalloc_tickets_failed", "Tickets whose resource died or was deleted.", "pool")
        self._given_up = Counter(
            "resalloc_deletes_given_up",
            "Abandoned resources: cmd_delete failed too often, so they may still exist.",
            "pool",
        )
        self._passes = Histogram("resalloc_pass_seconds", "Run time of reconcile passes.", bounds=_PASSES)

    def passed(self, ended_at: float, seconds: float) -> None:
        """Note the end (Unix seconds) and the run time of a reconcile pass."""
        self.last_pass = ended_at
        self._passes.observe(seconds)

    def granted(self, ticket: Ticket) -> None:
        """Note that a resource was assigned to the ticket."""
        waited = max(0.0, (ticket.assigned_at or 0.0) - ticket.created_at)
        self._waits.observe(waited, ticket.pool or "")
        self.minute.waits[ticket.pool or ""].append(waited)

    def ticket_failed(self, ticket: Ticket) -> None:
        """Note that the ticket became FAILED."""
        self._failed_tickets.add(1, ticket.pool or "")

    def gave_up(self, pool: str) -> None:
        """Note that a resource of the pool became ENDED although its `cmd_delete` failed."""
        self._given_up.add(1, pool)

    def hook_ended(self, run: HookRun, outcome: Outcome) -> None:
        """Note the end of a run. A failed hook of an agent is no failure: its exit status is an answer."""
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
        """Show the counters of a pool as zero before there is something to count: a rate needs both values."""
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
        """All families with their present samples."""
        histograms = (self._waits, self._starts, self._hooks)
        counters = (self._hook_failures, self._failed_tickets, self._given_up)
        return [each.family() for each in (*histograms, *counters, self._passes)]


def _result(outcome: Outcome) -> str:
    if outcome.good:
        return "ok"
    if outcome.by_itself:
        return "failed"
    return "lost" if outcome.lost else "cut_off"


def _labelled(names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(names, values, strict=True))
