"""Agents: converged, prepared, checked, released, terminated; with real hooks and a real state folder."""

import base64
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from functions.leader_view import Leader
from functions.timed.agents import agents
from functions.timed.waiting_view import pools_view
from state.documents import AgentState, ResourceState, Ticket, TicketState
from state.files.disk import Disk
from tests.events import lines, missing_and_double
from tests.timed.agent_world import GROUPS, POOL, AgentWorld

NEW, PREPARING, WORKING, TERMINATING, ENDED = AgentState


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    return AgentWorld(tmp_path)


def encoded(resource: int) -> str:
    """The variables that the hooks of an agent on this resource see."""
    return base64.b64encode(b"vm %d" % resource).decode()


def no_agents(world: AgentWorld) -> None:
    """Wait until all agents are dropped, and check that nothing is left of them."""
    world.until(lambda: not world.agents(), "the end of all agents")
    world.until(lambda: not list(world.store.tickets.living()), "the end of all tickets")
    assert {ticket.state for ticket in world.all_tickets()} <= {TicketState.CLOSED}


# The way of one agent


def test_an_agent_is_a_ticket_that_is_prepared_works_and_is_terminated(world: AgentWorld) -> None:
    (agent,) = world.work()
    ticket = world.ticket(agent.id)
    assert (ticket.state, ticket.tags, ticket.output) == (TicketState.OPEN, ("vm",), b"vm 1")
    world.want(0)
    world.touch("finished")
    no_agents(world)
    assert world.left("prepared") == [f"AGENT_SPAWNER_RESOURCE_DATA={encoded(1)}"]
    assert world.left("terminated") == [encoded(1)]
    assert world.ticket(agent.id).state is TicketState.CLOSED


def test_data_of_any_bytes_is_one_line_in_a_variable(tmp_path: Path) -> None:
    output = bytes(range(256)) * 20
    (tmp_path / "output").write_bytes(output)
    world = AgentWorld(tmp_path, pool=POOL.replace("printf 'vm %s' \"$RESALLOC_ID\"", "cat ../output"))
    world.work()
    (line,) = world.left("prepared")
    assert base64.b64decode(line.partition("=")[2], validate=True) == output


def test_without_the_file_there_are_no_agents(world: AgentWorld) -> None:
    (world.config / "agents.yaml").unlink()
    world.restart()
    world.turn()
    assert agents(world.leader, world.groups, lambda: None) is None
    assert not [run for run in world.hooks.under_way() if run.startswith("agent")]


def test_what_hooks_print_goes_to_logs_of_their_own(world: AgentWorld) -> None:
    world.set_groups(GROUPS.replace("cmd_try_release: test", "cmd_try_release: echo may I go >&2; test"))
    (agent,) = world.work()
    world.want(0)
    name = f"agent-workers-{agent.id:06d}_release"
    world.until(lambda: "may I go\n" in world.log(name), "the question")
    assert world.log("agent-workers_converge").splitlines()[:1] == ["1"]
    logs = {path.name for path in (world.folder / "log" / "hooks").glob("agent-*")}
    kinds = [f"agent-workers-{agent.id:06d}_{kind}" for kind in ("check", "prepare", "release")]
    assert logs == {"agent-workers_converge", *kinds}


# How many


def test_as_many_agents_are_kept_as_converge_prints(world: AgentWorld) -> None:
    assert len(world.work(3)) == 3
    world.periods()
    assert len(world.agents()) == 3
    assert len({world.ticket(agent.id).resource for agent in world.agents()}) == 3


def test_agents_that_wait_for_a_resource_count(world: AgentWorld) -> None:
    world.set_pools(POOL.replace("max: 6", "max: 1"))
    world.want(3)
    world.reach(WORKING)
    world.periods()
    assert [agent.state for agent in world.agents()] == [WORKING, NEW, NEW]
    assert len(world.all_tickets()) == 3


@pytest.mark.parametrize("printed", ["", "many", "1.5", "5\n7"])
def test_an_answer_that_is_no_number_changes_nothing_and_is_logged_once(
    world: AgentWorld, printed: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = world.work(2)
    world.touch("may-go")
    world.want(printed)
    world.periods()
    assert [agent.id for agent in world.agents(WORKING)] == [agent.id for agent in before]
    assert caplog.text.count("so their number stays") == 1


def test_a_failing_converge_changes_nothing(world: AgentWorld) -> None:
    before = world.work(2)
    world.touch("may-go")
    world.set_groups(GROUPS.replace("cat ../wanted", "cat ../wanted; echo asked >> ../asked; exit 1"))
    world.until(lambda: world.left("asked"), "the first failure")
    world.want(0)
    world.until(lambda: len(world.left("asked")) >= 4, "some failures")
    world.turn()
    assert [agent.id for agent in world.agents(WORKING)] == [agent.id for agent in before]


def test_an_answer_holds_for_its_period_only(world: AgentWorld) -> None:
    """Given one agent too many that waits, when it works only after converge began to fail, then it is not released."""
    world.set_pools(POOL.replace("max: 6", "max: 1"))
    world.want(2)
    world.reach(WORKING)
    world.want(1)
    world.until(lambda: "-000001_release" in str(list((world.folder / "log" / "hooks").iterdir())), "the question")
    world.want("")
    world.periods(3)
    world.touch("may-go")
    world.set_pools(POOL)
    world.until(lambda: len(world.agents(WORKING)) == 2, "the other agent")
    world.periods(2)
    assert len(world.agents(WORKING)) == 2


def test_the_number_of_another_ticket_is_left_alone(world: AgentWorld) -> None:
    """Given an older copy of the counter that was restored, then an agent takes the next free number."""
    counter = world.store.root / "ids" / "tickets.next"
    world.store.tickets.create(lambda number: Ticket(id=number, tags=("others",)))
    older = counter.read_bytes()
    other = world.store.tickets.create(lambda number: Ticket(id=number, tags=("others",)))
    counter.write_bytes(older)
    (agent,) = world.work()
    assert agent.id > other.id
    assert world.ticket(other.id) == other


def test_surplus_agents_are_asked_and_those_that_agree_end(world: AgentWorld) -> None:
    world.work(3)
    world.touch("may-go")
    world.want(1)
    world.until(lambda: len(world.agents()) == 1, "one agent")
    world.periods()
    assert len(world.agents(WORKING)) == 1
    assert len(world.left("terminated")) == 2


def test_agents_that_refuse_to_end_stay(world: AgentWorld) -> None:
    world.work(2)
    world.want(0)
    world.periods()
    assert len(world.agents(WORKING)) == 2
    assert world.left("terminated") == []


def test_an_agent_that_is_finished_is_replaced(world: AgentWorld) -> None:
    world.set_groups(GROUPS.replace("test -e ../finished", "rm ../finished"))
    (first,) = world.work()
    world.touch("finished")
    world.until(lambda: [agent.id for agent in world.agents(WORKING)] not in ([], [first.id]), "another agent")
    assert len(world.agents()) == 1
    assert world.left("terminated") == [encoded(1)]
    assert world.ticket(first.id).state is TicketState.CLOSED


# Failures


def test_an_agent_that_cannot_be_prepared_ends_without_terminate(world: AgentWorld) -> None:
    world.touch("unfit")
    world.want(1)
    world.until(lambda: len(world.left("prepared")) >= 2, "a second try")
    assert world.ticket(1).state is TicketState.CLOSED
    assert world.left("terminated") == []
    (world.folder / "unfit").unlink()
    world.reach(WORKING)


def test_a_prepare_that_takes_too_long_has_failed(world: AgentWorld) -> None:
    world.set_groups(GROUPS.replace("cmd_prepare: ", "cmd_prepare_timeout: 1\n    cmd_prepare: sleep 60; "))
    world.want(1)
    world.reach(PREPARING)
    world.want(0)
    no_agents(world)
    assert world.left("terminated") == []
    assert "time limit" in world.log("agent-workers-000001_prepare")


def test_an_agent_whose_ticket_failed_while_it_waited_ends(world: AgentWorld) -> None:
    world.set_pools(POOL.replace("max: 6", "max: 0"))
    world.want(1)
    agent = world.reach(NEW)
    world.until(lambda: list(world.store.tickets.living()), "the ticket")
    world.want(0)
    world.periods(1)
    world.fail(agent.id)
    no_agents(world)
    assert world.left("prepared") == world.left("terminated") == []


def test_a_working_agent_whose_resource_died_is_terminated_with_its_data(world: AgentWorld) -> None:
    (agent,) = world.work()
    world.want(0)
    world.periods(1)
    world.fail(agent.id)
    no_agents(world)
    assert world.left("terminated") == [encoded(1)]


def test_an_agent_whose_ticket_somebody_else_closed_is_terminated_and_replaced(world: AgentWorld) -> None:
    (agent,) = world.work()
    world.close(agent.id)
    world.until(lambda: [found.id for found in world.agents(WORKING)] not in ([], [agent.id]), "another agent")
    assert world.left("terminated") == [encoded(1)]


@pytest.mark.parametrize(("hook", "state", "after"), [("prepare", PREPARING, 1), ("terminate", TERMINATING, 1)])
def test_a_ticket_that_fails_lets_a_running_hook_finish_first(
    world: AgentWorld, hook: str, state: AgentState, after: int
) -> None:
    world.set_groups(GROUPS.replace(f"cmd_{hook}: ", f"cmd_{hook}: while [ ! -e ../go-on ]; do sleep 0.02; done; "))
    world.want(1)
    world.until(world.agents, "an agent")
    world.want(0)
    if state is TERMINATING:
        world.touch("finished")
    agent = world.reach(state)
    world.fail(agent.id)
    world.periods()
    assert [found.state for found in world.agents()] == [state]
    world.touch("go-on")
    no_agents(world)
    assert len(world.left("prepared")) == len(world.left("terminated")) == after


# Configuration


def test_agents_of_a_removed_group_end_with_the_last_hooks_of_the_group(world: AgentWorld) -> None:
    """Given a working and a waiting agent, when their group leaves the file, then the waiting one ends at once and the
    working one is asked until it agrees."""
    world.set_pools(POOL.replace("max: 6", "max: 1"))
    world.want(2)
    world.reach(WORKING)
    world.reach(NEW)
    world.set_groups("period: 0.1\n")
    world.until(lambda: [agent.state for agent in world.agents()] == [WORKING], "the end of the waiting agent")
    world.restart()
    log = "agent-workers-000001_release"
    (world.folder / "log" / "hooks" / log).unlink(missing_ok=True)
    world.until((world.folder / "log" / "hooks" / log).exists, "a question")
    assert len(world.agents(WORKING)) == 1
    world.touch("may-go")
    no_agents(world)
    assert world.left("terminated") == [encoded(1)]


def test_changed_hooks_apply_to_existing_agents_also_after_the_group_is_removed(world: AgentWorld) -> None:
    world.work()
    world.set_groups(GROUPS.replace("exit 3", "echo changed >> ../terminated"))
    world.until(lambda: "changed" in str(world.agents()[0].options), "the new options")
    (world.config / "agents.yaml").unlink()
    world.touch("may-go")
    no_agents(world)
    assert world.left("terminated") == [encoded(1), "changed"]


def test_a_broken_file_keeps_the_last_good_groups_and_is_reported(world: AgentWorld) -> None:
    world.work(1)
    world.set_groups("agent_groups: {workers: {tags: 3}}")
    world.turn()
    assert "agents.yaml:1" in pools_view(world.leader, Leader(1, 0.0)).faults[0]
    world.work(2)
    world.restart()
    world.work(3)
    world.set_groups(GROUPS)
    world.turn()
    assert pools_view(world.leader, Leader(1, 0.0)).faults == ()


def test_a_group_of_the_old_file_is_kept(world: AgentWorld) -> None:
    (world.config / "agents.yaml").rename(world.config / "config.yaml")
    with (world.config / "config.yaml").open("a") as old:
        old.write("redis_host: localhost\nlogfile: /tmp/agent-spawner.log\n")
    world.work(1)


# Restarts


def test_an_agent_survives_a_restart_in_every_state(world: AgentWorld) -> None:
    """Given hooks that wait for a sign, when the scheduler is new in each state, then they run once and all ends."""
    groups = GROUPS
    for hook in ("prepare", "terminate"):
        groups = groups.replace(f"cmd_{hook}: ", f"cmd_{hook}: while [ ! -e ../{hook}-now ]; do sleep 0.02; done; ")
    world.set_groups(groups)
    world.set_pools(POOL.replace("max: 6", "max: 0"))
    world.want(1)
    for state, sign in [(NEW, None), (PREPARING, "prepare-now"), (WORKING, "finished"), (TERMINATING, "terminate-now")]:
        if state is PREPARING:
            world.set_pools(POOL)
        agent = world.reach(state)
        world.restart()
        world.turn()
        assert [(found.id, found.state) for found in world.agents()] == [(agent.id, state)]
        if state is WORKING:
            world.want(0)
            world.periods(1)
        if sign:
            world.touch(sign)
    no_agents(world)
    assert len(world.left("prepared")) == len(world.left("terminated")) == 1


def test_an_agent_that_ended_before_a_restart_is_dropped_after_it(world: AgentWorld) -> None:
    (agent,) = world.work()
    world.want(0)
    world.periods(1)
    world.store.agents.path(agent.id).write_bytes(agent.replace(state=ENDED).to_json())
    world.restart()
    no_agents(world)
    assert world.left("terminated") == []


@pytest.mark.parametrize(("state", "left"), [(PREPARING, "prepared"), (TERMINATING, "terminated")])
def test_a_hook_that_was_never_started_is_started_after_a_restart(
    world: AgentWorld, state: AgentState, left: str
) -> None:
    (agent,) = world.work()
    before = len(world.left(left))
    world.want(0)
    world.periods(1)
    world.until(lambda: not world.hooks.under_way(), "the end of all hooks")
    world.store.agents.path(agent.id).write_bytes(agent.replace(state=state).to_json())
    world.touch("finished")
    world.restart()
    no_agents(world)
    assert len(world.left(left)) == before + 1


def test_a_prepare_whose_supervisor_was_killed_runs_again(world: AgentWorld) -> None:
    waiting = "while [ ! -e ../go-on ]; do sleep 0.02; done; "
    world.set_groups(GROUPS.replace("cmd_prepare: ", f"cmd_prepare: echo x >> ../tries; {waiting}"))
    world.want(1)
    world.until(lambda: world.left("tries"), "the first try")
    (group,) = (world.store.root / "runs").glob("agent_prepare_*.group")
    os.kill(int(group.read_text()), signal.SIGKILL)
    world.until(lambda: len(world.left("tries")) == 2, "the second try")
    world.touch("go-on")
    agent = world.reach(WORKING)
    assert (agent.id, len(world.left("prepared"))) == (1, 1)


def test_an_answer_that_came_between_two_schedulers_is_outdated(world: AgentWorld) -> None:
    world.set_groups(GROUPS.replace("cat ../wanted", "cat ../wanted; while [ ! -e ../go-on ]; do sleep 0.02; done"))
    world.want(5)
    world.until(
        lambda: any(path.read_text() for path in (world.store.root / "runs").glob("agent_converge_*.out")), "the answer"
    )
    (run,) = (world.store.root / "runs").glob("agent_converge_*.run")
    world.want(1)
    world.set_groups(GROUPS)
    world.restart()
    world.reach(WORKING)
    world.touch("go-on")
    world.until(lambda: not run.exists(), "the end of the old run")
    world.periods()
    assert len(world.agents()) == 1


class Killed(BaseException):
    """The process has ended."""


def test_a_kill_at_any_write_leaks_nothing_and_repeats_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a life of one agent, when the process is killed before each write in turn, then the next one goes on, and
    each of its transitions has one line.
    """
    left: list[int | None] = [None]

    def mortal(name: str) -> None:
        call = getattr(Disk, name)

        def counted(*arguments: object) -> object:
            if left[0] is not None:
                left[0] -= 1
                if left[0] < 0:
                    left[0] = None
                    raise Killed
            return call(*arguments)

        monkeypatch.setattr(Disk, name, counted)

    for name in ("stage", "publish", "publish_new", "sync_folder", "remove"):
        mortal(name)

    class MortalWorld(AgentWorld):
        """Only what agents write is counted."""

        writes = 0

        def converge(self) -> None:
            left[0], kept = self.writes, left[0]
            try:
                super().converge()
                if left[0] is not None:
                    self.writes = left[0]
            except Killed:
                self.writes = 10**9
                self.restart()
            left[0] = kept
            assert len(self.agents()) <= 1
            assert {number for number in self.store.tickets.living() if self.ticket(number).state == "OPEN"} <= {
                agent.id for agent in self.agents()
            }

    survived = False
    for writes in range(200):
        folder = tmp_path / str(writes)
        folder.mkdir()
        world = MortalWorld(folder)
        world.writes = writes
        world.want(1)
        world.reach(WORKING)
        world.want(0)
        world.periods(1)
        world.touch("finished")
        no_agents(world)
        assert len(world.all_tickets()) == 1
        assert len(world.left("prepared")) == len(world.left("terminated")) == 1
        assert agent_events(world) == WHOLE_LIFE
        world.until(lambda world=world: [found.state for found in world.resources()] == [ResourceState.UP], "one spare")
        if world.writes < 10**8:
            survived = True
            break
    assert survived
    assert writes > 15


# Events


def agent_events(world: AgentWorld) -> list[tuple[str, str | None, str | None, str]]:
    world.record_events()
    return [(e.event, e.before, e.after, e.actor) for e in lines(world.store) if e.kind == "agent"]


WHOLE_LIFE = [
    ("made", None, "NEW", "leader"),
    ("resource came", "NEW", "PREPARING", "leader"),
    ("prepared", "PREPARING", "WORKING", "hook"),
    ("finished", "WORKING", "TERMINATING", "hook"),
    ("terminated", "TERMINATING", "ENDED", "hook"),
]


def test_each_transition_of_an_agent_is_an_event(world: AgentWorld) -> None:
    """Given an agent's whole life, when it is dropped, then each of its transitions has its line, with why."""
    (agent,) = world.work()
    world.want(0)
    world.touch("finished")
    no_agents(world)
    assert agent_events(world) == WHOLE_LIFE
    mine = [event for event in lines(world.store) if event.kind == "agent"]
    assert {(event.ticket, event.group) for event in mine} == {(agent.id, "workers")}
    assert mine[3].reason == "cmd_check_finished said so"
    assert missing_and_double(world.store) == ([], [])


def test_the_events_of_an_agent_are_written_before_its_document_is_deleted(world: AgentWorld) -> None:
    """Given a scheduler that is killed as soon as the agent's document is gone, then the next one has all its lines."""
    world.work()
    world.want(0)
    world.touch("finished")
    no_agents(world)
    # What this process had not written yet is lost with it.
    world.leader.journal.documents.clear()
    world.restart()
    assert agent_events(world) == WHOLE_LIFE
    assert missing_and_double(world.store) == ([], [])


def test_the_next_scheduler_writes_the_events_of_agents_that_a_killed_one_left(world: AgentWorld) -> None:
    world.work(2)
    world.restart()
    assert Counter(event for event, *_ in agent_events(world)) == {"made": 2, "resource came": 2, "prepared": 2}
    world.restart()
    assert len(agent_events(world)) == 6
    assert missing_and_double(world.store) == ([], [])


def test_a_broken_file_of_agents_is_an_event_and_so_is_a_good_one(world: AgentWorld) -> None:
    world.turn()
    world.set_groups("agent_groups: 7")
    world.turn()
    world.set_groups(GROUPS)
    world.turn()
    world.record_events()
    about = [event for event in lines(world.store) if event.kind == "config"]
    assert [event.event for event in about] == ["agents.yaml is broken", "agents.yaml is good again"]
    assert "agents.yaml:1" in (about[0].reason or "")
