"""Hook runs: what a timed function starts, what the hook sees, and what runs it.

The variables are those of `docs/semantics.md` ("What a hook sees"). The scheduler passes in the runner.
"""

import base64
from collections.abc import Collection
from typing import Protocol

import msgspec

from config.agents import AgentGroup
from config.pools import Pool
from functions.policy.transitions.outcome import Outcome
from functions.policy.transitions.run_id import AgentHook, Consumer, RunId
from state.documents import Agent, HookKind, Resource

LIST_OUTPUT_LIMIT = 1024 * 1024
"""Bytes of `cmd_list` output that are read."""
UNKNOWN_DELETE_LIMIT = 120.0
"""Seconds that `cmd_delete` of an unknown name may take."""
CONVERGE_OUTPUT_LIMIT = 1024
"""Bytes that `cmd_converge_to` may print."""


class HookRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run to start: `command` by /bin/sh with `environment`, ended after `limit` seconds.

    `id` is the text of a RunId. `kind` is None for the hooks of agents; `pool` is then their group. `log` is the name
    of the log file. With `output_limit` (bytes) the standard output is kept up to that size; printing more ends the
    run.
    """

    id: str
    kind: HookKind | None
    pool: str
    command: str
    environment: dict[str, str]
    limit: float
    log: str
    output_limit: int | None = None


class RunNumbers:
    """Numbers for the ids of runs, unique even after a restart: times in milliseconds."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now: float) -> int:
        """A number higher than all before; `now` is in Unix seconds."""
        self._last = max(self._last + 1, int(now * 1000))
        return self._last


class HookRunner(Protocol):
    """Starts runs and returns their outcomes."""

    def start(self, run: HookRun) -> None:
        """Start a run. A run that cannot be started has an outcome too."""

    def finished(self, consumer: Consumer | None = None) -> list[tuple[HookRun, Outcome]]:
        """Ended runs (of one consumer), each until it is forgotten."""

    def forget(self, run: str) -> None:
        """Delete what is kept of a run: its outcome has been recorded."""

    def under_way(self, kind: HookKind | None = None) -> Collection[str]:
        """Ids of the runs (of a kind) that were started and not forgotten."""


def resource_run(resource: Resource, pool: Pool, kind: HookKind, run: str, output_limit: int) -> HookRun:
    """The alloc, watch, release or terminate run of a resource."""
    command, limit = {
        HookKind.ALLOC: (pool.cmd_new, pool.cmd_new_timeout),
        HookKind.WATCH: (pool.cmd_livecheck, pool.cmd_livecheck_timeout),
        HookKind.RELEASE: (pool.cmd_release, pool.cmd_release_timeout),
        HookKind.TERMINATE: (pool.cmd_delete, pool.cmd_delete_timeout),
    }[kind]
    return HookRun(
        id=run,
        kind=kind,
        pool=pool.name,
        command=command or "true",
        environment=_variables(resource, with_data=kind is not HookKind.ALLOC),
        limit=limit,
        log=f"{resource.id:06d}_{kind}",
        output_limit=output_limit if kind is HookKind.ALLOC else None,
    )


def list_run(pool: Pool, number: int) -> HookRun:
    """The run that prints the names of all existing resources of a pool."""
    return HookRun(
        id=str(RunId(HookKind.LIST, 0, number)),
        kind=HookKind.LIST,
        pool=pool.name,
        command=pool.cmd_list or "true",
        environment=_unknown_variables(pool.name, "None"),
        limit=pool.cmd_list_timeout,
        log="000000_list",
        output_limit=LIST_OUTPUT_LIMIT,
    )


def unknown_delete_run(pool: Pool, name: str, number: int) -> HookRun:
    """The run that deletes a name that `cmd_list` printed and that belongs to no resource."""
    return HookRun(
        id=str(RunId(HookKind.TERMINATE, 0, number)),
        kind=HookKind.TERMINATE,
        pool=pool.name,
        command=pool.cmd_delete,
        environment=_unknown_variables(pool.name, name),
        limit=min(UNKNOWN_DELETE_LIMIT, pool.cmd_delete_timeout),
        log="000000_terminate",
    )


def agent_run(agent: Agent, group: AgentGroup, hook: AgentHook, output: bytes, number: int) -> HookRun:
    """A run for one agent; `output` is that of its ticket, `number` makes the id unique."""
    command, limit = {
        AgentHook.PREPARE: (group.cmd_prepare, group.cmd_prepare_timeout),
        AgentHook.CHECK: (group.cmd_check_finished, group.cmd_check_finished_timeout),
        AgentHook.RELEASE: (group.cmd_try_release, group.cmd_try_release_timeout),
        AgentHook.TERMINATE: (group.cmd_terminate, group.cmd_terminate_timeout),
    }[hook]
    return HookRun(
        id=str(RunId(hook, agent.id, number)),
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
        id=str(RunId(AgentHook.CONVERGE, 0, number)),
        kind=None,
        pool=group.name,
        command=group.cmd_converge_to,
        environment={},
        limit=group.cmd_converge_to_timeout,
        log=f"agent-{group.name}_{AgentHook.CONVERGE}",
        output_limit=CONVERGE_OUTPUT_LIMIT,
    )


def _variables(resource: Resource, with_data: bool) -> dict[str, str]:
    """The variables for a hook of this resource, with the resource's data if there is any and the hook may need it."""
    environment = {
        "RESALLOC_ID": str(resource.id),
        "RESALLOC_NAME": resource.name,
        "RESALLOC_POOL_ID": resource.pool,
        "RESALLOC_ID_IN_POOL": str(resource.id_in_pool),
    }
    for name, value in resource.counters.items():
        environment[f"RESALLOC_NAMED_COUNTER_{name}"] = str(value)
    if with_data and resource.data:
        environment["RESALLOC_RESOURCE_DATA"] = base64.b64encode(resource.data).decode()
    return environment


def _unknown_variables(pool: str, name: str) -> dict[str, str]:
    """The variables for a hook that belongs to no resource: a list, or the delete of a name that it printed."""
    return {
        "RESALLOC_ID": "0",
        "RESALLOC_NAME": name,
        "RESALLOC_POOL_ID": pool,
        "RESALLOC_ID_IN_POOL": "None",
    }
