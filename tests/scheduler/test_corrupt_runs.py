"""The files of hook runs go bad: the run counts as cut off, what still runs of it is ended, and the others go on."""

from pathlib import Path

import pytest

from functions.timed.hook_runs import HookRun
from state.documents import HookKind
from tests.scheduler.test_hooks import folder as folder
from tests.scheduler.test_hooks import group_of, hooks_in, is_gone, outcome_of, run_of, start
from tests.timed.corruption import FLAWS
from tests.waiting import until

HANGING = run_of("sleep 60")
ENDED = run_of("echo 192.0.2.7")


def corrupt(path: Path, flaw: str) -> None:
    FLAWS[flaw](path)


def ended(folder: Path) -> None:
    """A run whose result was not processed yet."""
    start(hooks_in(folder), ENDED)
    result = folder / "runs" / f"{ENDED.id}.result"
    until(lambda: result.exists() and result.read_text() == "0\n", what="the result")


def no_file_is_left(folder: Path) -> bool:
    return list((folder / "runs").iterdir()) == []


@pytest.mark.parametrize("flaw", ["deleted", "unreadable"])
def test_a_run_whose_first_file_is_deleted_is_killed_and_lost(folder: Path, flaw: str) -> None:
    """Given a hook that runs, when the file of its lock is gone or no file, then it is ended and counts as lost."""
    hooks = hooks_in(folder)
    start(hooks, HANGING)
    group = group_of(folder, HANGING)
    corrupt(folder / "runs" / f"{HANGING.id}.run", flaw)
    outcome = outcome_of(hooks)
    assert (outcome.lost, outcome.good) == (True, False)
    until(lambda: is_gone(group), what="the end of the hook")
    hooks.forget(HANGING.id)
    assert no_file_is_left(folder)


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_starting_scheduler_drops_unreadable_runs(folder: Path, flaw: str) -> None:
    """Given a run with a corrupt first file, when a scheduler starts, then that is ended and the rest adopted."""
    start(hooks_in(folder), HANGING)
    group = group_of(folder, HANGING)
    other = run_of("sleep 60", number=2)
    start(hooks_in(folder), other)
    group_of(folder, other)
    corrupt(folder / "runs" / f"{HANGING.id}.run", flaw)
    hooks = hooks_in(folder)
    hooks.adopt()
    ended = {run.id: outcome.lost for run, outcome in hooks.finished()}
    assert set(hooks.under_way()) - ended.keys() == {other.id}
    assert all(ended.values())
    until(lambda: is_gone(group), what="the end of the hook")
    # What its supervisor may still have written is removed by the next start.
    for run_id in ended:
        hooks.forget(run_id)
    hooks_in(folder).adopt()
    assert not list((folder / "runs").glob(f"{HANGING.id}.*"))
    (folder / "runs" / f"{other.id}.run").unlink()
    assert outcome_of(hooks).lost


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_corrupt_result_counts_as_none(folder: Path, flaw: str) -> None:
    """Given an ended run whose result has gone bad, when a scheduler starts, then the run counts as lost."""
    ended(folder)
    path = folder / "runs" / f"{ENDED.id}.result"
    corrupt(path, flaw)
    hooks = hooks_in(folder)
    hooks.adopt()
    outcome = outcome_of(hooks)
    assert (outcome.lost, outcome.output) == (True, None)
    hooks.forget(ENDED.id)
    assert no_file_is_left(folder)


@pytest.mark.parametrize("flaw", ["deleted", "unreadable"])
def test_a_start_with_lost_output_is_not_successful(folder: Path, flaw: str) -> None:
    """Given a good start whose output is gone, when folded in, then it was cut off: what it made must be deleted."""
    ended(folder)
    corrupt(folder / "runs" / f"{ENDED.id}.out", flaw)
    hooks = hooks_in(folder)
    hooks.adopt()
    outcome = outcome_of(hooks)
    assert not outcome.good
    assert not outcome.by_itself


@pytest.mark.parametrize("ending", ["cut", "group"])
def test_folders_in_place_of_other_files_of_a_run_block_nothing(folder: Path, ending: str) -> None:
    """Given a folder in the place of another file of a run, when it ends and is forgotten, then nothing is left."""
    ended(folder)
    path = folder / "runs" / f"{ENDED.id}.{ending}"
    path.unlink(missing_ok=True)
    path.mkdir()
    hooks = hooks_in(folder)
    hooks.adopt()
    assert outcome_of(hooks).exit == 0
    hooks.forget(ENDED.id)
    assert no_file_is_left(folder)


def test_files_without_their_first_are_removed_at_a_start(folder: Path) -> None:
    """Given what is left of an old run, when a scheduler starts, then it is removed, and a new run is not harmed."""
    for ending in ("out", "group", "result"):
        (folder / "runs" / f"000009_release_3.{ending}").write_text("")
    hooks = hooks_in(folder)
    hooks.adopt()
    assert no_file_is_left(folder)
    run: HookRun = run_of("echo good", kind=HookKind.WATCH, number=9)
    start(hooks, run)
    assert outcome_of(hooks).good
