"""Hypothesis strategies of the model: what pools.yaml says, and what happens to it."""

import json
from typing import Any

from hypothesis import strategies as st

PLAIN = {"p": ("a", "b"), "q": ("a", "c")}
"""Pools that keep spares, with the tags that they may have."""
ON_DEMAND = {"r": ("a", "x")}
"""Pools that start on demand: their second tag is the on-demand one."""
BROKEN = st.sampled_from([None, "p: [", "p: {max: many, cmd_new: 'true', cmd_delete: 'true'}", "p: {}", "\0"])
"""Files that cannot be used; None: no file."""

Farm = dict[str, dict[str, Any]]


@st.composite
def farms(draw: st.DrawFn, all_pools: bool = False) -> Farm:
    """The content of a pools.yaml: some of the pools, or all, in any order."""
    order = draw(st.permutations([*PLAIN, *ON_DEMAND]))
    names = order if all_pools else order[: draw(st.sampled_from([3, 2, 1]))]
    return {name: draw(_pools(name)) for name in names}


@st.composite
def _pools(draw: st.DrawFn, name: str) -> dict[str, Any]:
    first, second = (PLAIN | ON_DEMAND)[name]
    both = [first, {"name": second, "priority": 5}]
    tags = draw(st.sampled_from([both, both, [first], [second]]))
    return {
        "max": draw(st.sampled_from([3, 4, 6, 2, 1, 0])),
        "max_starting": draw(st.sampled_from([1, 2, 3, 4, 1, 0])),
        "max_prealloc": draw(st.sampled_from([1, 2, 1, 0])),
        "start_delay": draw(st.sampled_from([0, 0, 0, 30])),
        **({"tags": tags} if name in PLAIN else {"tags": [first], "tags_on_demand": [second]}),
        **draw(st.sampled_from(_HOOKS)),
        **draw(st.sampled_from(_REUSE)),
        "named_counters": draw(st.sampled_from([[], ["port"]])),
        "delete_attempts": draw(st.sampled_from([2, 4])),
        **_LIMITS,
    }


_HOOKS = (
    {},
    {"cmd_release": "release"},
    {"cmd_livecheck": "check", "livecheck_period": 60, "livecheck_attempts": 1},
    {"cmd_release": "release", "cmd_livecheck": "check", "livecheck_period": 300, "livecheck_attempts": 2},
    {"cmd_list": "list"},
)
_REUSE = (
    {},
    {"reuse_opportunity_time": 300},
    {"reuse_opportunity_time": 300, "reuse_max_count": 2},
    {"reuse_opportunity_time": 300, "reuse_max_time": 0},
    {"reuse_opportunity_time": 3000, "reuse_max_count": 1, "reuse_max_time": 900},
)
_LIMITS = {
    "cmd_new": "new",
    "cmd_delete": "delete",
    **{f"cmd_{hook}_timeout": 900 for hook in ("new", "delete", "release", "livecheck")},
}


def as_file(farm: Farm) -> str:
    """The text of the file: JSON is YAML."""
    return json.dumps(farm)


def generous(room: int) -> Farm:
    """All pools, each with room for so many more resources at once."""
    plain = {name: {"tags": [*tags]} for name, tags in PLAIN.items()}
    on_demand = {name: {"tags": [tags[0]], "tags_on_demand": [tags[1]]} for name, tags in ON_DEMAND.items()}
    limits = {"max": room, "max_starting": room, "max_prealloc": room, **_LIMITS}
    return {name: {**tags, **limits} for name, tags in (plain | on_demand).items()}


def tight(farm: Farm) -> Farm:
    """The same pools, which start nothing any more."""
    return {name: {**options, "max": 0, "max_prealloc": 0} for name, options in farm.items()}
