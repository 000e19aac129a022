"""What operators let a pool do: its record after what they asked for."""

from functions.policy.transitions.history import note
from state.documents import Actor, Intent, IntentKind, PoolMode, PoolRecord
from state.lifecycle import PoolEvent

_WANTED = {
    IntentKind.PAUSE_POOL: PoolMode.PAUSED,
    IntentKind.DRAIN_POOL: PoolMode.DRAINING,
    IntentKind.RESUME_POOL: PoolMode.ACTIVE,
}


def change_pool(record: PoolRecord, intent: Intent, now: float) -> PoolRecord:
    """The record after an operator's wish; the same object when nothing is to be changed (any more)."""
    if intent.kind is IntentKind.RETRY_POOL:
        return _retry(record, intent, now)
    mode = _WANTED.get(intent.kind)
    # A pool that drains starts nothing anyhow: to pause it must not end that.
    if mode is None or (mode is PoolMode.PAUSED and record.mode is PoolMode.DRAINING):
        return record
    if mode is PoolMode.ACTIVE and record.mode is PoolMode.ACTIVE:
        return record
    until = intent.until if mode is PoolMode.DRAINING else None
    wanted = (mode, intent.by, intent.reason, until)
    if wanted == (record.mode, record.mode_by, record.mode_reason, record.drain_until):
        return record
    told = note(record, PoolEvent.MODE_CHANGED, now, Actor.OPERATOR, record.mode, mode, why(intent), until)
    return told.replace(
        mode=mode,
        mode_since=record.mode_since if mode is record.mode else now,
        mode_by=intent.by,
        mode_reason=intent.reason,
        drain_until=until,
        drained_at=record.drained_at if mode is record.mode else None,
    )


def note_drained(record: PoolRecord, now: float) -> PoolRecord:
    """The record of a DRAINING pool that has no resource left."""
    told = note(record, PoolEvent.DRAINED, now, Actor.LEADER, record.mode, record.mode)
    return told.replace(drained_at=now)


def why(intent: Intent) -> str | None:
    """Who asked and for what reason, in words."""
    return ": ".join(word for word in (intent.by, intent.reason) if word) or None


def _retry(record: PoolRecord, intent: Intent, now: float) -> PoolRecord:
    if not record.start_failures and record.paused_until is None:
        return record
    told = note(record, PoolEvent.RETRIED, now, Actor.OPERATOR, "paused", "starting", why(intent))
    return told.replace(start_failures=0, paused_until=None, pause_reason=None)
