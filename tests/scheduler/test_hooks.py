"""Hook runs: real /bin/sh, real supervisors, real kills."""

import os
import signal
import time
from pathlib import Path

import pytest

from functions.policy.transitions.outcome import Outcome
from functions.timed.hook_runs import HookRun
from scheduler.hooks import Hooks
from state.documents import HookKind
from tests.system.farm import children_of
from tests.waiting import until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path


def hooks_in(folder: Path, at_once: int = 50, environment: dict[str, str] | None = None) -> Hooks:
    base = {"PATH": os.environ["PATH"], **(environment or {})}
    return Hooks(folder / "runs", folder / "log", folder, base, time.time, at_once)


def run_of(command: str, number: int = 1, kind: HookKind = HookKind.ALLOC, **options: object) -> HookRun:
    fields: dict[str, object] = {
        "id": f"{number:06d}_{kind}_1",
        "kind": kind,
        "pool": "p",
        "command": command,
        "environment": {"RESALLOC_ID": str(number)},
        "limit": 60.0,
        "log": f"{number:06d}_{kind}",
        "output_limit": 1000 if kind is HookKind.ALLOC else None,
    }
    return HookRun(**{**fields, **options})  # type: ignore[arg-type]


def start(hooks: Hooks, run: HookRun) -> None:
    hooks.start(run)
    while hooks.launch():
        pass


def outcome_of(hooks: Hooks, seconds: float = 15.0) -> Outcome:
    def ended() -> list[tuple[HookRun, Outcome]]:
        hooks.probe()
        return hooks.finished()

    return until(ended, seconds, "the end of the run")[0][1]


def outcome_of_command(folder: Path, command: str, **options: object) -> Outcome:
    hooks = hooks_in(folder)
    start(hooks, run_of(command, **options))  # type: ignore[arg-type]
    return outcome_of(hooks)


def group_of(folder: Path, run: HookRun) -> int:
    path = folder / "runs" / f"{run.id}.group"
    return int(until(lambda: path.exists() and path.read_text(), what="the process group"))


def is_gone(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def test_output_is_kept_byte_for_byte(folder: Path) -> None:
    outcome = outcome_of_command(folder, r"printf 'a\0b\377\n\n'")
    assert (outcome.exit, outcome.cut_off, outcome.output) == (0, None, b"a\0b\xff\n\n")


def test_log_holds_both_streams_and_nothing_else(folder: Path) -> None:
    outcome_of_command(folder, "echo error >&2; echo output")
    assert (folder / "log/hooks/000001_alloc").read_bytes() == b"error\noutput\n"


def test_the_output_of_a_hook_is_logged_once_by_whichever_scheduler_finds_its_end(folder: Path) -> None:
    first = hooks_in(folder)
    start(first, run_of("echo output"))
    outcome_of(first)
    successor = hooks_in(folder)
    successor.adopt()
    assert outcome_of(successor).output == b"output\n"
    assert (folder / "log/hooks/000001_alloc").read_bytes() == b"output\n"


def test_the_output_of_a_killed_hook_is_logged_up_to_the_limit(folder: Path) -> None:
    outcome_of_command(folder, "yes | head -c 10000; sleep 60")
    output = (folder / "log/hooks/000001_alloc").read_text()
    assert output.replace("printed more than 1000 bytes\n", "") == "y\n" * 500


def test_a_hook_that_ends_its_whole_process_group_ends_by_itself(folder: Path) -> None:
    outcome = outcome_of_command(folder, "trap 'exit 3' TERM; kill 0; sleep 60")
    assert (outcome.exit, outcome.lost) == (3, False)


@pytest.mark.parametrize("kind", [HookKind.WATCH, HookKind.ALLOC])
@pytest.mark.parametrize("adopted", [False, True])
def test_log_of_a_later_run_is_appended(folder: Path, kind: HookKind, adopted: bool) -> None:
    """Given runs that print the same, by schedulers that end or do not, when all have ended, then all is logged."""
    for _ in range(2):
        hooks = hooks_in(folder)
        start(hooks, run_of("echo again", kind=kind))
        if adopted:
            hooks = hooks_in(folder)
            hooks.adopt()
        hooks.forget(outcome_of(hooks).run)
    assert (folder / f"log/hooks/000001_{kind}").read_bytes() == b"again\nagain\n"


def test_log_holds_both_streams_when_both_say_the_same(folder: Path) -> None:
    outcome_of_command(folder, "echo again; echo again >&2")
    assert (folder / "log/hooks/000001_alloc").read_bytes() == b"again\nagain\n"


def test_log_exists_as_soon_as_the_hook_runs(folder: Path) -> None:
    hooks = hooks_in(folder)
    run = run_of("sleep 60", kind=HookKind.WATCH)
    start(hooks, run)
    group = group_of(folder, run)
    assert (folder / "log/hooks/000001_watch").exists()
    os.killpg(group, signal.SIGKILL)
    outcome_of(hooks)


def test_hook_sees_its_variables_and_no_inherited_ones(folder: Path) -> None:
    hooks = hooks_in(folder, environment={"RESALLOC_ID_IN_POOL": "old", "RESALLOC_URL": "x", "SITE": "kept"})
    start(hooks, run_of("env | grep -E '^(RESALLOC|SITE)' | sort"))
    assert outcome_of(hooks).output == b"RESALLOC_ID=1\nSITE=kept\n"


def test_a_hook_inherits_no_open_files_of_the_scheduler(folder: Path) -> None:
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    output = outcome_of_command(folder, "ls /proc/$$/fd; true").output
    os.close(inherited)
    assert output == b"0\n1\n2\n"


def test_signals_have_their_usual_effect_in_a_hook(folder: Path) -> None:
    outcome = outcome_of_command(folder, "grep SigIgn /proc/self/status; yes | head -n 1 >/dev/null; echo $?")
    assert outcome.output is not None
    ignored = int(outcome.output.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1) | 1 << (signal.SIGTERM - 1))


def test_a_hook_runs_in_the_folder_of_the_configuration(folder: Path) -> None:
    assert outcome_of_command(folder, "pwd").output == f"{folder}\n".encode()


def test_standard_input_is_empty(folder: Path) -> None:
    assert outcome_of_command(folder, "wc -c").output == b"0\n"


@pytest.mark.parametrize(
    ("command", "status"), [("exit 3", 3), ("no-such-command", 127), ("/etc/passwd", 126), ("exit 255", 255)]
)
def test_a_hook_that_fails_by_itself_was_not_cut_off(folder: Path, command: str, status: int) -> None:
    outcome = outcome_of_command(folder, command)
    assert (outcome.exit, outcome.cut_off, outcome.lost) == (status, None, False)


def test_an_outcome_has_the_last_line_of_the_log(folder: Path) -> None:
    assert outcome_of_command(folder, "echo first >&2; echo no quota left >&2; exit 1").last_line == "no quota left"


def test_the_last_line_has_no_control_characters(folder: Path) -> None:
    command = r"printf '\033[31mno quota left\033[0m\r\n\0\0\0' >&2; exit 1"
    assert outcome_of_command(folder, command).last_line == "[31mno quota left[0m"


def test_the_line_that_a_time_limit_adds_is_a_line_of_its_own(folder: Path) -> None:
    outcome_of_command(folder, "printf begun; exec sleep 60", kind=HookKind.WATCH, limit=0.2)
    assert (folder / "log/hooks/000001_watch").read_text() == "begun\nended after its time limit of 0.2 s\n"


def test_a_killed_hook_was_cut_off(folder: Path) -> None:
    outcome = outcome_of_command(folder, "kill -9 $$")
    assert (outcome.cut_off, outcome.lost) == ("killed by signal 9", False)


def test_children_that_a_hook_leaves_block_nothing_and_live_on(folder: Path) -> None:
    hooks = hooks_in(folder)
    run = run_of("sleep 60 & echo $!")
    start(hooks, run)
    outcome = outcome_of(hooks)
    assert outcome.exit == 0
    assert outcome.output is not None
    child = int(outcome.output)
    assert not is_gone(child)
    os.kill(child, signal.SIGKILL)


def test_the_time_limit_ends_the_whole_process_group(folder: Path) -> None:
    hooks = hooks_in(folder)
    run = run_of("sleep 60 & echo $! > child; wait", limit=0.2)
    start(hooks, run)
    child = int(until(lambda: (folder / "child").exists() and (folder / "child").read_text(), what="the child"))
    outcome = outcome_of(hooks)
    assert outcome.cut_off == "ended after its time limit of 0.2 s"
    until(lambda: is_gone(child), what="the end of the child")
    assert (folder / "log/hooks/000001_alloc").read_text().endswith("ended after its time limit of 0.2 s\n")


def test_a_hook_that_ignores_the_request_to_end_is_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.hooks.KILL_AFTER", 0.1)
    outcome = outcome_of_command(folder, "trap '' TERM; sleep 60; sleep 60", limit=0.1)
    assert outcome.cut_off == "ended after its time limit of 0.1 s"


def test_too_much_output_ends_the_run(folder: Path) -> None:
    outcome = outcome_of_command(folder, "yes | head -c 10000; sleep 60")
    assert (outcome.cut_off, outcome.output) == ("printed more than 1000 bytes", None)


def test_too_much_output_of_a_hook_that_ended_meanwhile_counts_too(folder: Path) -> None:
    assert outcome_of_command(folder, "yes | head -c 10000").cut_off == "printed more than 1000 bytes"


@pytest.mark.parametrize("kind", [HookKind.ALLOC, HookKind.TERMINATE])
def test_a_hook_that_floods_its_log_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: HookKind) -> None:
    monkeypatch.setattr("scheduler.hooks.LOG_LIMIT", 10_000)
    outcome = outcome_of_command(folder, "yes | head -c 20000 >&2; sleep 60", kind=kind)
    assert (outcome.cut_off, outcome.good) == ("wrote more than 10000 bytes to its log", False)


def test_what_earlier_runs_wrote_to_a_log_does_not_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.hooks.LOG_LIMIT", 10_000)
    (folder / "log/hooks").mkdir(parents=True)
    (folder / "log/hooks/000001_alloc").write_bytes(b"x" * 50_000)
    hooks = hooks_in(folder)
    start(hooks, run_of("while [ ! -e go ]; do sleep 0.05; done"))
    hooks.probe()
    (folder / "go").touch()
    assert outcome_of(hooks).good


def test_a_clock_that_is_set_forward_makes_no_run_longer(folder: Path) -> None:
    """Nor does it end one: limits and times of runs are those of a clock that never jumps."""
    ahead = 0.0
    hooks = Hooks(
        folder / "runs", folder / "log", folder, {"PATH": os.environ["PATH"]}, lambda: time.time() + ahead, 50
    )
    start(hooks, run_of("while [ ! -e go ]; do sleep 0.05; done"))
    ahead = 90_000.0
    hooks.probe()
    (folder / "go").touch()
    outcome = outcome_of(hooks)
    assert outcome.good
    assert outcome.ended_at - outcome.started_at > 80_000
    assert outcome.took < 60


def test_a_run_whose_supervisor_was_killed_is_lost_and_its_hook_ended(folder: Path) -> None:
    hooks = hooks_in(folder)
    run = run_of("sleep 60")
    start(hooks, run)
    supervisor = group_of(folder, run)
    hook = until(lambda: children_of(supervisor), what="the hook")[0]
    os.kill(supervisor, signal.SIGKILL)
    outcome = outcome_of(hooks)
    assert (outcome.cut_off, outcome.lost) == ("its supervisor was killed", True)
    until(lambda: is_gone(hook), what="the end of the hook")


def test_a_running_hook_is_adopted_by_the_next_scheduler(folder: Path) -> None:
    start(hooks_in(folder), run_of("while [ ! -e go ]; do sleep 0.05; done; echo late"))
    successor = hooks_in(folder)
    successor.adopt()
    assert successor.finished() == []
    assert list(successor.under_way(HookKind.ALLOC)) == ["000001_alloc_1"]
    (folder / "go").touch()
    assert outcome_of(successor).output == b"late\n"


def test_a_result_from_the_time_without_scheduler_is_found(folder: Path) -> None:
    start(hooks_in(folder), run_of("echo alone"))
    result = folder / "runs/000001_alloc_1.result"
    until(lambda: result.exists() and result.read_text().endswith("\n"), what="the result")
    successor = hooks_in(folder)
    successor.adopt()
    assert successor.finished()[0][1].output == b"alone\n"


def test_a_run_of_an_earlier_boot_counts_as_cut_off_even_with_a_result(folder: Path) -> None:
    start(hooks_in(folder), run_of("echo half"))
    result = folder / "runs/000001_alloc_1.result"
    until(lambda: result.exists() and result.read_text().endswith("\n"), what="the result")
    path = folder / "runs/000001_alloc_1.run"
    path.write_text(path.read_text().replace('"boot":"', '"boot":"earlier-'))
    successor = hooks_in(folder)
    successor.adopt()
    assert successor.finished()[0][1].cut_off == "the machine was restarted"


def test_forgetting_removes_every_file(folder: Path) -> None:
    hooks = hooks_in(folder)
    start(hooks, run_of("true"))
    hooks.forget(outcome_of(hooks).run)
    assert list((folder / "runs").iterdir()) == []
    assert list(hooks.under_way()) == []


def test_no_more_hooks_than_the_bound_run_at_once_but_livechecks_do(folder: Path) -> None:
    hooks = hooks_in(folder, at_once=2)
    for number in range(1, 5):
        hooks.start(run_of("while [ ! -e go ]; do sleep 0.05; done", number))
    hooks.start(run_of("touch checked", 9, HookKind.WATCH))
    while hooks.launch():
        pass
    started = {path.stem for path in (folder / "runs").glob("*.run")}
    assert started == {"000001_alloc_1", "000002_alloc_1", "000009_watch_1"}
    (folder / "go").touch()

    def all_started() -> bool:
        hooks.probe()
        for _, outcome in hooks.finished():
            hooks.forget(outcome.run)
        hooks.launch()
        return len(hooks.under_way()) == 0

    until(all_started, what="the end of all runs")


def test_a_run_that_cannot_be_started_ends_as_lost(folder: Path) -> None:
    hooks = Hooks(folder / "runs", folder / "log", folder / "gone", {}, time.time, 10)
    start(hooks, run_of("true"))
    outcome = outcome_of(hooks)
    assert outcome.lost
    assert outcome.cut_off is not None
    assert outcome.cut_off.startswith("cannot be started")
