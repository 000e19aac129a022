"""Invariants of agents: hooks that end in any way and order, tickets that fail, any answers."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from config.agents import AgentGroup
from functions.policy.plan.agents import (
    AgentsSnapshot,
    ChangeState,
    NewAgents,
    RemoveAgent,
    StartConverge,
    StartHook,
    TakeTicket,
    Wanted,
    agent_after,
    fold_agent,
    plan_agents,
)
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.run_id import AgentHook
from functions.policy.transitions.ticket import close_ticket, fail_ticket
from state.documents import Agent, AgentState, Ticket, TicketState

GROUPS = {name: AgentGroup(name=name, tags=(name,)) for name in ("red", "blue")}
EVENTS = st.one_of(
    st.tuples(st.just("answer"), st.sampled_from(sorted(GROUPS)), st.integers(0, 4)),
    st.tuples(st.just("period")),
    st.tuples(st.just("resource"), st.integers(0, 9)),
    st.tuples(st.just("fail"), st.integers(0, 9)),
    st.tuples(st.just("close"), st.integers(0, 9)),
    st.tuples(st.just("hook"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("leave"), st.sampled_from(sorted(GROUPS))),
)


class Farm:
    """Agents in memory, moved by the policy; checks with each step what may never be."""

    def __init__(self) -> None:
        self.groups = dict(GROUPS)
        self.agents: dict[int, Agent] = {}
        self.tickets: dict[int, Ticket] = {}
        self.running: dict[int, AgentHook] = {}
        self.wanted: dict[str, Wanted] = {}
        self.answered: set[str] = set()
        self.asked: dict[int, int] = {}
        self.answers = 0
        self.now = 0.0
        self.past: dict[int, list[AgentState]] = {}
        self.prepared: set[int] = set()
        self.terminated: set[int] = set()

    def seen(self, due: bool) -> AgentsSnapshot:
        return AgentsSnapshot(
            agents=self.agents,
            groups=self.groups,
            tickets={number: self.tickets.get(number) for number in self.agents},
            busy=set(self.running),
            wanted=self.wanted,
            answered=set(self.answered),
            asked=self.asked,
            due=due,
        )

    def settle(self, due: bool = False) -> None:
        """Plan and apply until there is nothing left to do."""
        for _ in range(10):
            steps = plan_agents(self.seen(due))
            self.answered.clear()
            due = False
            if not steps:
                return
            asked_to_go = Counter(
                self.agents[step.agent].group
                for step in steps
                if isinstance(step, StartHook) and step.hook is AgentHook.RELEASE
            )
            for group, count in asked_to_go.items():
                assert count <= self.staying(group) - self.being_asked(group) - self.wanted[group].count
            for step in steps:
                self.apply(step)
        raise AssertionError("the plan never comes to rest")

    def staying(self, group: str) -> int:
        leaving = (AgentState.TERMINATING, AgentState.ENDED)
        return sum(agent.group == group and agent.state not in leaving for agent in self.agents.values())

    def being_asked(self, group: str) -> int:
        return sum(
            hook is AgentHook.RELEASE and self.agents[number].group == group for number, hook in self.running.items()
        )

    def apply(self, step: object) -> None:
        match step:
            case ChangeState(agent=number, event=event):
                self.put(agent_after(self.agents[number], event, self.now))
            case TakeTicket(agent=number):
                assert number not in self.tickets, "a ticket is taken twice"
                self.tickets[number] = Ticket(id=number, tags=self.groups[self.agents[number].group].tags)
            case StartHook(agent=number, hook=hook):
                assert number not in self.running, "two hooks of an agent run at the same time"
                if hook is AgentHook.TERMINATE:
                    assert number in self.prepared, "what was never prepared is terminated"
                    self.terminated.add(number)
                if hook is AgentHook.RELEASE:
                    self.asked[number] = self.wanted[self.agents[number].group].answer
                self.running[number] = hook
            case NewAgents(group=group, count=count):
                assert count + sum(agent.group == group for agent in self.agents.values()) <= self.wanted[group].count
                for number in range(len(self.past), len(self.past) + count):
                    self.put(Agent(id=number, group=group))
            case RemoveAgent(agent=number):
                assert number not in self.running, "an agent is dropped while its hook runs"
                if number in self.tickets:
                    self.tickets[number] = close_ticket(self.tickets[number], self.now)
                del self.agents[number]
            case StartConverge():
                pass

    def put(self, agent: Agent) -> None:
        self.agents[agent.id] = agent
        self.past.setdefault(agent.id, []).append(agent.state)

    def happen(self, event: tuple[object, ...]) -> None:
        self.now += 1
        match event:
            case ("answer", str(group), int(count)) if group in self.groups:
                self.answers += 1
                self.wanted[group] = Wanted(count, self.answers)
                self.answered.add(group)
                self.settle()
            case ("period",):
                self.answers += 1
                left = {agent.group for agent in self.agents.values()} - self.groups.keys()
                self.wanted = {group: Wanted(0, self.answers) for group in left}
                self.settle(due=True)
            case ("resource", int(place)):
                self.change_ticket(place, lambda ticket: ticket.replace(resource=1, output=b"x"), resource=None)
            case ("fail", int(place)):
                self.change_ticket(place, lambda ticket: fail_ticket(ticket, "it died", self.now))
            case ("close", int(place)):
                self.change_ticket(place, lambda ticket: close_ticket(ticket, self.now))
            case ("hook", int(place), bool(good)):
                self.end_hook(place, good)
            case ("restart", bool(lost)):
                self.restart(lost)
            case ("leave", str(group)):
                self.groups.pop(group, None)
                self.wanted.pop(group, None)
                self.settle()
        self.check()

    def change_ticket(self, place: int, to: object, **only: object) -> None:
        open_ones = [
            ticket
            for ticket in self.tickets.values()
            if ticket.state is TicketState.OPEN and all(getattr(ticket, name) == value for name, value in only.items())
        ]
        if open_ones:
            ticket = open_ones[place % len(open_ones)]
            self.tickets[ticket.id] = to(ticket)  # type: ignore[operator]
            self.settle()

    def end_hook(self, place: int, good: bool) -> None:
        if not self.running:
            return
        number = sorted(self.running)[place % len(self.running)]
        hook = self.running.pop(number)
        if hook is AgentHook.PREPARE and good:
            self.prepared.add(number)
        outcome = Outcome(run="", kind=None, started_at=self.now, ended_at=self.now, exit=0 if good else 1)
        agent = fold_agent(self.agents[number], hook, outcome)
        if agent is not self.agents[number]:
            self.put(agent)
        self.settle()

    def restart(self, lost: bool) -> None:
        """The process forgets its memory; with `lost`, the hooks that it had not started yet are lost, too."""
        self.wanted, self.asked = {}, {}
        if lost:
            self.running.clear()
        self.settle()

    def check(self) -> None:
        """After each event: no open ticket without an agent, and each state has what belongs to it."""
        for number, ticket in self.tickets.items():
            assert ticket.state is not TicketState.OPEN or number in self.agents, "a ticket is leaked"
        for number, agent in self.agents.items():
            assert number in self.tickets
            assert agent.state is not AgentState.ENDED
            running = self.running.get(number)
            if agent.state is AgentState.NEW:
                assert self.tickets[number].waiting
            elif agent.state is AgentState.PREPARING:
                assert running is AgentHook.PREPARE
            elif agent.state is AgentState.TERMINATING:
                assert running is AgentHook.TERMINATE
            else:
                assert running in (None, AgentHook.CHECK, AgentHook.RELEASE)
        ways = set(_ways())
        for states in self.past.values():
            assert set(pairwise(states)) <= ways
        gone = self.past.keys() - self.agents.keys()
        assert {number for number in gone if number in self.prepared} <= self.terminated


def _ways() -> Iterator[tuple[AgentState, AgentState]]:
    new, preparing, working, terminating, ended = AgentState
    yield from [(new, preparing), (preparing, working), (working, terminating), (terminating, ended)]
    yield from [(new, ended), (preparing, ended)]


@given(st.lists(EVENTS, max_size=40))
def test_no_ticket_is_leaked_and_no_hook_left_out_whatever_happens(history: list[tuple[object, ...]]) -> None:
    farm = Farm()
    for event in history:
        farm.happen(event)


@given(st.lists(EVENTS, max_size=25), st.integers(0, 4))
def test_when_hooks_agree_the_number_that_converge_prints_is_reached(
    history: list[tuple[object, ...]], count: int
) -> None:
    """Given any history, when the answers stay the same and all hooks succeed, then that many work, then none move."""
    farm = Farm()
    for event in history:
        if event[0] != "leave":
            farm.happen(event)
    for _ in range(12):
        for group in GROUPS:
            farm.happen(("answer", group, count))
        while any(ticket.waiting for ticket in farm.tickets.values()):
            farm.happen(("resource", 0))
        while farm.running:
            farm.end_hook(0, good=farm.running[min(farm.running)] is not AgentHook.CHECK)
    assert Counter(agent.group for agent in farm.agents.values()) == Counter(dict.fromkeys(GROUPS, count))
    assert {agent.state for agent in farm.agents.values()} <= {AgentState.WORKING}
