"""Records of pools: statistics are written in batches behind the grants, everything else at once.

Each start changes statistics, and in most pools nothing else. When a scheduler is killed or loads everything again, the
statistics of a fraction of a second are lost; no decision depends on them.
"""

from collections.abc import Iterable

from functions.timed.leader import Leader
from state.documents import PoolRecord
from state.store import Batch, Put

RECORDS_PAUSE = 0.2
"""Least seconds between two calls of `write_records`."""
_STATISTICS = (
    "last_start",
    "last_successful_start",
    "last_attempt_to_start",
    "startup_success_rate",
    "startup_time_avg",
    "startup_time_deviation",
    "startup_samples",
)


def keep_records(leader: Leader, records: Iterable[PoolRecord]) -> list[Put]:
    """Put changed records into the mirror; returns the writes that must be made now."""
    decisive = []
    for record in records:
        before = leader.mirror.snapshot.records.get(record.name)
        written = leader.mirror.written_records.get(record.name, before)
        leader.keep(record)
        if leader.is_newer_pool(record.name):
            continue
        if before is not None and written is not None and _is_statistics_only(leader, before, record):
            leader.mirror.written_records[record.name] = written
        else:
            decisive.append(Put(record))
    return decisive


def write_records(leader: Leader) -> None:
    """Write the unwritten statistics. Raises StoreUnavailable and StoreFrozen."""
    records = [
        leader.mirror.snapshot.records[name]
        for name in sorted(leader.mirror.written_records)
        if name in leader.mirror.snapshot.records
    ]
    if records:
        leader.store.commit(Batch([Put(record) for record in records]))
    leader.mirror.written_records.clear()


def _is_statistics_only(leader: Leader, before: PoolRecord, after: PoolRecord) -> bool:
    """Whether no decision depends on the difference. With a `start_delay` one depends on the last start."""
    options = leader.mirror.snapshot.options_of(after.name)
    if options is None or options.start_delay > 0:
        return False
    return after.replace(**{name: getattr(before, name) for name in _STATISTICS}) == before
