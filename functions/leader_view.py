"""The views of the leading scheduler: the pools in force, which tickets wait and why, and metrics.

The leader writes these structs as `view/*.json` (functions/timed); web processes read them through `View`, which parses
a file again only when it was replaced.
"""

from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from functions.policy.waits.estimate import Forecast
from state.files import locks
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
    """One view; its file is parsed again only when it was replaced."""

    def __init__(self, path: Path, form: type[V]) -> None:
        self._path = path
        self._form = form
        self._seen: tuple[int, int, int] | None = None
        self._value: V | None = None

    def read(self) -> V | None:
        try:
            status = self._path.stat()
        except OSError:
            self._seen = self._value = None
            return None
        seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        if seen != self._seen:
            try:
                self._value = msgspec.json.decode(self._path.read_bytes(), type=self._form)
            except (OSError, msgspec.DecodeError):
                # The next pass writes it again; until then it counts as missing.
                self._value = None
            self._seen = seen
        return self._value


class View:
    """Reads the views of the leader."""

    def __init__(self, store: Store) -> None:
        self._leader_lock = store.root / "locks" / "leader"
        self._pools = _CachedView(store.root / "view" / "pools.json", Pools)
        self._waiting = _CachedView(store.root / "view" / "waiting.json", Waiting)
        self._metrics = _CachedView(store.root / "view" / "metrics.json", Metrics)

    def pools(self) -> Pools | None:
        """None if no scheduler has written the view."""
        return self._pools.read()

    def metrics(self) -> Metrics | None:
        """None if no scheduler has written the view."""
        return self._metrics.read()

    def has_leader(self) -> bool:
        """Whether there is a leader now."""
        return locks.is_held(self._leader_lock)

    def waiting(self) -> Waiting | None:
        """None if no scheduler has written the view."""
        return self._waiting.read()
