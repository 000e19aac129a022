"""Write what operators let pools do, and which pools are drained."""

import logging

from functions.policy import modes
from functions.policy.plan import ChangePool, NoteDrained, Plan
from functions.timed.farm import Farm
from state.documents import PoolRecord
from state.store import Batch, Put

log = logging.getLogger(__name__)


def change_pools(farm: Farm, decided: Plan) -> None:
    """Replace the records of pools as a plan says; raises StoreUnavailable and StoreFrozen."""
    now = farm.clock()
    snapshot = farm.snapshot
    changed: dict[str, PoolRecord] = {}
    for step in decided.steps:
        match step:
            case ChangePool(pool=name, intent=number):
                intent = snapshot.intents[number]
                changed[name] = modes.change_pool(changed.get(name) or snapshot.records[name], intent, now)
                log.info("pool %s: %s by %s", name, intent.kind, modes.why(intent) or "nobody", extra={"pool": name})
            case NoteDrained(pool=name):
                changed[name] = modes.note_drained(changed.get(name) or snapshot.records[name], now)
                log.info("pool %s: drained", name, extra={"pool": name})
    if not changed:
        return
    farm.store.commit(Batch([Put(record) for record in changed.values()]))
    for record in changed.values():
        farm.keep(record)
