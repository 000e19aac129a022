"""Checks of a farm after it was broken and had time to recover."""

import os
from collections import Counter
from collections.abc import Iterator

from functions.integrity import invariants
from functions.integrity.invariants import Inventory, Kind
from state.documents import Document, HookKind, PoolMode, ResourceState, TicketState
from state.errors import NotFound, StateError
from state.files.archive import ArchivedFolder
from state.files.folder import Folder
from state.survey import GROUP_SIZE
from tests.chaos.world import World
from tests.events import missing_and_double

Fact = tuple[str, int, object]
"""An acknowledged fact: ("created", ticket, key or None), ("seen", ticket, None), ("closed", ticket, None),
("called bad", ticket, reason): it was closed so, ("granted", ticket, (resource, output)); ("asked", resource, None): it
is to be deleted, ("held", resource, None), ("held no more", resource, None), ("mode", 0, (pool, mode)); and
("tried", 0, key): a ticket was asked for with a key."""
_OF_TICKETS = ("created", "seen", "closed", "called bad", "granted")


def kept(world: World, acknowledged: list[Fact]) -> list[str]:
    """Sentences about acknowledged facts that the documents no longer show."""
    faults = []
    for what, number, detail in acknowledged:
        if what not in _OF_TICKETS:
            continue
        try:
            ticket = world.store.tickets.read(number)
        except NotFound:
            faults.append(f"ticket {number} was {what}, and is not there")
            continue
        if what in ("closed", "called bad") and ticket.state is not TicketState.CLOSED:
            faults.append(f"ticket {number} was closed, and is {ticket.state}")
        if what == "called bad" and ticket.bad != detail:
            faults.append(f"ticket {number} was closed with the word {detail}, and says {ticket.bad}")
        if what == "granted" and (ticket.resource, ticket.output) != detail:
            faults.append(f"ticket {number} had {detail}, and has {(ticket.resource, ticket.output)}")
    return faults


def keeps_keys(world: World, acknowledged: list[Fact]) -> list[str]:
    """Keys that belong to another ticket than the one that was acknowledged; this may create tickets."""
    world.take("A")
    faults = []
    for key in dict.fromkeys(key for what, _, key in acknowledged if what in ("tried", "created") and key is not None):
        found = world.take_once(str(key), "A")
        meant = {number for what, number, known_key in acknowledged if what == "created" and known_key == key}
        if found.sandbox != key or meant - {found.id}:
            faults.append(
                f"{key} belongs to ticket {found.id} of {found.sandbox} now, and was acknowledged as {sorted(meant)}"
            )
    return faults


def reuses_no_number(world: World, acknowledged: list[Fact]) -> list[str]:
    """New documents have higher numbers than all that were acknowledged or passed to hooks; this creates tickets."""
    number = world.take("nobody-has-this").id
    highest = max([number for what, number, _ in acknowledged if what == "created"], default=0)
    faults = [f"ticket {number} comes after ticket {highest} was acknowledged"] if number <= highest else []
    (resource,) = world.store.resources.reserve(1)
    started = max((line["resource"] for line in world.sim.journal()), default=0)
    return faults + ([f"resource {resource} comes after {started} was started"] if resource <= started else [])


def holds(world: World) -> list[str]:
    """The invariants of the folder and of the farm, at rest; faults in words."""
    found = [fault for fault in invariants.check(inventory(world)) if fault.kind not in (Kind.GAP, Kind.OVER_MAX)]
    faults = [f"{fault.kind}: {fault.sentence}" for fault in found]
    faults += [f"left over: {path.relative_to(world.store.root)}" for path in (world.store.root / "tmp").iterdir()]
    faults += [f"in quarantine: {document.place}" for document in world.store.quarantine.list()]
    faults += [*_events(world), *_releases(world)]
    return faults + (_real_farm(world) if world.real else _simulated_farm(world))


def _events(world: World) -> list[str]:
    """Transitions that have no line in the files of events, or more than one."""
    missing, double = missing_and_double(world.store)
    faults = [f"event {number} of {key} has no line" for key, number in missing]
    return faults + [f"event {number} of {key} has more than one line" for key, number in double]


def _releases(world: World) -> list[str]:
    """Resources that were released more often than by each of their closed tickets once."""
    tickets = [*_living(world.store.tickets).values(), *_archive(world.store.tickets).values()]
    closed = Counter(ticket.resource for ticket in tickets if ticket.state is TicketState.CLOSED)
    resources = [*_living(world.store.resources).values(), *_archive(world.store.resources).values()]
    return [
        f"resource {found.id} was released {found.releases_counter} times, by {closed[found.id]} tickets"
        for found in resources
        if found.releases_counter > closed[found.id]
    ]


def inventory(world: World) -> Inventory:
    """The documents in the folder, read anew."""
    store = world.store
    ended = _archive(store.resources)
    resources = _living(store.resources)
    started = {line["resource"] for line in world.sim.journal() if line["kind"] == HookKind.ALLOC}
    runs = dict.fromkeys(world.hooks.under_way(), True) if world.process is not None else None
    return Inventory(
        tickets=_living(store.tickets),
        done=_archive(store.tickets),
        resources=resources,
        ended=ended,
        records=_living(store.pools),
        intents=_living(store.intents),
        pools=dict(world.snapshot.pools) if world.process is not None else {},
        ceilings=_ceilings(world),
        runs=runs,
        started=started - {0},
        forgotten={*_forgotten("tickets", store.tickets), *_forgotten("resources", store.resources)},
    )


def _forgotten(kind: str, collection: ArchivedFolder) -> Iterator[tuple[str, int]]:
    """Numbers in the first subfolder of an archive, which can be removed once there is another one."""
    if len(os.listdir(collection.archive_folder)) > 1 or not (collection.archive_folder / "0").is_dir():
        yield from ((kind, number) for number in range(GROUP_SIZE))


def _living(collection: Folder) -> dict[str, Document]:
    return {
        str(collection.path(key).relative_to(_root(collection))): collection.get(key) for key in collection.living()
    }


def _archive(collection: ArchivedFolder) -> dict[str, Document]:
    keys = collection.archived()
    paths = [(key, collection.archive_path(key)) for key in keys]
    return {str(path.relative_to(_root(collection))): collection.form.from_json(path.read_bytes()) for _, path in paths}


def _root(collection: Folder) -> object:
    return (
        collection.folder.parents[1]
        if collection.folder.parent.name in ("tickets", "resources")
        else collection.folder.parent
    )


def _ceilings(world: World) -> dict[str, int]:
    found = {}
    for name in ("tickets", "resources"):
        path = world.store.root / "ids" / f"{name}.ceiling"
        if path.exists() and path.read_text():
            found[name] = int(path.read_text())
    return found


def _simulated_farm(world: World) -> list[str]:
    journal, things = world.sim.journal(), world.sim.things()
    faults = []
    for line in journal:
        if line["kind"] == HookKind.TERMINATE and line["holders"]:
            faults.append(f"cmd_delete of {line['name']} ran while ticket {line['holders']} had it")
    runs = Counter(line["run"] for line in journal if line["kind"] in (HookKind.ALLOC, HookKind.RELEASE))
    faults += [f"run {run} was started {times} times" for run, times in runs.items() if times > 1]
    living = world.snapshot.resources.values()
    faults += [f"{name} exists, and no document knows it" for name in sorted(things - {found.name for found in living})]
    present = {found.name for found in living if found.state is ResourceState.UP}
    faults += [f"{name} is UP, and does not exist" for name in sorted(present - things)]
    return faults


def _real_farm(world: World) -> list[str]:
    """The pools of real farms note what their hooks do in `made` and `deleted`."""
    made, deleted = (_lines(world, name) for name in ("made", "deleted"))
    living = {found.name for found in world.snapshot.resources.values()}
    faults = [f"{name} exists, and no document knows it" for name in sorted(set(made) - living - set(deleted))]
    faults += [f"{name} was made {times} times" for name, times in Counter(made).items() if times > 1]
    up = {found.name for found in world.snapshot.resources.values() if found.state is ResourceState.UP}
    faults += [f"{name} is UP, and was deleted" for name in sorted(up & set(deleted))]
    return faults + [f"left over: runs/{path.name}" for path in (world.store.root / "runs").iterdir()]


def _lines(world: World, name: str) -> list[str]:
    path = world.config / name
    return path.read_text().split() if path.exists() else []


def lives(world: World, acknowledged: list[Fact]) -> list[str]:
    """Faults unless every ticket that a pool can serve is served and every intent is fulfilled by now."""
    faults = []
    snapshot = world.snapshot
    for ticket in snapshot.tickets.values():
        active = [pool for pool in snapshot.pools.values() if snapshot.records[pool.name].mode is PoolMode.ACTIVE]
        able = [pool for pool in active if set(ticket.tags) <= set(pool.offers)]
        if ticket.waiting and any(snapshot.by_pool.living[pool.name] < pool.max for pool in able):
            faults.append(f"ticket {ticket.id} waits, and there is room")
    for what, number, detail in acknowledged:
        resource = snapshot.resources.get(number)
        if what == "called bad":
            resource = snapshot.resources.get(world.store.tickets.read(number).resource or 0)
        stays = resource is not None and resource.state is ResourceState.UP
        held = resource is not None and resource.held
        if what in ("asked", "called bad") and stays and not held:
            faults.append(f"{what} {number}: its resource was to be deleted, and is not")
        if what in ("held", "held no more") and held is not (what == "held"):
            faults.append(f"resource {number} was {what}, and is {'held' if held else 'not'}")
        if what == "mode":
            pool, mode = detail  # type: ignore[misc]
            if snapshot.records[pool].mode is not mode:
                faults.append(f"pool {pool} was to be {mode}, and is {snapshot.records[pool].mode}")
    return faults


def whole(world: World) -> list[str]:
    """Documents that are not whole, in any folder; the check does not touch them."""
    faults = []
    store = world.store
    for collection in (store.tickets, store.resources, store.pools, store.intents, store.agents):
        for key in collection.living():
            try:
                collection.get(key)
            except StateError as fault:
                faults.append(f"half: {fault}")
    for archived in (store.tickets, store.resources):
        for key in archived.archived():
            try:
                archived.form.from_json(archived.archive_path(key).read_bytes())
            except Exception as fault:
                faults.append(f"half: {archived.archive_path(key)}: {fault}")
    return faults
