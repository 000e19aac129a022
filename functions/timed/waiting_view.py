"""What the leader shows to readers in `view/`: the pools in force and why tickets wait.

Written behind the grants, at most once a second, as a whole. It is made anew after every start.
"""

from typing import Any

import msgspec

from functions.policy.order import ticket_of
from functions.policy.waits.explain import Case, Explanation, Prospect, explain
from functions.policy.waits.sentences import own_sentence, pool_sentence, why_briefly, why_waiting
from functions.timed.corruption import SHOWN
from functions.timed.leader import Leader

SHORTEST_PAUSE = 1.0
"""Seconds between two writings of the view."""
LONGEST_AGE = 15.0
"""Seconds after which the view is written again although no document changed, while pools work for those who wait."""


def pools_view(leader: Leader, identity: dict[str, Any]) -> dict[str, Any]:
    """The pools in force, what is wrong with the configuration and the documents, and who leads."""
    return {
        "at": leader.clock(),
        "leader": identity,
        "faults": leader.config.pool_faults + leader.config.agent_faults,
        "warnings": leader.config.warnings,
        "pools": [
            {"name": pool.name, "offers": pool.offers, "on_demand": pool.on_demand, "max": pool.max}
            for pool in leader.mirror.snapshot.pools.values()
        ],
        "quarantine": leader.corruption.words,
        "not_archived": [f"{folder}: {why}" for folder, why in sorted(leader.mirror.not_archived.items())[:SHOWN]],
    }


def waiting_view(leader: Leader, explanation: Explanation) -> dict[str, Any]:
    """The waiting tickets of each tag set, in the order in which they are served, and why they wait."""
    waiting = leader.mirror.snapshot.waiting
    places: dict[int, int] = {}
    cases: list[dict[str, Any]] = []
    groups = []
    for tags, case in explanation.cases.items():
        place = places.setdefault(id(case), len(places))
        if place == len(cases):
            cases.append(_shown_case(case, explanation.pools))
        groups.append({"tags": sorted(tags), "ids": [ticket_of(turn) for turn in waiting[tags]], "case": place})
    own = [
        {"tags": sorted(own.tags), "sandbox": own.sandbox, "sentence": sentence}
        for own in explanation.own
        if (sentence := own_sentence(own))
    ]
    return {"at": explanation.at, "cases": cases, "groups": groups, "own": own}


def _shown_case(case: Case, any_pools: bool) -> dict[str, Any]:
    return {
        "on_demand": case.on_demand,
        "missing": case.missing,
        "why": why_waiting(case, any_pools),
        "brief": why_briefly(case) if case.prospects else why_waiting(case, any_pools),
        "pools": [_shown_prospect(prospect) for prospect in case.prospects],
        "forecast": case.forecast,
    }


def _shown_prospect(prospect: Prospect) -> dict[str, Any]:
    return {**msgspec.to_builtins(prospect), "sentence": pool_sentence(prospect)}


def show(leader: Leader, identity: dict[str, Any]) -> float:
    """Write both views; returns when they are outdated (Unix seconds) even if nothing changes until then."""
    explanation = explain(leader.mirror.snapshot, leader.clock())
    leader.store.write_view("pools.json", msgspec.json.encode(pools_view(leader, identity)) + b"\n")
    leader.store.write_view("waiting.json", msgspec.json.encode(waiting_view(leader, explanation)) + b"\n")
    in_vain = all(not case.prospects for case in explanation.cases.values())
    return float("inf") if in_vain else explanation.at + LONGEST_AGE
