"""Agents: what follows from how their hooks ended, and what is done next."""

from typing import Any

import pytest

from config.agents import AgentGroup
from functions.policy.plan.agents import (
    MOST_NEW,
    AgentsSnapshot,
    AgentStep,
    ChangeState,
    NewAgents,
    RemoveAgent,
    StartConverge,
    StartHook,
    TakeTicket,
    Wanted,
    fold_agent,
    number_printed,
    plan_agents,
)
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.run_id import AgentHook
from state.documents import Agent, AgentState, Ticket, TicketState
from state.lifecycle import AgentEvent
from tests.policy.world import NOW, a_ticket, an_assigned_ticket

NEW, PREPARING, WORKING, TERMINATING, ENDED = AgentState
WORKERS = AgentGroup(name="workers", tags=("a",))


def an_agent(id: int, state: AgentState = WORKING, group: str = "workers") -> Agent:
    return Agent(id=id, group=group, state=state)


def an_outcome(**fields: Any) -> Outcome:
    """A hook that ended well unless set otherwise."""
    defaults: dict[str, Any] = {"started_at": NOW - 5, "ended_at": NOW, "exit": 0}
    return Outcome(run="some run", kind=None, **{**defaults, **fields})


def steps(*agents: Agent, tickets: dict[int, Ticket | None] | None = None, **fields: Any) -> list[AgentStep]:
    """The plan for these agents, each with a ticket that has a resource unless set otherwise."""
    have: dict[int, Ticket | None] = {agent.id: an_assigned_ticket(agent.id, 100 + agent.id) for agent in agents}
    seen = {"groups": {"workers": WORKERS}, **fields}
    return plan_agents(
        AgentsSnapshot(agents={agent.id: agent for agent in agents}, tickets=have | (tickets or {}), **seen)
    )


def too_many(count: int) -> dict[str, Any]:
    """The group wants so many, as its first answer said."""
    return {"wanted": {"workers": Wanted(count, 1)}}


GOOD = an_outcome()
FAILURES = [
    an_outcome(exit=1),
    an_outcome(cut_off="ended after its time limit of 1 s"),
    an_outcome(exit=137, cut_off="killed by signal 9"),
]


# How hooks end


@pytest.mark.parametrize(
    ("state", "hook", "after"),
    [
        (PREPARING, AgentHook.PREPARE, WORKING),
        (WORKING, AgentHook.CHECK, TERMINATING),
        (WORKING, AgentHook.RELEASE, TERMINATING),
        (TERMINATING, AgentHook.TERMINATE, ENDED),
    ],
)
def test_a_hook_that_succeeds_takes_its_agent_on(state: AgentState, hook: AgentHook, after: AgentState) -> None:
    agent = fold_agent(an_agent(7, state), hook, GOOD)
    assert (agent.state, agent.changed_at) == (after, NOW)


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_failed_prepare_ends_the_agent_and_says_why(outcome: Outcome) -> None:
    agent = fold_agent(an_agent(7, PREPARING), AgentHook.PREPARE, outcome)
    assert agent.state is ENDED
    assert agent.reason == f"cmd_prepare {outcome.how}"


@pytest.mark.parametrize(("state", "hook"), [(PREPARING, AgentHook.PREPARE), (TERMINATING, AgentHook.TERMINATE)])
def test_a_run_that_was_lost_is_started_again_a_few_times(state: AgentState, hook: AgentHook) -> None:
    """Given runs that vanish with their supervisors, then the agent stays; the third counts as the end."""
    lost = an_outcome(exit=None, lost=True, cut_off="its supervisor was killed")
    agent = an_agent(7, state)
    for _ in range(2):
        agent = fold_agent(agent, hook, lost)
        assert agent.state is state
        assert steps(agent) == [StartHook(7, hook)]
    assert fold_agent(agent, hook, lost).state is ENDED


def test_lost_runs_are_counted_for_each_state_anew() -> None:
    agent = fold_agent(an_agent(7, PREPARING).replace(lost_runs=2), AgentHook.PREPARE, GOOD)
    assert (agent.state, agent.lost_runs) == (WORKING, 0)


@pytest.mark.parametrize("outcome", FAILURES)
def test_how_terminate_ends_does_not_matter(outcome: Outcome) -> None:
    assert fold_agent(an_agent(7, TERMINATING), AgentHook.TERMINATE, outcome).state is ENDED


@pytest.mark.parametrize("hook", [AgentHook.CHECK, AgentHook.RELEASE])
@pytest.mark.parametrize("outcome", FAILURES)
def test_a_check_or_a_question_that_fails_changes_nothing(hook: AgentHook, outcome: Outcome) -> None:
    agent = an_agent(7)
    assert fold_agent(agent, hook, outcome) is agent


@pytest.mark.parametrize("outcome", [GOOD, *FAILURES])
@pytest.mark.parametrize(
    ("state", "hook"),
    [
        (NEW, AgentHook.PREPARE),
        (WORKING, AgentHook.PREPARE),
        (WORKING, AgentHook.TERMINATE),
        (TERMINATING, AgentHook.CHECK),
        (ENDED, AgentHook.TERMINATE),
    ],
)
def test_a_hook_that_belongs_to_another_state_changes_nothing(
    state: AgentState, hook: AgentHook, outcome: Outcome
) -> None:
    agent = an_agent(7, state)
    assert fold_agent(agent, hook, outcome) is agent


@pytest.mark.parametrize(
    ("output", "number"),
    [
        (b"3\n", 3),
        (b"  12  ", 12),
        (b"0", 0),
        (b"+4\n", 4),
        (b"-2\n", 0),
        (b"", None),
        (b"three\n", None),
        (b"3.0\n", None),
        (b"1 2\n", None),
        (b"0x10", None),
        (b"9" * 10, None),
        ("٣".encode(), None),
        (b"\xff", None),
    ],
)
def test_converge_prints_a_whole_number(output: bytes, number: int | None) -> None:
    assert number_printed(an_outcome(output=output)) == number


@pytest.mark.parametrize("fields", [{"exit": 1}, {"cut_off": "killed by signal 9"}, {"exit": None, "lost": True}])
def test_a_failed_converge_says_nothing_whatever_it_printed(fields: dict[str, Any]) -> None:
    assert number_printed(an_outcome(output=b"3\n", **fields)) is None


# Tickets


def test_a_new_agent_takes_its_ticket_and_then_waits_for_the_resource() -> None:
    assert steps(an_agent(7, NEW), tickets={7: None}) == [TakeTicket(7)]
    assert steps(an_agent(7, NEW), tickets={7: a_ticket(7)}) == []
    assert steps(an_agent(7, NEW)) == [ChangeState(7, AgentEvent.RESOURCE_CAME)]


@pytest.mark.parametrize("state", [TicketState.FAILED, TicketState.CLOSED])
@pytest.mark.parametrize("agent", [NEW, WORKING])
def test_a_ticket_that_is_over_ends_what_does_not_run(state: TicketState, agent: AgentState) -> None:
    over: dict[int, Ticket | None] = {7: an_assigned_ticket(7, 107, state=state, reason="it died")}
    assert steps(an_agent(7, agent), tickets=over) == [
        ChangeState(7, AgentEvent.TICKET_OVER, f"its ticket is {state}: it died")
    ]


@pytest.mark.parametrize("agent", [PREPARING, TERMINATING])
def test_a_ticket_that_is_over_lets_a_running_hook_finish_first(agent: AgentState) -> None:
    over: dict[int, Ticket | None] = {7: an_assigned_ticket(7, 107, state=TicketState.FAILED)}
    assert steps(an_agent(7, agent), tickets=over, busy={7}, due=True) == [StartConverge("workers")]


def test_a_working_agent_whose_ticket_is_lost_terminates() -> None:
    assert steps(an_agent(7), tickets={7: None}) == [ChangeState(7, AgentEvent.TICKET_OVER, "its ticket is lost")]


def test_an_ended_agent_is_dropped() -> None:
    assert steps(an_agent(7, ENDED)) == [RemoveAgent(7)]


# Hooks


@pytest.mark.parametrize(("state", "hook"), [(PREPARING, AgentHook.PREPARE), (TERMINATING, AgentHook.TERMINATE)])
def test_the_hook_of_a_state_runs_once_and_again_when_it_is_not_known(state: AgentState, hook: AgentHook) -> None:
    assert steps(an_agent(7, state)) == [StartHook(7, hook)]
    assert steps(an_agent(7, state), busy={7}) == []


def test_working_agents_are_checked_once_a_period_and_groups_are_asked() -> None:
    agents = [an_agent(7), an_agent(8), an_agent(9, NEW)]
    waiting: dict[int, Ticket | None] = {9: a_ticket(9)}
    assert steps(*agents, tickets=waiting) == []
    assert steps(*agents, tickets=waiting, busy={8}, due=True) == [
        StartHook(7, AgentHook.CHECK),
        StartConverge("workers"),
    ]
    assert steps(*agents, tickets=waiting, busy={7, 8}, asking={"workers"}, due=True) == []


# How many


def test_missing_agents_are_made_up_for() -> None:
    agents = [an_agent(1, TERMINATING), an_agent(2, PREPARING), an_agent(3, group="others")]
    fields: dict[str, Any] = {"busy": {1, 2, 3}, "answered": {"workers"}, **too_many(5)}
    assert steps(*agents, **fields) == [NewAgents("workers", 3)]


def test_every_agent_that_is_not_dropped_counts() -> None:
    agents = [an_agent(number, state) for number, state in enumerate(AgentState, 1)]
    made = steps(*agents, tickets={1: a_ticket(1)}, busy={2, 3, 4}, answered={"workers"}, **too_many(5))
    assert made == [RemoveAgent(5)]


def test_an_answer_is_acted_on_once() -> None:
    """Given an answer that was acted on, when an agent is dropped, then the next answer makes up for it."""
    assert steps(**too_many(1)) == []


def test_no_answer_brings_more_than_a_bounded_number_at_once() -> None:
    assert steps(answered={"workers"}, **too_many(10**9)) == [NewAgents("workers", MOST_NEW)]


def test_of_too_many_agents_only_so_many_are_asked_to_go() -> None:
    agents = [an_agent(number) for number in (3, 1, 2)]
    assert steps(*agents, **too_many(1)) == [StartHook(1, AgentHook.RELEASE), StartHook(2, AgentHook.RELEASE)]


def test_an_agent_that_leaves_or_is_being_asked_is_not_asked_again() -> None:
    agents = [an_agent(1, TERMINATING), an_agent(2), an_agent(3)]
    assert steps(*agents, busy={1}, **too_many(2)) == []
    assert steps(*agents, busy={1, 2}, **too_many(1)) == []
    assert steps(*agents, busy={1}, **too_many(1)) == [StartHook(2, AgentHook.RELEASE)]


def test_an_agent_that_refused_is_asked_again_after_the_others() -> None:
    agents = [an_agent(1), an_agent(2)]
    assert steps(*agents, asked={1: 1}, **too_many(1)) == [StartHook(2, AgentHook.RELEASE)]
    assert steps(*agents, asked={1: 1, 2: 1}, **too_many(1)) == []
    later = {"workers": Wanted(1, 3)}
    assert steps(*agents, asked={1: 2, 2: 1}, wanted=later) == [StartHook(2, AgentHook.RELEASE)]


def test_agents_that_do_not_work_yet_are_not_asked_to_go() -> None:
    assert steps(an_agent(1, NEW), an_agent(2, PREPARING), tickets={1: a_ticket(1)}, busy={2}, **too_many(0)) == []


def test_an_agent_that_is_checked_in_this_plan_is_not_asked_at_the_same_time() -> None:
    assert steps(an_agent(1), due=True, asking={"workers"}, **too_many(0)) == [StartHook(1, AgentHook.CHECK)]


# Groups that left the file


def test_agents_of_a_group_that_left_are_asked_to_go_and_waiting_ones_end() -> None:
    agents = [an_agent(1, NEW, "gone"), an_agent(2, PREPARING, "gone"), an_agent(3, WORKING, "gone")]
    assert steps(*agents, groups={}, wanted={"gone": Wanted(0, 1)}) == [
        ChangeState(1, AgentEvent.GROUP_LEFT, "its group is not configured any more"),
        StartHook(2, AgentHook.PREPARE),
        StartHook(3, AgentHook.RELEASE),
    ]
