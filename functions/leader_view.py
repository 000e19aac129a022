"""What the leading scheduler shows to everybody else: the pools, and who waits and why. Read from `view/`, kept
until the file is another one.
"""

from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from functions.policy.waits.estimate import Forecast
from state.files import locks
from state.store import Store

V = TypeVar("V", bound=msgspec.Struct)


class ShownPool(msgspec.Struct, frozen=True):
    """A pool of the file: its tags with priorities, plain and on-demand ones."""

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
    """`view/pools.json`: the pools in force, and what is wrong with the configuration or with documents."""

    at: float = 0.0
    leader: Leader | None = None
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    pools: tuple[ShownPool, ...] = ()
    quarantine: tuple[str, ...] = ()
    not_archived: tuple[str, ...] = ()


class Prospect(msgspec.Struct, frozen=True):
    """A pool that could serve a ticket: what holds it, in words and as facts, and how full it is."""

    pool: str
    sentence: str = ""
    holds: tuple[dict[str, Any], ...] = ()
    max: int = 0
    living: int = 0
    taken: int = 0
    starting: int = 0
    about_to_start: int = 0


class Case(msgspec.Struct, frozen=True):
    """Why tickets of one kind wait.

    `pools` are those that could serve them; without any, `missing` are the tags that no pool has. `on_demand` tickets
    come before the others.
    """

    on_demand: bool = False
    missing: tuple[str, ...] = ()
    why: str = ""
    brief: str = ""
    pools: tuple[Prospect, ...] = ()
    forecast: Forecast = Forecast()


class Group(msgspec.Struct, frozen=True):
    """Tickets that wait for the same tags, ids ascending, and the place of their case."""

    tags: tuple[str, ...]
    ids: tuple[int, ...]
    case: int


class Own(msgspec.Struct, frozen=True):
    """What a sandbox has of its own for tickets with these tags, a clause."""

    tags: tuple[str, ...]
    sandbox: str
    sentence: str


class Waiting(msgspec.Struct, frozen=True, eq=False):
    """`view/waiting.json`."""

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
    """`view/metrics.json`: what the leader counts. `oldest` is by tag set when its oldest waiting ticket was taken."""

    last_pass: float | None = None
    oldest: dict[str, float] = {}
    families: tuple[Family, ...] = ()


class _Shown(Generic[V]):
    """One shown file, parsed again only when it was replaced."""

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
                # Made anew by the next pass; until then it is as if nothing was shown.
                self._value = None
            self._seen = seen
        return self._value


class View:
    """Reads what the leader shows."""

    def __init__(self, store: Store) -> None:
        self._leader_lock = store.root / "locks" / "leader"
        self._pools = _Shown(store.root / "view" / "pools.json", Pools)
        self._waiting = _Shown(store.root / "view" / "waiting.json", Waiting)
        self._metrics = _Shown(store.root / "view" / "metrics.json", Metrics)

    def pools(self) -> Pools | None:
        """None when no scheduler has shown any."""
        return self._pools.read()

    def metrics(self) -> Metrics | None:
        """None when no scheduler has shown any."""
        return self._metrics.read()

    def has_leader(self) -> bool:
        """Whether a scheduler leads at this moment."""
        return locks.is_held(self._leader_lock)

    def waiting(self) -> Waiting | None:
        """None when no scheduler has shown who waits."""
        return self._waiting.read()
