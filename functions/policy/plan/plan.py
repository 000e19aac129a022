"""The one decision function: what a reconcile pass should do, from a snapshot of all living documents."""

import msgspec

from functions.policy.plan import match, retire, scale
from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import (
    Assign,
    ChangePool,
    DeleteAfterRun,
    DropIntent,
    EndHold,
    FailTicket,
    HoldResource,
    NoteDrained,
    Release,
    RequestDelete,
    Settle,
    StartDelete,
    StartResource,
    Step,
)
from functions.policy.snapshot.snapshot import Snapshot

__all__ = [
    "ROUNDS",
    "Assign",
    "ChangePool",
    "DeleteAfterRun",
    "DropIntent",
    "EndHold",
    "FailTicket",
    "HoldResource",
    "NoteDrained",
    "Plan",
    "Release",
    "RequestDelete",
    "Settle",
    "StartDelete",
    "StartResource",
    "Step",
    "decide",
    "plan",
]


ROUNDS = 4
"""Plans that one pass makes at most; what is left is the next pass's, which follows at once."""


class Plan(msgspec.Struct, frozen=True):
    """What is to be done now, in this order, and when to ask again although no document changed (Unix seconds)."""

    steps: tuple[Step, ...] = ()
    next_due: float | None = None


def plan(snapshot: Snapshot, now: float) -> Plan:
    """Decide one reconcile pass at `now` (Unix seconds); the snapshot stays as it is.

    The steps are those of SEMANTICS section 4 in its order. Removals are decided before the on-demand starts of step 2,
    so that no start is saved for the sake of a resource that is about to go. The cost is that of the steps and of the
    number of groups in the snapshot, not that of the number of documents.
    """
    return decide(Draft(snapshot, now))


def decide(draft: Draft) -> Plan:
    """The plan that is made in this new draft, in which more can be seen of it afterwards."""
    let_go = retire.let_go(draft)
    removals = retire.remove(draft)
    on_demand = scale.on_demand_starts(draft)
    deletes = retire.delete(draft)
    starts = scale.start(draft, on_demand)
    assignments = match.assign(draft)
    return Plan((*let_go, *removals, *deletes, *starts, *assignments), draft.next_due)
