"""Ids of hook runs: text, values, and which document acts on the end of a run."""

import pytest

from functions.policy.transitions.run_id import AgentHook, Consumer, RunId, find_run_id
from state.documents import HookKind


@pytest.mark.parametrize(
    ("text", "run_id", "consumer"),
    [
        ("000017_watch_1700000000123", RunId(HookKind.WATCH, 17, 1700000000123), Consumer.RECONCILE),
        ("1000017_release_3", RunId(HookKind.RELEASE, 1000017, 3), Consumer.RECONCILE),
        ("000000_list_1700000000123", RunId(HookKind.LIST, 0, 1700000000123), Consumer.CLEANUP),
        ("000000_terminate_5", RunId(HookKind.TERMINATE, 0, 5), Consumer.CLEANUP),
        ("agent_prepare_4_5", RunId(AgentHook.PREPARE, 4, 5), Consumer.AGENTS),
        ("agent_converge_0_5", RunId(AgentHook.CONVERGE, 0, 5), Consumer.AGENTS),
    ],
)
def test_an_id_is_written_and_parsed_and_names_its_consumer(text: str, run_id: RunId, consumer: Consumer) -> None:
    assert str(run_id) == text
    assert RunId.parse(text) == run_id
    assert run_id.consumer is consumer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "strange",
        "agent",
        "agent_dance_4_5",
        "agent_alloc_4_5",
        "17_check_1",
        "17_alloc",
        "²_alloc_1",
        "1_alloc_1\n",
    ],
)
def test_other_text_is_no_id(text: str) -> None:
    assert find_run_id(text) is None
    with pytest.raises(ValueError, match="is not the id of a hook run"):
        RunId.parse(text)
