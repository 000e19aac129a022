"""Agents: keep as many of each group as its `cmd_converge_to` says (docs/semantics.md, "Agents").

Triggered by changed tickets and ended hooks, and once a period. Reads agents.yaml, the tickets of agents and the
outcomes of hooks; writes agents, creates and closes their tickets as a client would, starts their hooks. An agent's
document is written before its ticket is created and deleted after the ticket was closed: no ticket is forgotten.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from config.agents import FILE_NAMES, AgentGroup, AgentsFile, agents_file, load_agents
from config.errors import ConfigError
from functions.logfields import of_agent, of_group, of_problem
from functions.policy.plan.agents import (
    AgentsSnapshot,
    AgentStep,
    ChangeState,
    NewAgents,
    RemoveAgent,
    StartConverge,
    StartHook,
    TakeTicket,
    Wanted,
    agent_after,
    fold_agent,
    new_agent,
    number_printed,
    plan_agents,
)
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.run_id import AgentHook, Consumer, RunId, find_run_id
from functions.policy.transitions.ticket import close_ticket
from functions.timed.corruption import agents_to_count
from functions.timed.hook_runs import HookRun, RunNumbers, agent_run, converge_run
from functions.timed.leader import SHOWN_FAULTS, Leader
from functions.timed.pools_file import Stamp, stamp
from state.documents import Agent, AgentState, Ticket, TicketState
from state.errors import CorruptDocument, NewerDocument, NotFound
from state.store import Batch, Put

log = logging.getLogger(__name__)

ROUNDS = 4
"""Plans that one call makes at most; the rest is left to the next call, which follows at once."""


class Groups:
    """The groups of agents in force, and what the leader remembers of them. All of it can be rebuilt."""

    def __init__(self) -> None:
        self.in_force: Mapping[str, AgentGroup] = {}
        self.period = AgentsFile().period
        self.wanted: dict[str, Wanted] = {}
        self.answered: set[str] = set()
        self.asked: dict[int, int] = {}
        self.asking: dict[str, str] = {}
        """Group by run of `cmd_converge_to`. Only runs of this process: an older answer is outdated."""
        self._silent: set[str] = set()
        self._answers = 0
        self.numbers = RunNumbers()
        self._loaded = False
        self._seen: list[Stamp | None] = []
        self._due = float("-inf")

    def reload(self, leader: Leader) -> None:
        """Read agents.yaml if it changed; a broken one keeps the last good one in force."""
        folder = leader.settings.config_dir
        seen = [stamp(folder / name) for name in FILE_NAMES]
        if seen == self._seen:
            return
        self._seen = seen
        leader.mirror.changed = True
        try:
            file = load_agents(folder)
        except ConfigError as error:
            faults = tuple(map(str, error.problems))
            if leader.config.agent_faults != faults:
                leader.journal.add("config", "agents.yaml is broken", "; ".join(faults[:SHOWN_FAULTS]))
            leader.config.agent_faults = faults
            for fault in error.problems:
                log.error("%s (the last good groups of agents stay in force)", fault, extra=of_problem(fault))
            if not self._loaded:
                agents = leader.mirror.agents.values()
                self.in_force = {agent.group: msgspec.convert(agent.options, AgentGroup) for agent in agents}
            return
        if leader.config.agent_faults:
            leader.journal.add("config", "agents.yaml is good again")
        leader.config.agent_faults = ()
        self._loaded = True
        self._due = float("-inf")
        before, self.in_force = self.in_force, file.groups if file else {}
        if file is not None:
            self.period = file.period
            for warning in file.warnings:
                log.warning("%s", warning, extra=of_problem(warning))
        if before or self.in_force:
            log.info("%s: %d groups of agents in force", agents_file(folder), len(self.in_force))

    def of(self, agent: Agent) -> AgentGroup:
        """The agent's group; one that left the file keeps its last options."""
        return self.in_force.get(agent.group) or msgspec.convert(agent.options, AgentGroup)

    def begin_period(self, leader: Leader, now: float) -> bool:
        """Whether a new period begins now. Answers that were acted on are void then."""
        if self._due - self.period <= now < self._due:
            return False
        self._due = now + self.period
        left = {agent.group for agent in leader.mirror.agents.values()} - self.in_force.keys()
        self._answers += 1
        self.wanted = {group: wanted for group, wanted in self.wanted.items() if group in self.answered}
        self.wanted |= {group: Wanted(0, self._answers) for group in left}
        self.asked = {agent: answer for agent, answer in self.asked.items() if agent in leader.mirror.agents}
        return True

    @property
    def due(self) -> float:
        """When the next period begins (Unix seconds)."""
        return self._due

    def answer(self, run: HookRun, outcome: Outcome) -> None:
        """Note the answer of a run of `cmd_converge_to`."""
        group = self.asking.pop(run.id, None)
        if group is None or group not in self.in_force:
            return
        count = number_printed(outcome)
        if count is None:
            if group not in self._silent:
                why = f"printed {(outcome.output or b'')[:100]!r}" if outcome.good else outcome.how
                log.warning(
                    "agents of %s: cmd_converge_to %s, so their number stays", group, why, extra=of_group(group)
                )
            self._silent.add(group)
            return
        self._silent.discard(group)
        self._answers += 1
        self.wanted[group] = Wanted(count, self._answers)
        self.answered.add(group)


def agents(leader: Leader, groups: Groups, write_events: Callable[[], object]) -> float | None:
    """Do what is due; returns when the next period begins (Unix seconds), None when there are no agents to keep.

    `write_events` writes and syncs all events of the journal. Raises StoreUnavailable or StoreFrozen; then the mirror
    must be loaded again.
    """
    groups.reload(leader)
    _fold_outcomes(leader, groups)
    if not groups.in_force and not leader.mirror.agents:
        return None
    due = groups.begin_period(leader, leader.clock())
    if due:
        _remember_options(leader, groups)
    for _ in range(ROUNDS):
        steps = plan_agents(_snapshot(leader, groups, due))
        groups.answered.clear()
        due = False
        if not steps:
            return groups.due
        _apply(leader, groups, steps, write_events)
    return leader.clock()


def _fold_outcomes(leader: Leader, groups: Groups) -> None:
    """Record how the hooks of agents ended."""
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
    """Store the options of each group in its agents, for the time when the group is no longer in the file."""
    options = {name: _plain(group) for name, group in groups.in_force.items()}
    agents_now = leader.mirror.agents.values()
    outdated = [agent for agent in agents_now if options.get(agent.group, agent.options) != agent.options]
    _write(leader, [agent.replace(options=options[agent.group]) for agent in outdated])


def _plain(group: AgentGroup) -> dict[str, Any]:
    """The options as JSON values."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(group))
    return plain


def _snapshot(leader: Leader, groups: Groups, due: bool) -> AgentsSnapshot:
    runs = [run for text in leader.hooks.under_way() if (run := find_run_id(text)) and run.consumer is Consumer.AGENTS]
    with_ticket = (AgentState.NEW, AgentState.WORKING)
    agents, left_alone = _without_newer(leader) if leader.corruption.refused else (leader.mirror.agents, set())
    return AgentsSnapshot(
        agents=agents,
        groups=groups.in_force,
        tickets={agent.id: _ticket(leader, agent.id) for agent in agents.values() if agent.state in with_ticket},
        busy={run.subject for run in runs if run.hook is not AgentHook.CONVERGE} | left_alone,
        asking=set(groups.asking.values()),
        wanted=groups.wanted,
        answered=groups.answered,
        asked=groups.asked,
        due=due,
    )


def _without_newer(leader: Leader) -> tuple[dict[int, Agent], set[int]]:
    """The agents, and ids of those that must be left alone: this version cannot read their document or their ticket.

    The former count as agents of their group. Ended ones wait until their tickets can be closed, and are left out.
    """
    is_newer, place = leader.corruption.is_newer, leader.store.tickets.place
    agents = {
        number: agent
        for number, agent in leader.mirror.agents.items()
        if agent.state is not AgentState.ENDED or not is_newer(place(number))
    }
    left_alone = {number for number in agents if is_newer(place(number))}
    newer = {agent.id: agent for agent in agents_to_count(leader.corruption.refused.values())}
    return agents | newer, left_alone | newer.keys()


def _ticket(leader: Leader, number: int) -> Ticket | None:
    """The agent's ticket, finished or not; None when it was not created yet."""
    try:
        return leader.mirror.snapshot.tickets.get(number) or leader.store.tickets.read(number)
    except NotFound:
        return None
    except NewerDocument:
        return Ticket(id=number)
    except CorruptDocument:
        return Ticket(id=number, state=TicketState.CLOSED, reason="its document cannot be read")


def _apply(leader: Leader, groups: Groups, steps: Iterable[AgentStep], write_events: Callable[[], object]) -> None:
    """Write the steps, in an order that can be repeated after a crash, then start hooks."""
    now = leader.clock()
    changed = []
    for step in steps:
        match step:
            case ChangeState(agent=number, event=event, reason=reason):
                changed.append(agent_after(leader.mirror.agents[number], event, now, reason))
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
            case StartConverge(group=name):
                run = converge_run(groups.in_force[name], groups.numbers.next(now))
                groups.asking[run.id] = name
                leader.hooks.start(run)
    _remove(leader, [step.agent for step in steps if isinstance(step, RemoveAgent)], write_events)


def _start_hook(leader: Leader, groups: Groups, number: int, hook: AgentHook) -> None:
    agent = leader.mirror.agents[number]
    if hook is AgentHook.RELEASE:
        groups.asked[number] = groups.wanted[agent.group].answer
    ticket = _ticket(leader, number)
    output = ticket.output if ticket else None
    leader.hooks.start(agent_run(agent, groups.of(agent), hook, output or b"", groups.numbers.next(leader.clock())))


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
    """Ids for new tickets. After an older copy of the counter was restored, some are in use: these are left out."""
    return [number for number in leader.store.tickets.reserve(count) if _ticket(leader, number) is None]


def _remove(leader: Leader, ended: list[int], write_events: Callable[[], object]) -> None:
    """Close the tickets of ended agents and delete the agents. Repeating it after a crash changes nothing."""
    if not ended:
        return
    now = leader.clock()
    for number in ended:
        try:
            ticket = leader.store.tickets.update(number, lambda found: close_ticket(found, now, "its agent has ended"))
        except (NotFound, CorruptDocument, NewerDocument) as error:
            log.warning(
                "agent %d: its ticket cannot be closed: %s", number, error, extra=of_agent(leader.mirror.agents[number])
            )
            continue
        if number in leader.mirror.snapshot.tickets:
            leader.keep(ticket)
    # Their events are in their documents, which are deleted now.
    write_events()
    leader.store.commit(Batch(removed_agents=ended))
    for number in ended:
        del leader.mirror.agents[number]
