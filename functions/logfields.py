"""What a line of the log is about, in fields for programs: `log.info("ticket %d: ...", extra=of_ticket(ticket))`."""

from pathlib import Path

from config.errors import Problem
from functions.timed.hooks import HookRun
from state.documents import Agent, Resource, Ticket

Fields = dict[str, object]
_FOLDERS = {"tickets": "ticket", "resources": "resource", "pools": "pool", "agents": "agent"}


def of_ticket(ticket: Ticket) -> Fields:
    """A ticket, and the resource that it has or had."""
    if ticket.resource is None:
        return {"ticket": ticket.id}
    return {"ticket": ticket.id, "resource": ticket.resource, "pool": ticket.pool}


def of_resource(resource: Resource, ticket: Ticket | None = None) -> Fields:
    """A resource, and the ticket that has it, if that is known."""
    fields: Fields = {"resource": resource.id, "pool": resource.pool}
    return fields if ticket is None else {"ticket": ticket.id} | fields


def of_pool(name: str) -> Fields:
    return {"pool": name}


def of_agent(agent: Agent) -> Fields:
    """An agent, whose number is that of its ticket."""
    return {"agent": agent.id, "group": agent.group, "ticket": agent.id}


def of_group(name: str) -> Fields:
    """A group of agents."""
    return {"group": name}


def of_run(run: HookRun) -> Fields:
    """A hook run, and the resource or agent that it is for."""
    return of_run_id(run.id) | ({"group": run.pool} if run.kind is None else {"pool": run.pool})


def of_run_id(run_id: str) -> Fields:
    """The same, as far as its id tells."""
    fields: Fields = {"run": run_id}
    if run_id.startswith("agent_"):
        number = _number([*run_id.split("_"), "", ""][2])
        return fields | {"agent": number, "ticket": number} if number else fields
    number = _number(run_id.partition("_")[0])
    return fields | {"resource": number} if number else fields


def of_problem(problem: Problem) -> Fields:
    """The pool, or the group of agents, that is described wrongly."""
    if problem.where is None:
        return {}
    return of_pool(problem.where) if problem.part == "pool" else of_group(problem.where)


def of_file(path: Path) -> Fields:
    """The document that a file holds, or should hold."""
    folder = next((part for part in reversed(path.parts[:-1]) if part in _FOLDERS), None)
    if folder == "pools":
        return of_pool(path.stem)
    number = _number(path.stem)
    if folder is None or not number:
        return {}
    return {"agent": number, "ticket": number} if folder == "agents" else {_FOLDERS[folder]: number}


def of_request(asked: str) -> Fields:
    """A request such as `GET /tickets/42/wait`, and the ticket or resource that it is about, if it gives a number."""
    method, _, path = asked.partition(" ")
    fields: Fields = {"method": method, "path": path}
    _, folder, key, *_ = [*path.split("/"), "", ""]
    number = _number(key)
    return fields | {_FOLDERS[folder]: number} if folder in _FOLDERS and number else fields


def _number(word: str) -> int | None:
    """The number that a word is, None for one that no document can have."""
    return int(word) if word.isascii() and word.isdigit() and len(word) < 18 else None
