"""pools.yaml, as the leading scheduler reads it again whenever it was changed."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from config.errors import ConfigError
from config.pools import Pool, load_pools
from functions.logfields import of_pool, of_problem
from functions.policy.transitions.records import remembered
from state.documents import PoolRecord
from state.store import Batch, Put

if TYPE_CHECKING:
    from functions.timed.farm import Farm

log = logging.getLogger(__name__)

SHOWN_FAULTS = 5
"""How many faults of the configuration are told in an event."""
Stamp = tuple[int, int, int]


class PoolsFile:
    """The file at `path`, and which version of it was read last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: Stamp | None = None

    def reload(self, farm: "Farm") -> bool:
        """Read the file if it changed; a broken one keeps the last good one in force. Tells whether it was read."""
        seen = stamp(self.path)
        if seen == self._seen and (farm.configured or farm.config_faults):
            return False
        self._seen = seen
        farm.changed_since_shown = True
        try:
            file = load_pools(self.path)
        except ConfigError as error:
            _tell_faults(farm, error)
            return True
        if farm.config_faults:
            farm.remark("config", "pools.yaml is good again")
        farm.config_faults = ()
        farm.config_warnings = tuple(str(problem) for problem in file.warnings)
        for warning in file.warnings:
            log.warning("%s", warning, extra=of_problem(warning))
        _remember(farm, file.pools)
        farm.snapshot.set_pools(file.pools)
        farm.configured = True
        farm.look_at_quarantine()
        log.info("%s: %d pools in force", self.path, len(file.pools))
        return True


def _tell_faults(farm: "Farm", error: ConfigError) -> None:
    known, farm.config_faults = farm.config_faults, tuple(str(problem) for problem in error.problems)
    if farm.config_faults != known:
        farm.remark("config", "pools.yaml is broken", "; ".join(farm.config_faults[:SHOWN_FAULTS]))
    kept = "the last good pools stay in force" if farm.snapshot.pools else "nothing is started"
    for problem in error.problems:
        log.error("%s (%s)", problem, kept, extra=of_problem(problem))


def _remember(farm: "Farm", pools: Iterable[Pool]) -> None:
    changed = remembered(farm.snapshot.records, pools, farm.clock())
    if changed:
        farm.store.commit(Batch([Put(record) for record in changed]))
    for record in changed:
        farm.keep(record)


def last_good(records: Iterable[PoolRecord]) -> list[Pool]:
    """The pools that were in force when these records were written, in the order of the file."""
    configured = sorted((record for record in records if record.configured), key=lambda record: record.position)
    pools = []
    for record in configured:
        try:
            pools.append(msgspec.convert(record.options, Pool))
        except msgspec.ValidationError as error:
            log.error(
                "pool %s: the options that it last had cannot be used: %s",
                record.name,
                error,
                extra=of_pool(record.name),
            )
    return pools


def stamp(path: Path) -> Stamp | None:
    """What is different after a file was replaced or written; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
