"""Estimates against what became of them: what is said to be sure must come true at least as often as that means."""

import random
from collections.abc import Callable, Iterable

import pytest

from config.pools import Pool
from functions.policy.waits.estimate import Confidence
from state.documents import HookKind
from tests.load.simulation import Simulation, Summary

pytestmark = pytest.mark.thorough

SURE = 0.8
"""At least this part of the waits must be within the estimated range."""
SEEDS = range(2)

Took = Callable[[random.Random], float]
"""How long one start takes, in seconds."""


def steady(dice: random.Random) -> float:
    return 90 * dice.lognormvariate(0, 0.05)


def usual(dice: random.Random) -> float:
    return 90 * dice.lognormvariate(0, 0.4)


def fast_or_slow(dice: random.Random) -> float:
    """From a warm or from a cold cache."""
    return dice.choice((60, 150)) * dice.lognormvariate(0, 0.1)


def rarely_slow(dice: random.Random) -> float:
    return 60 * dice.lognormvariate(0, 0.1) * (8 if dice.random() < 0.03 else 1)


def erratic(dice: random.Random) -> float:
    return 90 * dice.lognormvariate(0, 1.3)


class OneKind(Simulation):
    """A farm for tickets of one kind; the wait of each that has to wait is estimated."""

    demands = ((("vm",), 1),)
    estimated_one_of = 1

    def __init__(self, pools: Iterable[Pool], seed: int, took: Took, tickets_per_hour: float) -> None:
        super().__init__(list(pools), seed, hours=8, tickets_per_hour=tickets_per_hour, check=lambda snapshot: None)
        self._took = took

    def _duration(self, kind: HookKind) -> float:
        return self._took(self.random) if kind is HookKind.ALLOC else super()._duration(kind)


def a_pool(name: str = "vm", **options: object) -> Pool:
    return Pool(
        **{
            **{"name": name, "cmd_new": "new", "cmd_delete": "delete", "tags": {"vm": 0}},
            **{"max": 40, "max_starting": 4, "max_prealloc": 1, **options},
        }
    )


FARMS = {
    "one spare": ([a_pool()], 40),
    "a burst each": ([a_pool(max_starting=2, max_prealloc=2)], 70),
    "delayed": ([a_pool(start_delay=20)], 40),
    "two pools": ([a_pool("one"), a_pool("two", max_starting=1)], 60),
}


def simulate(farm: str, took: Took) -> Summary:
    pools, tickets_per_hour = FARMS[farm]
    every = Summary()
    for seed in SEEDS:
        every.estimates += OneKind(pools, seed, took, tickets_per_hour).run().estimates
    return every


def count(summary: Summary, level: Confidence) -> int:
    return sum(estimate.confidence is level for estimate, _ in summary.estimates)


@pytest.mark.parametrize("took", [steady, usual, fast_or_slow])
@pytest.mark.parametrize("farm", FARMS)
def test_estimates_of_high_confidence_come_true(farm: str, took: Took) -> None:
    """Given predictable starts, when waits are estimated with high confidence, then most waits are as estimated."""
    summary = simulate(farm, took)
    assert count(summary, Confidence.HIGH) > 100
    assert summary.within_range(Confidence.HIGH) >= SURE, summary.accuracy()
    assert summary.within_range() >= SURE, summary.accuracy()


@pytest.mark.parametrize("took", [rarely_slow, erratic])
@pytest.mark.parametrize("farm", FARMS)
def test_unpredictable_starts_have_no_confident_estimates(farm: str, took: Took) -> None:
    """Given starts that take many times as long now and then, when waits are estimated, then hardly any estimate
    has high confidence, and most waits are within the range all the same.
    """
    summary = simulate(farm, took)
    assert count(summary, Confidence.HIGH) < 0.1 * len(summary.estimates), summary.accuracy()
    assert summary.within_range() >= 0.75, summary.accuracy()
