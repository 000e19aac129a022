"""What a hook sees: the RESALLOC_* variables of its run (SEMANTICS: "What a hook sees")."""

import base64

from config.pools import Pool
from functions.policy.transitions.resource import run_id
from functions.timed.hooks import HookRun
from state.documents import HookKind, Resource

LIST_OUTPUT_LIMIT = 1024 * 1024
"""Bytes of `cmd_list` output that are read."""
UNKNOWN_DELETE_LIMIT = 120.0
"""Seconds that `cmd_delete` of an unknown name may take."""


def variables(resource: Resource, with_data: bool) -> dict[str, str]:
    """The variables for a hook of this resource; data only where the hook may need it and there is some."""
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


def unknown_variables(pool: str, name: str) -> dict[str, str]:
    """The variables for a hook that belongs to no resource: the list, and the delete of a name found by it."""
    return {
        "RESALLOC_ID": "0",
        "RESALLOC_NAME": name,
        "RESALLOC_POOL_ID": pool,
        "RESALLOC_ID_IN_POOL": "None",
    }


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
        environment=variables(resource, with_data=kind is not HookKind.ALLOC),
        limit=limit,
        log=f"{resource.id:06d}_{kind}",
        output_limit=output_limit if kind is HookKind.ALLOC else None,
    )


def list_run(pool: Pool, number: int) -> HookRun:
    """The run that prints the names of all that exists in a pool."""
    return HookRun(
        id=run_id(0, HookKind.LIST, number),
        kind=HookKind.LIST,
        pool=pool.name,
        command=pool.cmd_list or "true",
        environment=unknown_variables(pool.name, "None"),
        limit=pool.cmd_list_timeout,
        log="000000_list",
        output_limit=LIST_OUTPUT_LIMIT,
    )


def unknown_delete_run(pool: Pool, name: str, number: int) -> HookRun:
    """The run that disposes of a name that `cmd_list` printed and that belongs to no resource."""
    return HookRun(
        id=run_id(0, HookKind.TERMINATE, number),
        kind=HookKind.TERMINATE,
        pool=pool.name,
        command=pool.cmd_delete,
        environment=unknown_variables(pool.name, name),
        limit=min(UNKNOWN_DELETE_LIMIT, pool.cmd_delete_timeout),
        log="000000_terminate",
    )
