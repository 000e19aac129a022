"""Agents: what follows from how their hooks ended, and what to do next, by the rules of docs/semantics.md (Agents).

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
"""How many agents are made after one answer of `cmd_converge_to` at most; the next answer makes more."""
MOST_LOST_RUNS = 3
"""How many runs of `cmd_prepare` or `cmd_terminate` may vanish without a result before that counts as their end."""
_WHOLE_NUMBER = re.compile(rb"\s*([+-]?[0-9]{1,9})\s*")


_HOOK_OF = {AgentState.PREPARING: AgentHook.PREPARE, AgentState.TERMINATING: AgentHook.TERMINATE}


class Move(msgspec.Struct, frozen=True):
    """The agent changes its state."""

    agent: int
    event: AgentEvent
    reason: str | None = None


class TakeTicket(msgspec.Struct, frozen=True):
    """The agent's ticket is taken, under the agent's number."""

    agent: int


class StartHook(msgspec.Struct, frozen=True):
    """A hook of the agent starts."""

    agent: int
    hook: AgentHook


class AskGroup(msgspec.Struct, frozen=True):
    """`cmd_converge_to` of the group starts."""

    group: str


class NewAgents(msgspec.Struct, frozen=True):
    """`count` agents are made for the group."""

    group: str
    count: int


class Drop(msgspec.Struct, frozen=True):
    """The agent's ticket is closed, and the agent is removed."""

    agent: int


AgentStep = Move | TakeTicket | StartHook | AskGroup | NewAgents | Drop


class Wanted(msgspec.Struct, frozen=True):
    """How many agents a group should have; `answer` is the number of the answer, later ones are higher."""

    count: int
    answer: int


class Agents(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a decision needs.

    `groups` are those in force, `tickets` those of the agents by number (None: never taken), `busy` the agents whose
    hook runs and `asking` the groups whose `cmd_converge_to` runs. `wanted` is for this period, `answered` are the
    groups with an answer that was not acted on yet. `asked` is the number of the answer after which an agent was last
    asked to leave. `due`: a new period begins.
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
    """An agent that is about to take the ticket with its number."""
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


def plan_agents(seen: Agents) -> list[AgentStep]:
    """What to do now, in this order. Agents without a step have nothing to do before something changes."""
    steps: list[AgentStep] = []
    for agent in seen.agents.values():
        steps.extend(_one(seen, agent))
    taken = {step.agent for step in steps if isinstance(step, StartHook | Move)}
    for group in seen.groups if seen.due else ():
        if group not in seen.asking:
            steps.append(AskGroup(group))
    count = Counter(agent.group for agent in seen.agents.values())
    for group in seen.groups:
        if group in seen.answered and group in seen.wanted:
            missing = seen.wanted[group].count - count[group]
            if missing > 0:
                steps.append(NewAgents(group, min(missing, MOST_NEW)))
    for group, wanted in seen.wanted.items():
        steps.extend(_ask_to_go(seen, group, wanted, taken))
    return steps


def _one(seen: Agents, agent: Agent) -> Iterator[AgentStep]:
    """The step of one agent, if any: of its ticket first, then of its state."""
    if agent.state is AgentState.ENDED:
        yield Drop(agent.id)
    elif agent.id in seen.busy:
        return
    elif agent.state in _HOOK_OF:
        yield StartHook(agent.id, _HOOK_OF[agent.state])
    elif (ticket := seen.tickets.get(agent.id)) is not None and ticket.state is not TicketState.OPEN:
        why = f": {ticket.reason}" if ticket.reason else ""
        yield Move(agent.id, AgentEvent.TICKET_OVER, f"its ticket is {ticket.state}{why}")
    elif agent.state is AgentState.WORKING:
        if ticket is None:
            yield Move(agent.id, AgentEvent.TICKET_OVER, "its ticket is lost")
        elif seen.due:
            yield StartHook(agent.id, AgentHook.CHECK)
    elif agent.group not in seen.groups:
        yield Move(agent.id, AgentEvent.GROUP_LEFT, "its group is not configured any more")
    elif ticket is None:
        yield TakeTicket(agent.id)
    elif ticket.resource is not None:
        yield Move(agent.id, AgentEvent.RESOURCE_CAME)


def _ask_to_go(seen: Agents, group: str, wanted: Wanted, taken: Set[int]) -> Iterator[AgentStep]:
    """Ask as many working agents to leave as there are too many, each once an answer, the longest unasked first.

    Agents that are about to leave, or are being asked, are not replaced by others.
    """
    members = [agent for agent in seen.agents.values() if agent.group == group]
    working = [agent for agent in members if agent.state is AgentState.WORKING]
    free = [agent for agent in working if agent.id not in seen.busy and agent.id not in taken]
    staying = sum(agent.state not in (AgentState.TERMINATING, AgentState.ENDED) for agent in members)
    too_many = staying - (len(working) - len(free)) - wanted.count
    free = [agent for agent in free if seen.asked.get(agent.id) != wanted.answer]
    free.sort(key=lambda agent: (seen.asked.get(agent.id, 0), agent.id))
    for agent in free[: max(0, too_many)]:
        yield StartHook(agent.id, AgentHook.RELEASE)
