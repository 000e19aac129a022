"""Checks a state folder: reads all of it, changes nothing, and reports what does not hold.

Run by hand on a folder at rest (`python -m scheduler fsck`), and by the web beside a living server (`GET /fsck`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from config.pools import Pool
from functions.integrity.invariants import Fault, Inventory, Kind, check
from state.documents import PoolRecord, ResourceState, TicketState, is_number
from state.survey import Survey

PAUSE = 0.5
"""Seconds between two examinations of a running server."""
EXAMINATIONS = 3
_REWRITTEN = "The leading scheduler writes it again."
_KIND_OF_FOLDER = {
    "tickets/open": "tickets",
    "tickets/done": "tickets",
    "resources/live": "resources",
    "resources/ended": "resources",
}


def examine(found: Survey, log_dir: Path | None) -> list[Fault]:
    """Every fault and note of a store, faults first. The hooks' logs show which resources were started."""
    inventory = inventory_of(found, started_resources(found, log_dir))
    faults = [*_faults_of_files(found), *_missing_pools(found), *_missing_agents(found), *check(inventory)]
    return sorted(faults, key=lambda fault: (fault.is_note, fault.file, fault.sentence))


def examine_living(examine_once: Callable[[], list[Fault]], sleep: Callable[[float], None]) -> list[Fault]:
    """The faults of a running server: those that each of three examinations finds.

    A document that changes while it is read looks wrong for a moment.
    """
    faults = examine_once()
    for _ in range(EXAMINATIONS - 1):
        if not faults:
            break
        sleep(PAUSE)
        again = {(fault.kind, fault.file) for fault in examine_once()}
        faults = [fault for fault in faults if (fault.kind, fault.file) in again]
    return faults


def as_lines(faults: list[Fault]) -> list[str]:
    """One line for each fault and note, then their numbers."""
    notes = sum(fault.is_note for fault in faults)
    return [*map(str, faults), f"faults: {len(faults) - notes}, notes: {notes}"]


def as_json(faults: list[Fault]) -> dict[str, list[Fault]]:
    """The faults and the notes, as JSON shows them."""
    return {
        "faults": [fault for fault in faults if not fault.is_note],
        "notes": [fault for fault in faults if fault.is_note],
    }


def inventory_of(found: Survey, was_started: set[int]) -> Inventory:
    """The inventory that the invariants are checked on."""
    return Inventory(
        tickets=found.tickets,
        done=found.done,
        resources=found.resources,
        ended=found.ended,
        records=found.records,
        intents=found.intents,
        keys=found.keys,
        pools={record.name: pool for record in found.records.values() if (pool := _options(record)) is not None},
        ceilings=found.ceilings,
        lost=frozenset(_unreadable_documents(found)),
        forgotten=_Forgotten(found),
        runs=found.runs,
        agents=_agents(found),
        started=was_started,
        known_to_clients=found.shown_waiting,
        in_events={(kind, number) for kind, number in found.happened if kind != "agents"},
    )


class _Forgotten:
    """The tickets and resources that were removed after their retention."""

    def __init__(self, found: Survey) -> None:
        self._found = found

    def __contains__(self, item: Any) -> bool:
        kind, number = item
        return self._found.is_forgotten(kind, number)


def _options(record: PoolRecord) -> Pool | None:
    if not record.configured:
        return None
    try:
        return msgspec.convert(record.options, Pool)
    except msgspec.ValidationError:
        return None


def started_resources(found: Survey, log_dir: Path | None) -> set[int]:
    """Ids of resources for which `cmd_new` was started since the store was made, from the names of the hooks' logs."""
    if log_dir is None or found.made_at is None:
        return set()
    try:
        logs = [path for path in (log_dir / "hooks").iterdir() if path.name.endswith("_alloc")]
        return {_number(path.name) for path in logs if path.stat().st_mtime > found.made_at} - {0}
    except OSError:
        return set()


def _number(log: str) -> int:
    """The resource's id in the name of a hook's log; 0 without one."""
    number = log.partition("_")[0]
    return int(number) if is_number(number) else 0


def _unreadable_documents(found: Survey) -> Iterator[tuple[str, int]]:
    """The tickets and resources that exist only as a document in quarantine or one that cannot be read."""
    present = _present(found)
    for copy in found.quarantined:
        if copy.folder in _KIND_OF_FOLDER and is_number(copy.key) and (copy.folder, copy.key) not in present:
            yield _KIND_OF_FOLDER[copy.folder], int(copy.key)
    for file in (*found.corrupt, *found.unreadable, *found.newer):
        kind, _, rest = file.partition("/")
        number = rest.rpartition("/")[2].removesuffix(".json")
        if kind in ("tickets", "resources") and is_number(number):
            yield kind, int(number)


def _present(found: Survey) -> set[tuple[str, str]]:
    """(folder, key) of all documents that are somewhere, under each folder from which they could be in quarantine."""
    tickets = {str(ticket.id) for each in (found.tickets, found.done) for ticket in each.values()}
    resources = {str(resource.id) for each in (found.resources, found.ended) for resource in each.values()}
    present = {(folder, key) for folder in ("tickets/open", "tickets/done") for key in tickets}
    present |= {(folder, key) for folder in ("resources/live", "resources/ended") for key in resources}
    # An agent whose ticket is settled has ended: its document is removed.
    agents = {str(document.id) for each in (found.agents, found.done) for document in each.values()}
    present |= {("agents", key) for key in agents}
    return present | {("pools", record.name) for record in found.records.values()}


def _faults_of_files(found: Survey) -> Iterator[Fault]:
    for file, why in found.corrupt.items():
        yield Fault(Kind.DAMAGED, file, f"it is corrupt: {why}", _repair_of_damage(file))
    for file, why in found.unreadable.items():
        repair = "Correct its permissions or repair the disk; or put a restored copy in its place."
        yield Fault(Kind.UNREADABLE, file, f"the system refuses to read it: {why}", repair)
    for file, why in found.newer.items():
        yield Fault(Kind.NEWER, file, why, "Nothing changes it before that version runs again.")
    for file, why in found.wrong.items():
        yield Fault(_kind_of(file), file, why, _repair_of_wrong(file))
    yield from _faults_of_quarantine(found)
    for file in found.staged:
        yield Fault(
            Kind.LEFTOVER,
            file,
            "it is left over from a write that did not finish",
            "The cleanup of the scheduler removes it.",
        )
    for file, why in found.garbled.items():
        yield Fault(Kind.GARBLED, file, why, _REWRITTEN if file.startswith("view/") else "Readers skip it.")
    for file in found.strays:
        yield Fault(Kind.STRAY, file, "it is no document", "Nothing reads it; it can be removed.")


def _faults_of_quarantine(found: Survey) -> Iterator[Fault]:
    present = _present(found)
    for copy in found.quarantined:
        name, was = copy.place, copy.origin
        documents = copy.folder.startswith(("tickets/o", "tickets/d", "resources/", "agents"))
        if not documents or (copy.folder, copy.key) in present:
            sentence = f"it is a copy of {was}, which was corrupt; nothing is missing"
            yield Fault(Kind.KEPT, name, sentence, "It can be removed.")
            continue
        sentence = f"{was} was corrupt, and there is no other copy"
        repair = "Correct it and move it back, or let `fsck --repair` recover what it can; else remove it."
        yield Fault(Kind.QUARANTINED, name, sentence, repair)


def _missing_pools(found: Survey) -> Iterator[Fault]:
    users: dict[str, int] = {}
    for resource in found.resources.values():
        if resource.state is not ResourceState.ENDED:
            users.setdefault(f"pools/{resource.pool}.json", resource.id)
    existing = {*found.records, *found.corrupt, *found.unreadable, *found.newer}
    existing |= {f"pools/{copy.key}.json" for copy in found.quarantined if copy.folder == "pools"}
    for file in sorted(users.keys() - existing):
        sentence = f"it is missing, although resource {users[file]} belongs to this pool"
        repair = "A scheduler creates it again from pools.yaml; repeat what operators had set, such as a pause."
        yield Fault(Kind.MISSING_POOL, file, sentence, repair)


def _missing_agents(found: Survey) -> Iterator[Fault]:
    kept = _agents(found)
    for ticket in found.tickets.values():
        if ("agents", ticket.id) in found.happened and ticket.state is TicketState.OPEN and ticket.id not in kept:
            sentence = f"there is no agent {ticket.id}, although an event names it and its ticket is open"
            repair = f"Close ticket {ticket.id} as soon as its machine is idle."
            yield Fault(Kind.MISSING_AGENT, f"agents/{ticket.id}.json", sentence, repair)


def _agents(found: Survey) -> set[int]:
    """The agents with a document, whether it can be read or not."""
    files = (*found.agents, *found.corrupt, *found.unreadable, *found.newer)
    names = [file.removeprefix("agents/").removesuffix(".json") for file in files if file.startswith("agents/")]
    names += [copy.key for copy in found.quarantined if copy.folder == "agents"]
    return {int(name) for name in names if is_number(name)}


def _kind_of(file: str) -> Kind:
    if file == "FORMAT":
        return Kind.FORMAT
    if file.endswith("/"):
        return Kind.FOLDER
    return Kind.COUNTER if file.startswith("ids/") else Kind.DAMAGED


def _repair_of_wrong(file: str) -> str:
    folder, _, name = file.partition("/")
    if folder == "view" and name:
        return _REWRITTEN
    if folder == "runs" and name:
        return "The leading scheduler removes it, and its run counts as cut off."
    return "`fsck --repair` repairs it, and so does the leading scheduler."


def _repair_of_damage(file: str) -> str:
    if file.startswith("runs/"):
        return "The next scheduler that starts ends this run, which counts as cut off."
    if file.startswith(("tickets/open", "resources/live", "pools", "intents", "agents")):
        return "The leading scheduler moves it to quarantine/ and continues with the last good version, if it has one."
    return "The leading scheduler moves it to quarantine/."
