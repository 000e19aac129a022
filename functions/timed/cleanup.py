"""Cleanup: deletes unknown resources that `cmd_list` finds, documents past their retention, and leftovers of crashes.

Triggered every minute, by due lists and by ended list runs. Reads the mirror and the state folder; writes pool records
and starts list and terminate runs.
"""

import logging
import re

from config.pools import Pool
from functions.logfields import of_run
from functions.policy.clock import due_at
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.pool import fold_taken_times
from functions.policy.transitions.run_id import Consumer
from functions.policy.transitions.ticket import close_ticket
from functions.timed.hook_runs import HookRun, RunNumbers, list_run, unknown_delete_run
from functions.timed.leader import Leader
from functions.timed.patrol import Patrol
from state.documents import HookKind, TicketState
from state.store import Batch, Put, Update

log = logging.getLogger(__name__)

LIST_PERIOD = 1800.0
"""Least seconds between two runs of `cmd_list` in a pool, and before the first one."""
KEPT_SKIPS = 10_000


class CleanupMemory:
    """What cleanup remembers: skipped names (each is logged once), the numbers of its runs, how far the patrol is."""

    def __init__(self) -> None:
        self.skipped: dict[tuple[str, str], None] = {}
        self.patrol = Patrol()
        self.numbers = RunNumbers()


def cleanup(leader: Leader, memory: CleanupMemory) -> float | None:
    """Do what is due; returns when the next list is due (Unix seconds).

    Raises StoreUnavailable and StoreFrozen, and UnknownFormat when a newer program has taken the folder over.
    """
    now = leader.clock()
    leader.mend()
    swept = leader.store.sweep(now, leader.settings.ticket_retention, leader.settings.resource_retention)
    if swept.tickets or swept.resources or swept.leftovers:
        removed = swept.tickets, swept.resources, swept.leftovers
        log.info("deleted %d old tickets, %d old resources, %d leftovers", *removed)
    old_days = leader.store.events.thin_out(now - leader.settings.event_retention)
    if old_days:
        log.info("deleted the events of %d days", old_days)
    if swept.quarantined:
        log.warning("deleted %d old files from quarantine", swept.quarantined)
    memory.patrol.walk(leader)
    leader.check_quarantine()
    _close_forgotten_failures(leader, now)
    note_taken_times(leader)
    return start_lists(leader, memory)


def note_taken_times(leader: Leader) -> None:
    """Record how long tickets kept resources. A crash loses the last minute of it; no decision depends on it."""
    records = [
        fold_taken_times(leader.mirror.snapshot.records[pool], seconds)
        for pool, seconds in leader.mirror.taken_times.items()
        if pool in leader.mirror.snapshot.records
    ]
    leader.mirror.taken_times.clear()
    if records:
        leader.store.commit(Batch([Put(record) for record in records]))
    for record in records:
        leader.keep(record)


def start_lists(leader: Leader, memory: CleanupMemory) -> float | None:
    """Start every due `cmd_list`; returns when the next one is due (Unix seconds)."""
    now = leader.clock()
    due_times = []
    records = []
    for name, record in leader.mirror.snapshot.records.items():
        pool = leader.mirror.snapshot.options_of(name)
        if pool is None or pool.cmd_list is None:
            continue
        due = due_at((record.last_list_at or record.first_seen_at) + LIST_PERIOD, LIST_PERIOD, now)
        if due > now:
            due_times.append(due)
            continue
        records.append(record.replace(last_list_at=now))
        leader.hooks.start(list_run(pool, memory.numbers.next(now)))
    if records:
        leader.store.commit(Batch([Put(record) for record in records]))
        for record in records:
            leader.keep(record)
    return min(due_times, default=None)


def handle_list_results(leader: Leader, memory: CleanupMemory) -> None:
    """Handle ended runs of `cmd_list`: start deletes of the unknown names that they printed. Forget ended deletes."""
    for run, outcome in leader.hooks.finished(Consumer.CLEANUP):
        if run.kind is HookKind.LIST:
            _delete_unknown(leader, memory, run, outcome)
        elif outcome.exit != 0:
            name = run.environment["RESALLOC_NAME"]
            log.warning(
                "pool %s: cmd_delete of the unknown %s failed: %s",
                run.pool,
                name,
                outcome.last_line,
                extra=of_run(run),
            )
        leader.hooks.forget(run.id)


def _delete_unknown(leader: Leader, memory: CleanupMemory, run: HookRun, outcome: Outcome) -> None:
    if outcome.exit != 0 or outcome.cut_off is not None or outcome.output is None:
        why = outcome.cut_off or outcome.last_line or f"exit status {outcome.exit}"
        log.warning("pool %s: cmd_list failed, so no unknown resource is deleted: %s", run.pool, why, extra=of_run(run))
        return
    pool = leader.mirror.snapshot.options_of(run.pool)
    if pool is None:
        return
    if leader.mirror.snapshot.lost:
        log.warning(
            "pool %s: unknown resources are not deleted while a resource's document is unreadable",
            run.pool,
            extra=of_run(run),
        )
        return
    known = {resource.name for resource in leader.mirror.snapshot.resources.values()}
    for name in unknown_names(outcome.output, known):
        if pool.delete_any_unknown or fits_pattern(name, pool):
            log.warning("pool %s: %s belongs to no resource, deleting it", pool.name, name, extra=of_run(run))
            leader.hooks.start(unknown_delete_run(pool, name, memory.numbers.next(leader.clock())))
        elif (pool.name, name) not in memory.skipped and len(memory.skipped) < KEPT_SKIPS:
            memory.skipped[pool.name, name] = None
            log.warning(
                "pool %s: %s belongs to no resource, but does not fit name_pattern: left alone",
                pool.name,
                name,
                extra=of_run(run),
            )


def unknown_names(output: bytes, known: set[str]) -> list[str]:
    """The unknown names in the output of `cmd_list`, each once, in its order."""
    names = output.decode(errors="surrogateescape").split()
    return [name for name in dict.fromkeys(names) if name not in known]


def fits_pattern(name: str, pool: Pool) -> bool:
    """Whether a name can have come from the pool's `name_pattern`."""
    fields = {"pool_name": re.escape(pool.name), "id": r"\d{8,}", "datetime": r"\d{8}_\d{6}"}
    pieces = re.split(r"\{(pool_name|id|datetime)\}", pool.name_pattern)
    pattern = "".join(
        fields[piece] if index % 2 else re.escape(piece.replace("{{", "{").replace("}}", "}"))
        for index, piece in enumerate(pieces)
    )
    return re.fullmatch(pattern, name) is not None


def _close_forgotten_failures(leader: Leader, now: float) -> None:
    since = now - leader.settings.ticket_retention
    forgotten = [
        ticket
        for ticket in leader.mirror.snapshot.tickets.values()
        if ticket.state is TicketState.FAILED and (ticket.failed_at or 0.0) < since
    ]
    if not forgotten:
        return
    leader.store.commit(Batch([Update(ticket, close_ticket(ticket, now)) for ticket in forgotten]))
    leader.refresh({"tickets": {ticket.id for ticket in forgotten}})
