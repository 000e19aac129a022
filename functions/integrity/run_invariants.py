"""What must hold of hook runs: each belongs to somebody, and whoever waits for one waits for the right one."""

import re
from collections.abc import Iterator

from functions.integrity.faults import BY_FSCK, BY_NEXT_PASS, Fault, Kind
from functions.integrity.inventory import Inventory
from state.documents import HookKind, ResourceState

RUN_OF = {
    ResourceState.STARTING: HookKind.ALLOC,
    ResourceState.RELEASING: HookKind.RELEASE,
    ResourceState.DELETING: HookKind.TERMINATE,
}
"""The hook that a resource in this state waits for; in any other it waits for none."""
_RUN = re.compile(rf"(\d{{6,}})_({'|'.join(HookKind)})_\d+")
_AGENTS_RUN = re.compile(r"agent_[a-z]+_(\d+)_\d+")


def of_resources(inventory: Inventory) -> Iterator[Fault]:
    """Resources wait for the run that their state says, and for no other."""
    for file, resource in {**inventory.resources, **inventory.ended}.items():
        wanted = RUN_OF.get(resource.state)
        run = resource.run
        if wanted is not None and (run is None or run.kind is not wanted):
            sentence = f"resource {resource.id} is {resource.state} and waits for no {wanted} run"
            yield Fault(Kind.WRONG_RUN, file, sentence, f"It must count as cut off: {BY_FSCK}")
        elif wanted is None and run is not None:
            sentence = f"resource {resource.id} is {resource.state} and waits for the run {run.id}"
            yield Fault(Kind.WRONG_RUN, file, sentence, f"That must be taken out of it: {BY_FSCK}")


def owners(inventory: Inventory) -> Iterator[Fault]:
    """No run is older than what it is for."""
    if inventory.runs is None:
        return
    living = {resource.id: resource for resource in inventory.resources.values()}
    for name, goes_on in inventory.runs.items():
        number, kind = _parsed(name)
        if number is None:
            yield from _owner_of_agents_run(inventory, name, goes_on)
        if number is None or number == 0:
            continue
        resource = living.get(number)
        waits = resource is not None and resource.run is not None and resource.run.id == name
        # A livecheck that hangs may outlast its resource.
        watches = kind == HookKind.WATCH and (resource is not None or goes_on)
        if waits or watches or ("resources", number) in inventory.lost:
            continue
        yield _without_owner(name, f"resource {number}", goes_on)


def _owner_of_agents_run(inventory: Inventory, name: str, goes_on: bool) -> Iterator[Fault]:
    found = _AGENTS_RUN.fullmatch(name)
    if found and inventory.agents is not None and int(found[1]) not in (0, *inventory.agents):
        yield _without_owner(name, f"agent {int(found[1])}", goes_on)


def _without_owner(run: str, owner: str, goes_on: bool) -> Fault:
    file = f"runs/{run}.run"
    if goes_on:
        sentence = f"a hook of {owner} runs, and no document waits for it"
        return Fault(Kind.LONELY_RUN, file, sentence, f"End it: kill -- -$(cat runs/{run}.group).")
    sentence = f"run {run} is over, and no document waits for it"
    return Fault(Kind.LEFTOVER, file, sentence, f"It must be removed. {BY_NEXT_PASS}")


def _parsed(run: str) -> tuple[int | None, str]:
    """The resource and the kind of a run; None for a run of anything else."""
    found = _RUN.fullmatch(run)
    return (int(found[1]), found[2]) if found else (None, "")
