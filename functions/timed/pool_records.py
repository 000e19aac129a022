"""Records of pools: statistics are written behind the grants, now and then, all else with what it is decided for.

Statistics change with each start, and are the only thing that a start changes in most pools. What was not written yet
when a scheduler is killed, or reads all anew, is a fraction of a second of them; nothing is decided by it.
"""

from collections.abc import Iterable

from functions.timed.farm import Farm
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


def keep_records(farm: Farm, records: Iterable[PoolRecord]) -> list[Put]:
    """Take changed records into the mirror; returns those that have to be written now."""
    decisive = []
    for record in records:
        before = farm.snapshot.records.get(record.name)
        written = farm.late_records.get(record.name, before)
        farm.keep(record)
        if before is not None and written is not None and _only_counts(farm, before, record):
            farm.late_records[record.name] = written
        else:
            decisive.append(Put(record))
    return decisive


def write_records(farm: Farm) -> None:
    """Write the statistics that have not been written. Raises StoreUnavailable and StoreFrozen."""
    records = [farm.snapshot.records[name] for name in sorted(farm.late_records) if name in farm.snapshot.records]
    if records:
        farm.store.commit(Batch([Put(record) for record in records]))
    farm.late_records.clear()


def _only_counts(farm: Farm, before: PoolRecord, after: PoolRecord) -> bool:
    """Whether nothing is decided by what is different. With a `start_delay` the last start is."""
    options = farm.snapshot.options_of(after.name)
    if options is None or options.start_delay > 0:
        return False
    return after.replace(**{name: getattr(before, name) for name in _STATISTICS}) == before
