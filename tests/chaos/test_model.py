"""The quick form of the model, and that it sees what it is there to see."""

import errno
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from functions.policy.plan import apply, intents, retire
from functions.policy.plan.draft import Draft
from functions.policy.plan.steps import Step
from functions.policy.snapshot.groups import ByPool
from functions.policy.transitions.resource import LONGEST_HOLD, release_resource
from scheduler import turns
from state.documents import HookKind, Resource, ResourceState
from state.files.ids import Numbers
from state.files.store import FileStore
from state.store import Batch, Put
from tests.chaos import model
from tests.chaos.model import RUNS, STEPS, check
from tests.chaos.model_deeds import Then
from tests.chaos.model_farms import generous
from tests.chaos.model_machine import Ending
from tests.chaos.model_rules import FarmModel

SEED = int(os.environ.get("MODEL_SEED", "1"))
"""Another one makes other runs."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The server says much about all that is done to it."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def farm() -> Iterator[FarmModel]:
    """A model to which the test makes things happen; at the end all must come to rest."""
    model = FarmModel()
    yield model
    model.teardown()


def pools(**options: Any) -> dict[str, dict[str, Any]]:
    """A pool `p` for resources with the tags a and b."""
    return {"p": {**generous(2)["p"], "max_prealloc": 1, **options}}


@pytest.mark.parametrize("runs", [10, pytest.param(RUNS, marks=pytest.mark.thorough)])
def test_whatever_happens_all_promises_are_kept(runs: int) -> None:
    print(f"MODEL_SEED={SEED}")
    check(SEED, runs, STEPS)


# The model sees defects

Plant = Callable[[pytest.MonkeyPatch], None]


def no_conflicts(patch: pytest.MonkeyPatch) -> None:
    """A grant overwrites the close that came in between."""
    commit = FileStore.commit

    def careless(store: FileStore, batch: Batch) -> list[Any]:
        writes = [Put(write.document) for write in batch.writes]
        return commit(store, replace(batch, writes=writes))

    patch.setattr(FileStore, "commit", careless)


def numbers_from_1(patch: pytest.MonkeyPatch) -> None:
    """After a boot, numbers begin again."""
    read_next = Numbers._read_next

    def forgetful(numbers: Numbers, content: bytes) -> tuple[int, int]:
        first, ceiling = read_next(numbers, content)
        return (first, ceiling) if ceiling else (1, 0)

    patch.setattr(Numbers, "_read_next", forgetful)


def no_owners(patch: pytest.MonkeyPatch) -> None:
    """A resource forgets whose it was."""

    def forgetful(*arguments: Any) -> Resource:
        return release_resource(*arguments).replace(sandbox=None, sandboxed_since=None)

    for module in (apply, retire):
        patch.setattr(module, "release_resource", forgetful)


def no_search_for_runs(patch: pytest.MonkeyPatch) -> None:
    """A hook that was about to start when the scheduler died is never noticed as missing."""
    patch.setattr("functions.timed.reconcile.missing_runs", lambda farm: [])
    patch.setattr(turns, "start_missing_runs", lambda farm: None)


def clocks_go_on(patch: pytest.MonkeyPatch) -> None:
    """The product does not expect the clock to be set back."""
    patch.setattr("functions.policy.clock.SLACK", 1e9)
    patch.setattr("functions.timed.livecheck.SLACK", 1e9)


def holds_end_at_once(patch: pytest.MonkeyPatch) -> None:
    """Each plan ends all holds."""
    end_holds = intents.end_holds

    def early(draft: Draft) -> list[Step]:
        draft.now += LONGEST_HOLD
        try:
            return end_holds(draft)
        finally:
            draft.now -= LONGEST_HOLD

    patch.setattr(intents, "end_holds", early)


def holds_are_no_matter(patch: pytest.MonkeyPatch) -> None:
    """A held resource is in the group of the free ones, too."""
    patch.setattr(ByPool, "put", _put_as_if_not_held)


def _put_as_if_not_held(groups: ByPool, resource: Resource, free: bool, doubtful: bool, put: Any = ByPool.put) -> None:
    put(groups, resource.replace(held_until=None), free, doubtful)


def one_intent_for_all(patch: pytest.MonkeyPatch) -> None:
    """A later intent about a resource whose hold a plan changes is dropped, not kept for the next plan."""
    patch.setattr(intents, "_changes_hold", lambda draft, resource: False)


def words_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The call of a resource as bad by its client is ignored."""
    patch.setattr("functions.policy.transitions.resource.called_bad", lambda ticket: None)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("plant", "fault"),
    [
        (no_conflicts, "was CLOSED and is OPEN"),
        (numbers_from_1, "comes after|comes right after|is started twice"),
        (no_owners, "of .* got resource .* of"),
        (no_search_for_runs, "waits for the run .*, which is not there"),
        (clocks_go_on, "spares of|waits|is still"),
        (holds_end_at_once, "is held no longer, and no request ended that|was to be held, and is not"),
        (holds_are_no_matter, "which is held|but was held|was to be held|is held no longer|ImpossibleTransition"),
        (one_intent_for_all, "was to be held"),
        (words_are_forgotten, "a client called (it )?bad"),
    ],
)
def test_a_planted_defect_is_found(plant: Plant, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=fault):
        check_often()


def check_often() -> None:
    """Few runs check few things: some of these seeds may miss what others find."""
    for seed in range(SEED, SEED + 10):
        check(seed, RUNS, STEPS, shrink=False)


# What it found


def test_a_delete_that_is_asked_for_while_cmd_release_runs_does_not_run_that_again(farm: FarmModel) -> None:
    farm.begin(pools(cmd_release="release", reuse_opportunity_time=300))
    farm.come_and_go([(("a",), "s")], Then.NOTHING)
    farm.world.turn()
    assert [started.run.id for started in farm.world.machine.alive()] == ["000001_release_1"]
    farm.operator_deletes(which=0, unused_only=False, then=Then.TURN)
    assert farm.world.documents.resource(1).delete_after_run
    assert [started.run.id for started in farm.world.machine.alive()] == ["000001_release_1"]


def test_a_number_is_not_assigned_again_when_its_document_was_seen_but_not_synced(farm: FarmModel) -> None:
    farm.begin(pools())
    for at in range(12):
        farm.take_in_trouble(("a",), None, at=at, refusal=errno.EIO)
        farm.promises.check(farm.world)
        if farm.promises.tickets:
            farm.close([*range(len(farm.promises.tickets))], Then.TURN)
        farm.come_and_go([(("a",), None)], Then.ALL_IS_WELL)


def test_a_run_that_a_boot_lost_is_not_started_again_although_the_disk_then_refused_to_note_it(farm: FarmModel) -> None:
    farm.begin(pools())
    assert farm.world.machine.started == {1}
    farm.machine_boots(counters=None, runs_lost=True, at=2, refusal=errno.ENOSPC)
    farm.world.turn()
    assert farm.world.documents.resource(1).state is ResourceState.DELETING
    assert farm.world.machine.deletes[1] == 1


@pytest.mark.parametrize("new_process", [False, True])
@pytest.mark.parametrize("pause", ["a start failed", "start_delay", "a delete failed", "a check", "reuse"])
def test_what_waits_does_not_wait_longer_because_the_clock_was_set_back(
    farm: FarmModel, pause: str, new_process: bool
) -> None:
    farm.begin(pools(start_delay=30, cmd_livecheck="check", livecheck_period=60, reuse_opportunity_time=300))
    world = farm.world
    if pause == "a start failed":
        farm.all_hooks_end(Ending.BADLY)
    elif pause == "start_delay":
        farm.all_hooks_end(Ending.WELL)
        farm.take([(("a",), None)], Then.TURN)
    else:
        farm.come_and_go([(("a",), "s")], Then.ALL_IS_WELL)
    if pause == "a delete failed":
        farm.operator_deletes(which=0, unused_only=False, then=Then.TURN)
        farm.all_hooks_end(Ending.BADLY)
    if new_process:
        world.kill()
    farm.clock_jumps(-90_000, Then.TURN)
    done = {
        "a start failed": lambda: len(world.machine.started) > 1,
        "start_delay": lambda: len(world.machine.started) > 1,
        "a delete failed": lambda: world.machine.deletes[1] > 1,
        "a check": lambda: any(started.run.kind is HookKind.WATCH for started in world.machine.alive()),
        "reuse": lambda: world.machine.deletes[1] > 0,
    }
    for _ in range(40):
        if done[pause]():
            return
        farm.time_passes(10, Then.TURN)
    pytest.fail(f"{pause}: still waited for")


@pytest.mark.thorough
def test_the_long_form_prints_what_it_did_and_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "BATCHES", ((2, 20), (1, 40)))
    report = model.run(1, SEED)
    assert report.faults == []
    assert report.tried["runs"] > 0 < report.tried["steps"]
    monkeypatch.setattr(FarmModel, "finish", lambda self: pytest.fail("a planted fault"))
    assert any("a planted fault" in fault and "check(" in fault for fault in model.run(1, SEED).faults)
