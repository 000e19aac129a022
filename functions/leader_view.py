"""The views of the leading scheduler: the pools in force, which tickets wait and why, and metrics.

The leader writes these structs as `view/*.json` (functions/timed); web processes read them through `View`, which
decodes a view again only when it was replaced.
"""

from collections.abc import Hashable
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from functions.policy.waits.estimate import Forecast
from state.errors import StoreUnavailable
from state.store import Store

V = TypeVar("V", bound=msgspec.Struct)


class ShownPool(msgspec.Struct, frozen=True):
    """A pool in force. `offers` maps its tags, plain and on-demand ones, to their priorities."""

    name: str
    offers: dict[str, int] = {}
    on_demand: bool = False
    max: int = 0


class Leader(msgspec.Struct, frozen=True):
    """The process that leads, since when (Unix seconds), and where its hook runs are (a boot and a folder)."""

    pid: int
    since: float
    runs: str | None = None


class Pools(msgspec.Struct, frozen=True, eq=False):
    """`view/pools.json`: the pools in force, and faults of the configuration and of documents."""

    at: float = 0.0
    leader: Leader | None = None
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    pools: tuple[ShownPool, ...] = ()
    quarantine: tuple[str, ...] = ()
    not_archived: tuple[str, ...] = ()


class Prospect(msgspec.Struct, frozen=True):
    """A pool that could serve a ticket: its limits, as a sentence and as facts, and how many resources it has."""

    pool: str
    sentence: str = ""
    holds: tuple[dict[str, Any], ...] = ()
    max: int = 0
    living: int = 0
    taken: int = 0
    starting: int = 0
    about_to_start: int = 0


class Case(msgspec.Struct, frozen=True):
    """Why tickets wait for which the same pools may come.

    `pools` are those that could serve them; if there are none, `missing` are the tags that no pool has. `why` is a
    clause, `brief` a shorter one. Tickets that are `on_demand` are served before the others.
    """

    on_demand: bool = False
    missing: tuple[str, ...] = ()
    why: str = ""
    brief: str = ""
    pools: tuple[Prospect, ...] = ()
    forecast: Forecast = Forecast()


class Group(msgspec.Struct, frozen=True):
    """Tickets that wait for the same tags: their ids, ascending, and the index of their case."""

    tags: tuple[str, ...]
    ids: tuple[int, ...]
    case: int


class Own(msgspec.Struct, frozen=True):
    """Resources of a sandbox that will become free for its own tickets with these tags, as a clause."""

    tags: tuple[str, ...]
    sandbox: str
    sentence: str


class Waiting(msgspec.Struct, frozen=True, eq=False):
    """`view/waiting.json`: why tickets wait, and the order of those with the same tags."""

    at: float = 0.0
    cases: tuple[Case, ...] = ()
    groups: tuple[Group, ...] = ()
    own: tuple[Own, ...] = ()


MetricSample = tuple[str, dict[str, str], float]


class Family(NamedTuple):
    """One family of metrics; a sample is its name, its labels and its value."""

    name: str
    help: str
    type: str
    samples: tuple[MetricSample, ...]


class Metrics(msgspec.Struct, frozen=True):
    """`view/metrics.json`: what the leader counts. `oldest` maps tag sets to when their oldest waiting ticket came."""

    last_pass: float | None = None
    oldest: dict[str, float] = {}
    families: tuple[Family, ...] = ()


class _CachedView(Generic[V]):
    """One view, decoded again only when it was replaced."""

    def __init__(self, store: Store, name: str, form: type[V]) -> None:
        self._store = store
        self._name = name
        self._form = form
        self._stamp: Hashable = None
        self._value: V | None = None

    def read(self) -> V | None:
        try:
            shown = self._store.shown(self._name, self._stamp)
        except StoreUnavailable:
            shown = None
        if shown is None:
            self._stamp = self._value = None
        elif shown.content is not None:
            try:
                self._value = msgspec.json.decode(shown.content, type=self._form)
            except msgspec.DecodeError:
                # The next pass writes it again; until then it counts as missing.
                self._value = None
            self._stamp = shown.stamp
        return self._value


class View:
    """Reads the views of the leader."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pools = _CachedView(store, "pools.json", Pools)
        self._waiting = _CachedView(store, "waiting.json", Waiting)
        self._metrics = _CachedView(store, "metrics.json", Metrics)

    def pools(self) -> Pools | None:
        """None if no scheduler has written the view."""
        return self._pools.read()

    def metrics(self) -> Metrics | None:
        """None if no scheduler has written the view."""
        return self._metrics.read()

    def has_leader(self) -> bool:
        """Whether there is a leader now."""
        return self._store.has_leader()

    def waiting(self) -> Waiting | None:
        """None if no scheduler has written the view."""
        return self._waiting.read()
