"""What a line of the log is about, in fields for programs: `log.info("ticket %d: ...", extra=of_ticket(ticket))`."""

from typing import Protocol

from config.errors import Problem
from functions.policy.transitions.run_id import Consumer, find_run_id
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


class _Run(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def pool(self) -> str: ...


def of_run(run: _Run) -> Fields:
    """A hook run, its resource or agent, and its pool or group of agents."""
    found = find_run_id(run.id)
    is_agent = found is not None and found.consumer is Consumer.AGENTS
    return of_run_id(run.id) | {"group" if is_agent else "pool": run.pool}


def of_run_id(run_id: str) -> Fields:
    """The hook run with this id, and its resource or agent."""
    fields: Fields = {"run": run_id}
    found = find_run_id(run_id)
    if found is None or not found.subject:
        return fields
    if found.consumer is Consumer.AGENTS:
        return fields | {"agent": found.subject, "ticket": found.subject}
    return fields | {"resource": found.subject}


def of_problem(problem: Problem) -> Fields:
    """The pool, or the group of agents, that is described wrongly."""
    if problem.where is None:
        return {}
    return of_pool(problem.where) if problem.part == "pool" else of_group(problem.where)


def of_place(place: str) -> Fields:
    """The document that is, or should be, at a place of the store such as `tickets/open/42`."""
    *folders, key = place.split("/")
    folder = next((part for part in reversed(folders) if part in _FOLDERS), None)
    if folder == "pools":
        return of_pool(key)
    number = _number(key)
    if folder is None or not number:
        return {}
    return {"agent": number, "ticket": number} if folder == "agents" else {_FOLDERS[folder]: number}


def of_request(method_and_path: str) -> Fields:
    """A request such as `GET /tickets/42/wait`, and the ticket or resource that it is about, if it gives a number."""
    method, _, path = method_and_path.partition(" ")
    fields: Fields = {"method": method, "path": path}
    _, folder, key, *_ = [*path.split("/"), "", ""]
    number = _number(key)
    return fields | {_FOLDERS[folder]: number} if folder in _FOLDERS and number else fields


def _number(word: str) -> int | None:
    """The number that a word is, None for one that no document can have."""
    return int(word) if word.isascii() and word.isdigit() and len(word) < 18 else None
