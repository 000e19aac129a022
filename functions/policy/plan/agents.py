"""Agents: their state after a hook has ended, and the next steps, by the rules of docs/semantics.md (Agents).

An agent's hooks never run side by side. The agent's state alone decides whether `cmd_prepare` or `cmd_terminate` is to
run: if an agent in such a state has no run, its hook is started, also after a restart or a lost run.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Any

import msgspec

from config.agents import AgentGroup
from functions.policy.transitions.history import last_number, with_event
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.run_id import AgentHook
from state.documents import Actor, Agent, AgentState, Event, Ticket, TicketState
from state.lifecycle import AgentEvent, after_agent_event

MOST_NEW = 100
"""The most agents that one answer of `cmd_converge_to` creates; the next answer creates more."""
MOST_LOST_RUNS = 3
"""After so many lost runs of `cmd_prepare` or `cmd_terminate`, one after the other, the hook counts as failed."""
_WHOLE_NUMBER = re.compile(rb"\s*([+-]?[0-9]{1,9})\s*")


_HOOK_OF = {AgentState.PREPARING: AgentHook.PREPARE, AgentState.TERMINATING: AgentHook.TERMINATE}


class ChangeState(msgspec.Struct, frozen=True):
    """Change the state of an agent by an event."""

    agent: int
    event: AgentEvent
    reason: str | None = None


class TakeTicket(msgspec.Struct, frozen=True):
    """Create the agent's ticket, with the number of the agent."""

    agent: int


class StartHook(msgspec.Struct, frozen=True):
    """Start a hook of an agent."""

    agent: int
    hook: AgentHook


class StartConverge(msgspec.Struct, frozen=True):
    """Start `cmd_converge_to` of a group, whose answer is how many agents it should have."""

    group: str


class NewAgents(msgspec.Struct, frozen=True):
    """Create `count` agents in a group."""

    group: str
    count: int


class RemoveAgent(msgspec.Struct, frozen=True):
    """Close the ticket of an ENDED agent and remove the agent."""

    agent: int


AgentStep = ChangeState | TakeTicket | StartHook | StartConverge | NewAgents | RemoveAgent


class Wanted(msgspec.Struct, frozen=True):
    """How many agents a group should have; `answer` is the number of the answer that said so, later ones are higher."""

    count: int
    answer: int


class AgentsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `plan_agents` decides about.

    `groups` are those in force. `tickets` are those of the agents, by number (None: not created yet). `busy` are the
    agents with a hook run under way, `asking` the groups with a run of `cmd_converge_to`. `wanted` are the answers of
    this period by group, `answered` the groups with an answer that was not acted on yet. `asked` is, by agent, the
    number of the answer after which it was last asked to leave. `due`: a new period begins.
    """

    agents: Mapping[int, Agent]
    groups: Mapping[str, AgentGroup]
    tickets: Mapping[int, Ticket | None]
    busy: Set[int] = frozenset()
    asking: Set[str] = frozenset()
    wanted: Mapping[str, Wanted] = {}
    answered: Set[str] = frozenset()
    asked: Mapping[int, int] = {}
    due: bool = False


def new_agent(number: int, group: str, options: dict[str, Any], now: float) -> Agent:
    """A NEW agent; its ticket, which will have the same number, does not exist yet."""
    made = Event(at=now, n=1, event=AgentEvent.MADE, after=AgentState.NEW, actor=Actor.LEADER)
    return Agent(id=number, group=group, options=options, created_at=now, changed_at=now, history=(made,))


def agent_after(
    agent: Agent, event: AgentEvent, now: float, reason: str | None = None, actor: Actor = Actor.LEADER
) -> Agent:
    """The agent after `event`, with it at the end of its history; raises ImpossibleTransition."""
    state = after_agent_event(agent.state, event)
    number = last_number(agent.history) + 1
    made = Event(at=now, n=number, event=event, before=agent.state, after=state, actor=actor, reason=reason)
    history = with_event(agent.history, made)
    return agent.replace(state=state, changed_at=now, lost_runs=0, reason=reason, history=history)


def fold_agent(agent: Agent, hook: AgentHook, outcome: Outcome) -> Agent:
    """The agent after a hook of it ended; the same object when that changes nothing (any more)."""
    now = outcome.ended_at
    if outcome.lost and _HOOK_OF.get(agent.state) is hook and agent.lost_runs + 1 < MOST_LOST_RUNS:
        return agent.replace(lost_runs=agent.lost_runs + 1)
    if agent.state is AgentState.PREPARING and hook is AgentHook.PREPARE:
        if outcome.good:
            return agent_after(agent, AgentEvent.PREPARED, now, actor=Actor.HOOK)
        return agent_after(agent, AgentEvent.PREPARE_FAILED, now, f"cmd_prepare {outcome.how}", Actor.HOOK)
    if agent.state is AgentState.TERMINATING and hook is AgentHook.TERMINATE:
        return agent_after(agent, AgentEvent.TERMINATED, now, agent.reason, Actor.HOOK)
    if agent.state is AgentState.WORKING and outcome.good:
        if hook is AgentHook.CHECK:
            return agent_after(agent, AgentEvent.FINISHED, now, "cmd_check_finished said so", Actor.HOOK)
        if hook is AgentHook.RELEASE:
            return agent_after(agent, AgentEvent.RELEASED, now, "cmd_try_release agreed", Actor.HOOK)
    return agent


def number_printed(outcome: Outcome) -> int | None:
    """How many agents `cmd_converge_to` asks for, at least 0; None when it failed or printed anything else."""
    if not outcome.good or outcome.output is None:
        return None
    number = _WHOLE_NUMBER.fullmatch(outcome.output)
    return max(0, int(number[1])) if number else None


def plan_agents(snapshot: AgentsSnapshot) -> list[AgentStep]:
    """The next steps, in this order. An agent without a step waits until something changes."""
    steps: list[AgentStep] = []
    for agent in snapshot.agents.values():
        steps.extend(_next_step(snapshot, agent))
    with_steps = {step.agent for step in steps if isinstance(step, StartHook | ChangeState)}
    for group in snapshot.groups if snapshot.due else ():
        if group not in snapshot.asking:
            steps.append(StartConverge(group))
    count = Counter(agent.group for agent in snapshot.agents.values())
    for group in snapshot.groups:
        if group in snapshot.answered and group in snapshot.wanted:
            missing = snapshot.wanted[group].count - count[group]
            if missing > 0:
                steps.append(NewAgents(group, min(missing, MOST_NEW)))
    for group, wanted in snapshot.wanted.items():
        steps.extend(_ask_to_leave(snapshot, group, wanted, with_steps))
    return steps


def _next_step(snapshot: AgentsSnapshot, agent: Agent) -> Iterator[AgentStep]:
    """The next step of one agent, if any."""
    if agent.state is AgentState.ENDED:
        yield RemoveAgent(agent.id)
    elif agent.id in snapshot.busy:
        return
    elif agent.state in _HOOK_OF:
        yield StartHook(agent.id, _HOOK_OF[agent.state])
    elif (ticket := snapshot.tickets.get(agent.id)) is not None and ticket.state is not TicketState.OPEN:
        why = f": {ticket.reason}" if ticket.reason else ""
        yield ChangeState(agent.id, AgentEvent.TICKET_OVER, f"its ticket is {ticket.state}{why}")
    elif agent.state is AgentState.WORKING:
        if ticket is None:
            yield ChangeState(agent.id, AgentEvent.TICKET_OVER, "its ticket is lost")
        elif snapshot.due:
            yield StartHook(agent.id, AgentHook.CHECK)
    elif agent.group not in snapshot.groups:
        yield ChangeState(agent.id, AgentEvent.GROUP_LEFT, "its group is not configured any more")
    elif ticket is None:
        yield TakeTicket(agent.id)
    elif ticket.resource is not None:
        yield ChangeState(agent.id, AgentEvent.RESOURCE_CAME)


def _ask_to_leave(snapshot: AgentsSnapshot, group: str, wanted: Wanted, with_steps: Set[int]) -> Iterator[AgentStep]:
    """Ask as many WORKING agents to leave as the group has too many, each once for each answer.

    First come those that were not asked for the longest time. Agents that are busy count as if they had been asked and
    agreed: no other agent is asked instead.
    """
    members = [agent for agent in snapshot.agents.values() if agent.group == group]
    working = [agent for agent in members if agent.state is AgentState.WORKING]
    free = [agent for agent in working if agent.id not in snapshot.busy and agent.id not in with_steps]
    staying = sum(agent.state not in (AgentState.TERMINATING, AgentState.ENDED) for agent in members)
    too_many = staying - (len(working) - len(free)) - wanted.count
    free = [agent for agent in free if snapshot.asked.get(agent.id) != wanted.answer]
    free.sort(key=lambda agent: (snapshot.asked.get(agent.id, 0), agent.id))
    for agent in free[: max(0, too_many)]:
        yield StartHook(agent.id, AgentHook.RELEASE)
