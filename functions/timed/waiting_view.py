"""Writes `view/pools.json` and `view/waiting.json`: the pools in force, and why tickets wait.

Written behind the grants, at most once a second, as a whole; also after each start.
"""

import msgspec

from functions import leader_view as shown
from functions.policy.order import ticket_of
from functions.policy.waits.explain import Case, Explanation, Prospect, explain
from functions.policy.waits.sentences import own_sentence, pool_sentence, why_briefly, why_waiting
from functions.timed.corruption import SHOWN
from functions.timed.leader import Leader

SHORTEST_PAUSE = 1.0
"""Seconds between two writings of the view."""
LONGEST_AGE = 15.0
"""Seconds after which the view is written again although no document changed, while pools work for waiting tickets."""


def pools_view(leader: Leader, identity: shown.Leader) -> shown.Pools:
    """The pools in force, what is wrong with the configuration and the documents, and which process leads."""
    not_archived = sorted(leader.mirror.not_archived.items())[:SHOWN]
    return shown.Pools(
        at=leader.clock(),
        leader=identity,
        faults=leader.config.pool_faults + leader.config.agent_faults,
        warnings=leader.config.warnings,
        pools=tuple(
            shown.ShownPool(name=pool.name, offers=dict(pool.offers), on_demand=pool.on_demand, max=pool.max)
            for pool in leader.mirror.snapshot.pools.values()
        ),
        quarantine=tuple(leader.corruption.words),
        not_archived=tuple(f"{folder}: {why}" for folder, why in not_archived),
    )


def waiting_view(leader: Leader, explanation: Explanation) -> shown.Waiting:
    """The waiting tickets of each tag set, in the order in which they are served, and why they wait."""
    waiting = leader.mirror.snapshot.waiting
    places: dict[int, int] = {}
    cases: list[shown.Case] = []
    groups = []
    for tags, case in explanation.cases.items():
        place = places.setdefault(id(case), len(places))
        if place == len(cases):
            cases.append(_shown_case(case, explanation.pools))
        ids = tuple(ticket_of(key) for key in waiting[tags])
        groups.append(shown.Group(tags=tuple(sorted(tags)), ids=ids, case=place))
    own = tuple(
        shown.Own(tags=tuple(sorted(own.tags)), sandbox=own.sandbox, sentence=sentence)
        for own in explanation.own
        if (sentence := own_sentence(own))
    )
    return shown.Waiting(at=explanation.at, cases=tuple(cases), groups=tuple(groups), own=own)


def _shown_case(case: Case, any_pools: bool) -> shown.Case:
    why = why_waiting(case, any_pools)
    return shown.Case(
        on_demand=case.on_demand,
        missing=case.missing,
        why=why,
        brief=why_briefly(case) if case.prospects else why,
        pools=tuple(_shown_prospect(prospect) for prospect in case.prospects),
        forecast=case.forecast,
    )


def _shown_prospect(prospect: Prospect) -> shown.Prospect:
    facts = msgspec.to_builtins(prospect)
    facts["holds"] = tuple(facts["holds"])
    return shown.Prospect(**facts, sentence=pool_sentence(prospect))


def show(leader: Leader, identity: shown.Leader) -> float:
    """Write both views; returns when they are outdated (Unix seconds) even if nothing changes until then.

    Raises StoreUnavailable.
    """
    explanation = explain(leader.mirror.snapshot, leader.clock())
    leader.store.show("pools.json", msgspec.json.encode(pools_view(leader, identity)) + b"\n")
    leader.store.show("waiting.json", msgspec.json.encode(waiting_view(leader, explanation)) + b"\n")
    in_vain = all(not case.prospects for case in explanation.cases.values())
    return float("inf") if in_vain else explanation.at + LONGEST_AGE
