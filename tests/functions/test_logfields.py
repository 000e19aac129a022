"""The fields of lines of the log, and that every line that is about something has them."""

import ast
import re
from pathlib import Path

import pytest

from config.errors import Problem
from functions.logfields import of_agent, of_place, of_problem, of_request, of_resource, of_run, of_run_id, of_ticket
from functions.timed.hook_runs import HookRun
from state.documents import Agent, HookKind, Resource, Ticket

ROOT = Path(__file__).parents[2]
ABOUT = re.compile(r"\b(ticket|resource|pool|agent|run) %|\bagents of %")


def log_calls() -> list[tuple[str, str, bool]]:
    """Where, with which words and whether with fields each line of the log is written."""
    calls = []
    for folder in ("functions", "scheduler"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="log")), args=[ast.Constant(value=str(words)), *_]
                    ):
                        extra = any(keyword.arg == "extra" for keyword in node.keywords)
                        calls.append((f"{path.relative_to(ROOT)}:{node.lineno}", words, extra))
    return calls


def test_every_line_about_a_ticket_a_resource_a_pool_or_a_run_has_them_in_fields() -> None:
    calls = log_calls()
    assert len([words for _, words, _ in calls if ABOUT.search(words)]) > 20
    assert [(place, words) for place, words, extra in calls if ABOUT.search(words) and not extra] == []


def test_a_ticket_with_a_resource_names_both() -> None:
    assert of_ticket(Ticket(id=4)) == {"ticket": 4}
    assert of_ticket(Ticket(id=4, resource=7, pool="p")) == {"ticket": 4, "resource": 7, "pool": "p"}


def test_a_resource_names_the_ticket_that_has_it() -> None:
    resource = Resource(id=7, name="r", pool="p")
    assert of_resource(resource) == {"resource": 7, "pool": "p"}
    assert of_resource(resource, Ticket(id=4)) == {"resource": 7, "pool": "p", "ticket": 4}


def test_an_agent_is_its_ticket_too() -> None:
    assert of_agent(Agent(id=4, group="g")) == {"agent": 4, "group": "g", "ticket": 4}


@pytest.mark.parametrize(
    ("run", "fields"),
    [
        ("000017_watch_1", {"resource": 17}),
        ("000000_list_123", {}),
        ("agent_prepare_4_123", {"agent": 4, "ticket": 4}),
        ("agent_converge_0_123", {}),
        ("agent", {}),
        ("strange", {}),
        ("²_alloc_1", {}),
    ],
)
def test_a_run_names_what_it_is_for(run: str, fields: dict[str, int]) -> None:
    assert of_run_id(run) == {"run": run, **fields}


def test_a_run_names_its_pool_or_its_group() -> None:
    run = HookRun(id="000017_alloc_1", kind=HookKind.ALLOC, pool="p", command="", environment={}, limit=1, log="")
    assert of_run(run) == {"run": "000017_alloc_1", "resource": 17, "pool": "p"}
    agent = HookRun(id="agent_prepare_4_1", kind=None, pool="g", command="", environment={}, limit=1, log="")
    assert of_run(agent) == {"run": "agent_prepare_4_1", "agent": 4, "ticket": 4, "group": "g"}


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("tickets/open/4", {"ticket": 4}),
        ("tickets/done/0/4", {"ticket": 4}),
        ("resources/live/7", {"resource": 7}),
        ("pools/p", {"pool": "p"}),
        ("agents/4", {"agent": 4, "ticket": 4}),
        ("tickets/keys/abc", {}),
        ("intents/1", {}),
        ("FORMAT", {}),
    ],
)
def test_a_place_names_its_document(place: str, fields: dict[str, object]) -> None:
    assert of_place(place) == fields


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ("GET /tickets/42/wait", {"ticket": 42}),
        ("DELETE /resources/17", {"resource": 17}),
        ("GET /resources/some-name", {}),
        ("GET /tickets/" + "9" * 30, {}),
        ("GET /", {}),
        ("POST /tickets", {}),
    ],
)
def test_a_request_names_what_it_is_about(asked: str, fields: dict[str, int]) -> None:
    method, path = asked.split()
    assert of_request(asked) == {"method": method, "path": path, **fields}


def test_a_fault_names_the_pool_or_the_group() -> None:
    assert of_problem(Problem("pools.yaml", 1, "p", None, "no")) == {"pool": "p"}
    assert of_problem(Problem("agents.yaml", 1, "g", None, "no", part="agent group")) == {"group": "g"}
    assert of_problem(Problem("pools.yaml", 1, None, None, "no")) == {}
