"""Write what operators let pools do, which pools are drained, and how many resources clients called bad."""

import logging

from functions.logfields import of_pool
from functions.policy.plan.plan import ChangePool, LetGo, NoteDrained, Plan
from functions.policy.transitions import pool as modes
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
                log.info("pool %s: %s by %s", name, intent.kind, modes.why(intent) or "nobody", extra=of_pool(name))
            case LetGo(ticket=number, resource=resource) if snapshot.tickets[number].bad is not None:
                name = snapshot.resources[resource].pool
                record = changed.get(name) or snapshot.records.get(name)
                if record is not None:
                    changed[name] = record.replace(bad_resources=record.bad_resources + 1)
            case NoteDrained(pool=name):
                changed[name] = modes.note_drained(changed.get(name) or snapshot.records[name], now)
                log.info("pool %s: drained", name, extra=of_pool(name))
    if not changed:
        return
    farm.store.commit(Batch([Put(record) for record in changed.values()]))
    for record in changed.values():
        farm.keep(record)
