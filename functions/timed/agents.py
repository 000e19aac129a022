"""Agents: keep as many of each group as its `cmd_converge_to` says (SEMANTICS section 9).

Triggered by changed tickets and ended hooks, and once a period. Reads agents.yaml, the tickets of agents and what the
hooks said; writes agents, takes and closes their tickets as a client would, starts their hooks. An agent's document
stands before its ticket is taken and is removed after it was closed, so that no ticket is ever forgotten.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from config.agents import AgentGroup
from functions.logfields import of_agent, of_group
from functions.policy.plan.agents import (
    Agents,
    AgentStep,
    AskGroup,
    Drop,
    Move,
    NewAgents,
    StartHook,
    TakeTicket,
    fold_agent,
    moved,
    new_agent,
    plan_agents,
)
from functions.policy.transitions.run_id import AgentHook, Consumer, RunId, find_run_id
from functions.policy.transitions.ticket import close_ticket
from functions.timed.agent_groups import Groups
from functions.timed.hook_runs import agent_run, converge_run
from functions.timed.leader import Leader
from state.documents import Agent, AgentState, Ticket, TicketState
from state.errors import CorruptDocument, NotFound
from state.store import Batch, Put

log = logging.getLogger(__name__)

ROUNDS = 4
"""Plans that one call makes at most; what is left is the next call's, which follows at once."""


def agents(leader: Leader, groups: Groups, tell: Callable[[], object]) -> float | None:
    """Do what is due; returns when the next period begins (Unix seconds), None when there are no agents to keep.

    `tell` has all events written that are known so far, and makes them last.

    Raises StoreUnavailable or StoreFrozen; the mirror must be loaded anew then.
    """
    groups.reload(leader)
    _fold_outcomes(leader, groups)
    if not groups.in_force and not leader.mirror.agents:
        return None
    due = groups.begin_period(leader, leader.clock())
    if due:
        _remember_options(leader, groups)
    for _ in range(ROUNDS):
        steps = plan_agents(_seen(leader, groups, due))
        groups.answered.clear()
        due = False
        if not steps:
            return groups.due
        _apply(leader, groups, steps, tell)
    return leader.clock()


def _fold_outcomes(leader: Leader, groups: Groups) -> None:
    """Write down how the hooks of agents ended."""
    changed: dict[int, Agent] = {}
    done = []
    for run, outcome in leader.hooks.finished(Consumer.AGENTS):
        done.append(run.id)
        run_id = RunId.parse(run.id)
        number, hook = run_id.subject, AgentHook(run_id.hook)
        if hook is AgentHook.CONVERGE:
            groups.answer(run, outcome)
            continue
        agent = changed.get(number) or leader.mirror.agents.get(number)
        if agent is None:
            continue
        folded = fold_agent(agent, hook, outcome)
        if not outcome.by_itself or (hook is AgentHook.TERMINATE and not outcome.good):
            log.warning("agent %d (%s): its %s hook %s", number, agent.group, hook, outcome.how, extra=of_agent(agent))
        if folded is not agent:
            changed[number] = folded
    _write(leader, changed.values())
    for id in done:
        leader.hooks.forget(id)


def _remember_options(leader: Leader, groups: Groups) -> None:
    """Keep the options of each group with its agents, for the time when the group has left the file."""
    options = {name: _plain(group) for name, group in groups.in_force.items()}
    agents_now = leader.mirror.agents.values()
    outdated = [agent for agent in agents_now if options.get(agent.group, agent.options) != agent.options]
    _write(leader, [agent.replace(options=options[agent.group]) for agent in outdated])


def _plain(group: AgentGroup) -> dict[str, Any]:
    """The options as they come back from JSON."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(group))
    return plain


def _seen(leader: Leader, groups: Groups, due: bool) -> Agents:
    runs = [run for text in leader.hooks.under_way() if (run := find_run_id(text)) and run.consumer is Consumer.AGENTS]
    with_ticket = (AgentState.NEW, AgentState.WORKING)
    return Agents(
        agents=leader.mirror.agents,
        groups=groups.in_force,
        tickets={
            agent.id: _ticket(leader, agent.id) for agent in leader.mirror.agents.values() if agent.state in with_ticket
        },
        busy={run.subject for run in runs if run.hook is not AgentHook.CONVERGE},
        asking=set(groups.asking.values()),
        wanted=groups.wanted,
        answered=groups.answered,
        asked=groups.asked,
        due=due,
    )


def _ticket(leader: Leader, number: int) -> Ticket | None:
    """The agent's ticket, finished or not; None when it was not taken so far."""
    try:
        return leader.mirror.snapshot.tickets.get(number) or leader.store.tickets.read(number)
    except NotFound:
        return None
    except CorruptDocument:
        return Ticket(id=number, state=TicketState.CLOSED, reason="its document cannot be read")


def _apply(leader: Leader, groups: Groups, steps: Iterable[AgentStep], tell: Callable[[], object]) -> None:
    """Write the steps, in an order in which each part can be done again after a crash, then start hooks."""
    now = leader.clock()
    changed = []
    for step in steps:
        match step:
            case Move(agent=number, event=event, reason=reason):
                changed.append(moved(leader.mirror.agents[number], event, now, reason))
            case NewAgents(group=name, count=count):
                options = _plain(groups.in_force[name])
                log.info(
                    "agents of %s: %d wanted, %d new", name, groups.wanted[name].count, count, extra=of_group(name)
                )
                for number in _free_numbers(leader, count):
                    changed.append(new_agent(number, name, options, now))
    _write(leader, changed)
    for step in steps:
        match step:
            case TakeTicket(agent=number):
                ticket = Ticket(id=number, tags=groups.of(leader.mirror.agents[number]).tags, created_at=now)
                if leader.store.tickets.create_reserved(ticket):
                    leader.keep(ticket)
            case StartHook(agent=number, hook=hook):
                _start_hook(leader, groups, number, hook)
            case AskGroup(group=name):
                run = converge_run(groups.in_force[name], groups.number(now))
                groups.asking[run.id] = name
                leader.hooks.start(run)
    _drop(leader, [step.agent for step in steps if isinstance(step, Drop)], tell)


def _start_hook(leader: Leader, groups: Groups, number: int, hook: AgentHook) -> None:
    agent = leader.mirror.agents[number]
    if hook is AgentHook.RELEASE:
        groups.asked[number] = groups.wanted[agent.group].answer
    ticket = _ticket(leader, number)
    output = ticket.output if ticket else None
    leader.hooks.start(agent_run(agent, groups.of(agent), hook, output or b"", groups.number(leader.clock())))


def _write(leader: Leader, changed: Iterable[Agent]) -> None:
    documents = list(changed)
    if not documents:
        return
    leader.store.commit(Batch([Put(agent) for agent in documents]))
    for agent in documents:
        before = leader.mirror.agents.get(agent.id)
        leader.keep(agent)
        if before is None or before.state is not agent.state:
            why = f": {agent.reason}" if agent.reason else ""
            log.info("agent %d (%s): %s%s", agent.id, agent.group, agent.state, why, extra=of_agent(agent))


def _free_numbers(leader: Leader, count: int) -> list[int]:
    """Numbers for new tickets; not those in use already, as after an older copy of the counter was restored."""
    return [number for number in leader.store.tickets.reserve(count) if _ticket(leader, number) is None]


def _drop(leader: Leader, ended: list[int], tell: Callable[[], object]) -> None:
    """Close the tickets of ended agents and forget the agents; done again after a crash, this changes nothing."""
    if not ended:
        return
    now = leader.clock()
    for number in ended:
        try:
            ticket = leader.store.tickets.update(number, lambda found: close_ticket(found, now, "its agent has ended"))
        except (NotFound, CorruptDocument) as error:
            log.warning(
                "agent %d: its ticket cannot be closed: %s", number, error, extra=of_agent(leader.mirror.agents[number])
            )
            continue
        if number in leader.mirror.snapshot.tickets:
            leader.keep(ticket)
    # Their documents tell what became of them, but no longer.
    tell()
    leader.store.commit(Batch(removed_agents=ended))
    for number in ended:
        del leader.mirror.agents[number]
