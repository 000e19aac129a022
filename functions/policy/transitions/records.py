"""What is remembered of a pool once pools.yaml was read: its options, and what has changed."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from config.pools import Pool
from functions.policy.transitions.history import note
from state.documents import Actor, PoolRecord
from state.lifecycle import PoolEvent

_IN, _OUT = "in the file", "not in the file"


def remembered(known: Mapping[str, PoolRecord], pools: Iterable[Pool], now: float) -> list[PoolRecord]:
    """The records, of those that are known and new ones, that are different once these pools stand in the file."""
    records = {pool.name: configured(known.get(pool.name), pool, position, now) for position, pool in enumerate(pools)}
    records |= {name: left(record, now) for name, record in known.items() if name not in records}
    return [record for name, record in records.items() if record != known.get(name)]


def configured(record: PoolRecord | None, pool: Pool, position: int, now: float) -> PoolRecord:
    """The record of a pool that stands in the file, at this place."""
    known = record or PoolRecord(name=pool.name, configured=False, first_seen_at=now)
    # Options that only a newer version knows stay.
    newer = {name: value for name, value in known.options.items() if name not in Pool.__struct_fields__}
    # As they come back from JSON, so that the record compares with what stands on the disk.
    options = newer | msgspec.json.decode(msgspec.json.encode(pool))
    if not known.configured:
        known = note(known, PoolEvent.CONFIGURED, now, Actor.OPERATOR, _OUT, _IN)
    elif options != known.options:
        changes = _changes(known.options, options)
        known = note(known, PoolEvent.CHANGED, now, Actor.OPERATOR, _IN, _IN, changes)
    return known.replace(position=position, configured=True, options=options)


def left(record: PoolRecord, now: float) -> PoolRecord:
    """The record of a pool that does not stand in the file any more."""
    if not record.configured:
        return record
    return note(record, PoolEvent.LEFT, now, Actor.OPERATOR, _IN, _OUT).replace(configured=False)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of the options that are different."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What is different, numbers with what they were and are: "cmd_new, max 4 → 5"."""
    return ", ".join(_change(name, before.get(name), after.get(name)) for name in differences(before, after))


def _change(name: str, before: Any, after: Any) -> str:
    numbers = all(isinstance(value, int | float) for value in (before, after))
    return f"{name} {before:g} → {after:g}" if numbers else name
