"""A model of the farm: anything happens in any order, many times over, and all promises are held against the documents.

Hypothesis chooses what happens, from a seed. The store, the policy and the timed functions are the real ones; hooks,
clock, crashes and boots are simulated, so that a run of a hundred steps takes a blink.
"""

import time
from itertools import count

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.children import WORKERS, side_by_side
from tests.chaos.model_rules import FarmModel
from tests.chaos.report import Report
from tests.chaos.world import Send

RUNS, STEPS = 80, 40
"""The seeds of the quick form."""
BATCHES = ((50, 40), (10, 200))
"""Runs and steps of the batches of the long form, in turns: many short runs, and long ones."""


def check(seed: int, runs: int, steps: int, machine: type[FarmModel] = FarmModel, shrink: bool = True) -> None:
    """Let so many runs of so many steps happen; raises what the first broken promise raised, with how it came about."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    options = settings(
        max_examples=runs,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(hypothesis.seed(seed)(type(machine.__name__, (machine,), {})), settings=options)


def run(seconds: float, seed: int) -> Report:
    """Batches of runs side by side until the time is over; a fault names its seed and how it came about."""
    report = Report("model")
    until = time.monotonic() + seconds
    for what, fact in side_by_side(_run_batches, range(WORKERS), until, seed):
        if what == "tried":
            report.count(*fact)
        else:
            report.faults.append(fact)
    return report


def _run_batches(send: Send, worker: int, until: float, seed: int) -> None:
    """Batches of the seeds from `seed * 1000 + worker` on, one in `WORKERS`; begins none that would end too late."""
    took: dict[int, float] = {}
    for batch in count(seed * 1000 + worker, WORKERS):
        kind = batch // WORKERS % len(BATCHES)
        began = time.monotonic()
        if began + took.get(kind, 0.0) > until:
            return
        machines, steps, deaths = FarmModel.machines, FarmModel.steps, FarmModel.deaths
        try:
            check(batch, *BATCHES[kind], shrink=False)
        except Exception as broken:
            notes = "\n".join(getattr(broken, "__notes__", []))
            fault = f"{type(broken).__name__}: {broken}\n{notes}"
            send(("wrong", f"check({batch}, *BATCHES[{kind}]): {fault}"))
        for what, times in (
            ("runs", FarmModel.machines - machines),
            ("steps", FarmModel.steps - steps),
            ("deaths of the scheduler", FarmModel.deaths - deaths),
        ):
            send(("tried", (what, times)))
        took[kind] = time.monotonic() - began
