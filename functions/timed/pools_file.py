"""Reads pools.yaml again whenever it was changed; the caller decides what becomes of the result."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from config.errors import ConfigError, Problem
from config.pools import Pool, load_pools
from functions.logfields import of_pool
from state.documents import PoolRecord

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class Unchanged:
    """The file is the one that was read last."""


@dataclass(frozen=True)
class Faults:
    """The file cannot be used."""

    problems: Sequence[Problem]


@dataclass(frozen=True)
class Pools:
    """The file is good; `warnings` are about what it would be better without."""

    pools: Sequence[Pool]
    warnings: Sequence[Problem]


class PoolsFile:
    """The file at `path`, and which version of it was read last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: Stamp | None = None
        self._read = False

    def read(self) -> Unchanged | Faults | Pools:
        """Read the file if it was never read or was changed since."""
        seen = stamp(self.path)
        if seen == self._seen and self._read:
            return Unchanged()
        self._seen, self._read = seen, True
        try:
            file = load_pools(self.path)
        except ConfigError as error:
            return Faults(error.problems)
        return Pools(file.pools, file.warnings)

    def forget(self) -> None:
        """Read the file the next time even if it does not change: the caller could not apply it."""
        self._read = False


def last_good(records: Iterable[PoolRecord]) -> list[Pool]:
    """The pools that were in force when these records were written, in the order of the file."""
    configured = sorted((record for record in records if record.configured), key=lambda record: record.position)
    pools = []
    for record in configured:
        try:
            pools.append(msgspec.convert(record.options, Pool))
        except msgspec.ValidationError as error:
            log.error(
                "pool %s: its last good options cannot be used: %s",
                record.name,
                error,
                extra=of_pool(record.name),
            )
    return pools


def stamp(path: Path) -> Stamp | None:
    """A value that differs after the file was replaced or written; None when there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
