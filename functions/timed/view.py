"""What the leader shows to readers in `view/`: the pools in force and why tickets wait.

Written behind the grants, at most once a second, as a whole. It is made anew after every start.
"""

from typing import Any

import msgspec

from functions.policy.explain import why_waiting
from functions.timed.farm import Farm

SHORTEST_PAUSE = 1.0
"""Seconds between two writings of the view."""


def pools_view(farm: Farm, leader: dict[str, Any]) -> dict[str, Any]:
    """The pools in force, what is wrong with the configuration and the documents, and who leads."""
    return {
        "at": farm.clock(),
        "leader": leader,
        "faults": farm.config_faults + farm.agent_faults,
        "warnings": farm.config_warnings,
        "pools": [
            {"name": pool.name, "offers": pool.offers, "on_demand": pool.on_demand, "max": pool.max}
            for pool in farm.snapshot.pools.values()
        ],
        "quarantine": farm.quarantined,
    }


def waiting_view(farm: Farm) -> dict[str, Any]:
    """The waiting tickets of each tag set, in the order in which they are served, and why they wait."""
    now = farm.clock()
    return {
        "at": now,
        "groups": [
            {
                "tags": sorted(tags),
                "ids": list(farm.snapshot.waiting[tags]),
                "why": why_waiting(farm.snapshot, tags, now),
            }
            for tags in farm.snapshot.waiting
        ],
    }


def show(farm: Farm, leader: dict[str, Any]) -> None:
    """Write both views."""
    farm.store.write_view("pools.json", msgspec.json.encode(pools_view(farm, leader)) + b"\n")
    farm.store.write_view("waiting.json", msgspec.json.encode(waiting_view(farm)) + b"\n")
