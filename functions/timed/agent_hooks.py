"""The hook runs of agents and their groups: commands, variables, logs."""

import base64

from config.agents import AgentGroup
from functions.policy.plan.agents import AgentHook
from functions.timed.hooks import HookRun
from state.documents import Agent

CONVERGE_OUTPUT_LIMIT = 1024
"""Bytes that `cmd_converge_to` may print."""


def agent_run(agent: Agent, group: AgentGroup, hook: AgentHook, output: bytes, number: int) -> HookRun:
    """A run for one agent; `output` is what its ticket was given, `number` tells runs of the same hook apart."""
    command, limit = {
        AgentHook.PREPARE: (group.cmd_prepare, group.cmd_prepare_timeout),
        AgentHook.CHECK: (group.cmd_check_finished, group.cmd_check_finished_timeout),
        AgentHook.RELEASE: (group.cmd_try_release, group.cmd_try_release_timeout),
        AgentHook.TERMINATE: (group.cmd_terminate, group.cmd_terminate_timeout),
    }[hook]
    return HookRun(
        id=f"agent_{hook}_{agent.id}_{number}",
        kind=None,
        pool=group.name,
        command=command,
        environment={"AGENT_SPAWNER_RESOURCE_DATA": base64.b64encode(output).decode()},
        limit=limit,
        log=f"agent-{group.name}-{agent.id:06d}_{hook}",
    )


def converge_run(group: AgentGroup, number: int) -> HookRun:
    """The run that prints how many agents the group should have."""
    return HookRun(
        id=f"agent_{AgentHook.CONVERGE}_0_{number}",
        kind=None,
        pool=group.name,
        command=group.cmd_converge_to,
        environment={},
        limit=group.cmd_converge_to_timeout,
        log=f"agent-{group.name}_{AgentHook.CONVERGE}",
        output_limit=CONVERGE_OUTPUT_LIMIT,
    )


def parse_run(run: str) -> tuple[AgentHook, int] | None:
    """The hook and the agent (0: none) of a run, by its id; None when it is no run of agents."""
    words = run.split("_")
    return (AgentHook(words[1]), int(words[2])) if words[0] == "agent" else None
