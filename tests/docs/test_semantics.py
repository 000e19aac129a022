"""docs/semantics.md and docs/operations.md name what the code has: variables, calls, states, defaults and limits."""

import inspect
import re
from pathlib import Path

import pytest
from msgspec.structs import fields

from config.agents import AgentGroup
from config.settings import Settings
from functions.policy.transitions import outcome
from functions.tickets.xmlrpc import METHODS
from functions.timed import cleanup, hook_runs
from state.documents import AgentState, ResourceState, TicketState

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "docs" / "semantics.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def section(text: str, title: str) -> str:
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_variables_of_hooks_are_those_that_the_code_sets() -> None:
    shown = re.findall(r"^\| `(RESALLOC_\w+)(?:<name>)?` \|", section(RULES, "What a hook sees"), re.MULTILINE)
    assert set(shown) == set(re.findall(r'f?"(RESALLOC_[A-Z_]+)', inspect.getsource(hook_runs)))


def test_the_calls_of_xml_rpc_are_those_that_the_code_has() -> None:
    text = section(RULES, "XML-RPC")
    assert set(METHODS) == set(re.findall(r"`(system\.\w+|\w+Ticket)\b", text))


@pytest.mark.parametrize(
    ("states", "title"), [(ResourceState, "States"), (TicketState, "States"), (AgentState, "Agents")]
)
def test_every_state_is_in_its_section(states: type, title: str) -> None:
    assert [state for state in states if f"`{state}`" not in section(RULES, title)] == []


def test_the_defaults_of_the_hooks_of_agents_are_right() -> None:
    line = next(each for each in section(RULES, "Agents").splitlines() if each.startswith("- Defaults"))
    shown = {
        name: default
        for names, default in re.findall(r"((?:`cmd_\w+`(?: and )?)+) (?:is|are) `(.+?)`", line)
        for name in re.findall(r"cmd_\w+", names)
    }
    commands = {
        each.name: each.default for each in fields(AgentGroup) if re.fullmatch(r"cmd_(?!\w+_timeout)\w+", each.name)
    }
    assert shown == commands


@pytest.mark.parametrize("option", ["hooks_at_once", "livechecks_at_once"])
def test_the_limits_of_operations_are_the_defaults(option: str) -> None:
    assert f"`{option}` ({getattr(Settings, option)})" in OPERATIONS


def test_times_in_the_rules_are_those_of_the_code() -> None:
    assert (cleanup.LIST_PERIOD, hook_runs.UNKNOWN_DELETE_LIMIT) == (1800, 120)
    assert "at most every 30 minutes" in RULES
    assert "has at most 120 s" in RULES
    assert outcome.LONGEST_PAUSE == 300
    assert "double from 2 s to 5 min" in RULES
