"""Records of pools: statistics are written behind the grants, now and then, all else with what it is decided for.

Statistics change with each start, and are the only thing that a start changes in most pools. What was not written yet
when a scheduler is killed, or reads all anew, is a fraction of a second of them; nothing is decided by it.
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
    """Take changed records into the mirror; returns those that have to be written now."""
    decisive = []
    for record in records:
        before = leader.mirror.snapshot.records.get(record.name)
        written = leader.mirror.written_records.get(record.name, before)
        leader.keep(record)
        if before is not None and written is not None and _only_counts(leader, before, record):
            leader.mirror.written_records[record.name] = written
        else:
            decisive.append(Put(record))
    return decisive


def write_records(leader: Leader) -> None:
    """Write the statistics that have not been written. Raises StoreUnavailable and StoreFrozen."""
    records = [
        leader.mirror.snapshot.records[name]
        for name in sorted(leader.mirror.written_records)
        if name in leader.mirror.snapshot.records
    ]
    if records:
        leader.store.commit(Batch([Put(record) for record in records]))
    leader.mirror.written_records.clear()


def _only_counts(leader: Leader, before: PoolRecord, after: PoolRecord) -> bool:
    """Whether nothing is decided by what is different. With a `start_delay` the last start is."""
    options = leader.mirror.snapshot.options_of(after.name)
    if options is None or options.start_delay > 0:
        return False
    return after.replace(**{name: getattr(before, name) for name in _STATISTICS}) == before
