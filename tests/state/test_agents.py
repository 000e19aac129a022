"""Agents as documents: their states, their folder, and the tickets with reserved numbers."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.documents import Agent, AgentState, Ticket
from state.errors import ImpossibleTransition, NotFound
from state.files.store import FileStore
from state.lifecycle import AgentEvent, after_agent_event
from state.store import Batch, Put

TABLE = """
NEW          resource_came   PREPARING
NEW          ticket_over     ENDED
NEW          group_left      ENDED
PREPARING    prepared        WORKING
PREPARING    prepare_failed  ENDED
WORKING      finished        TERMINATING
WORKING      released        TERMINATING
WORKING      ticket_over     TERMINATING
TERMINATING  terminated      ENDED
"""
AGENTS = st.builds(
    Agent,
    id=st.integers(0, 2**53),
    group=st.text(),
    state=st.sampled_from(AgentState),
    options=st.dictionaries(st.text(), st.text() | st.integers(0, 9) | st.lists(st.text())),
    changed_at=st.floats(0, 1e10),
    reason=st.none() | st.text(),
    unknown=st.dictionaries(st.text().map(lambda name: f"new_{name}"), st.integers(0, 9), max_size=2),
)


@pytest.mark.parametrize(("state", "event"), [*product(AgentState, AgentEvent)])
def test_an_agent_takes_the_listed_events_only(state: AgentState, event: AgentEvent) -> None:
    rows = [line.split() for line in TABLE.strip().splitlines()]
    after = {(state, event.replace("_", " ")): after for state, event, after in rows}.get((state, event))
    if after is not None:
        assert after_agent_event(state, event) == after
    else:
        with pytest.raises(ImpossibleTransition):
            after_agent_event(state, event)


@given(AGENTS)
def test_an_agent_comes_back_from_json_as_it_was(agent: Agent) -> None:
    assert Agent.from_json(agent.to_json()) == agent


def test_agents_are_kept_in_their_folder_until_they_are_removed(store: FileStore) -> None:
    agents = [Agent(id=7, group="workers"), Agent(id=8, group="workers")]
    store.commit(Batch([Put(agent) for agent in agents]))
    assert (store.root / "agents" / "7.json").exists()
    assert sorted(store.read_all().agents, key=lambda agent: agent.id) == agents
    store.commit(Batch(removed_agents=[7]))
    assert store.read_all().agents == agents[1:]


def test_a_document_is_created_with_its_reserved_number_and_never_over_another(store: FileStore) -> None:
    (number,) = store.tickets.reserve(1)
    with pytest.raises(NotFound):
        store.tickets.read(number)
    first = Ticket(id=number, tags=("A",))
    assert store.tickets.create_reserved(first)
    assert not store.tickets.create_reserved(Ticket(id=number, tags=("B",)))
    assert store.tickets.read(number) == first
    assert not list((store.root / "tmp").iterdir())
    assert store.tickets.create(lambda next_number: Ticket(id=next_number)).id == number + 1
