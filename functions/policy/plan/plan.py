"""The one decision function: what a reconcile pass should do, from a snapshot of all living documents."""

import msgspec

from functions.policy.plan import match, retire, starts
from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import Step
from functions.policy.snapshot.snapshot import Snapshot

ROUNDS = 4
"""Plans that one pass makes at most. The next pass follows at once and does the rest."""


class Plan(msgspec.Struct, frozen=True):
    """The steps to take now, in this order, and when to plan again although no document changed (Unix seconds)."""

    steps: tuple[Step, ...] = ()
    next_due: float | None = None


def plan(snapshot: Snapshot, now: float) -> Plan:
    """Decide one reconcile pass at `now` (Unix seconds). The snapshot is not changed.

    The steps are those of docs/semantics.md (A reconcile pass), in its order. Removals are decided before the on-demand
    starts of step 2, so that a resource that is about to be deleted does not save a start. The cost is that of the
    steps and of the number of groups in the snapshot, not that of the number of documents.
    """
    return decide(Draft(snapshot, now))


def decide(draft: Draft) -> Plan:
    """The plan that is made in this new draft; afterwards the draft shows more of what was decided."""
    releases = retire.release_closed(draft)
    removals = retire.remove(draft)
    on_demand = starts.on_demand_starts(draft)
    deletes = retire.delete(draft)
    started = starts.start(draft, on_demand)
    assignments = match.assign(draft)
    return Plan((*releases, *removals, *deletes, *started, *assignments), draft.next_due)
