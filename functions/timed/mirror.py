"""The mirror: the leader's in-memory copy of the documents, and what it knows of them that is not on disk yet.

It reads and writes no files; `leader.py` fills it. Everything in it can be rebuilt from the state folder.
"""

from collections.abc import Iterable, Sequence

from functions.policy.snapshot.snapshot import Snapshot
from state.documents import Agent, Document, PoolRecord, Resource, ResourceState, Ticket


class Mirror:
    """The documents as the leader knows them. `snapshot` holds what the policy decides about."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.agents: dict[int, Agent] = {}
        self.finished_tickets: set[int] = set()
        """Settled tickets that are not archived yet."""
        self.finished_resources: set[int] = set()
        """ENDED resources that are not archived yet."""
        self.not_archived: dict[str, str] = {}
        """Archive folders that cannot be written to, each with the reason."""
        self.written_records: dict[str, PoolRecord] = {}
        """Pools with unwritten statistics, each with the record that is on disk."""
        self.taken_times: dict[str, list[float]] = {}
        """By pool: how long (seconds) tickets kept its resources, as far as no record includes it yet."""
        self.may_miss_runs = False
        """Whether documents may name hook runs that do not exist: all were read again since the last search."""
        self.changed = True
        """Whether anything changed that the views show, since they were last written."""
        self._touched: dict[int, Resource] = {}

    def put(self, document: Document) -> None:
        """Add a document that was just written or read, or replace its older version."""
        self.changed = True
        match document:
            case Ticket():
                self.snapshot.put_ticket(document)
            case Resource(state=ResourceState.ENDED):
                self.snapshot.drop_resource(document.id)
                self.finished_resources.add(document.id)
            case Resource():
                self.snapshot.put_resource(document)
                self.touch(document)
            case PoolRecord():
                self.written_records.pop(document.name, None)
                self.snapshot.put_record(document)
            case Agent():
                self.agents[document.id] = document

    def touch(self, resource: Resource) -> None:
        """Mark the resource so that its next livecheck is rescheduled."""
        self._touched[resource.id] = resource

    def touched(self) -> list[Resource]:
        """The resources that were put or touched since the last call."""
        touched, self._touched = self._touched, {}
        return list(touched.values())

    def forget_tickets(self, tickets: Iterable[int]) -> None:
        """Remove tickets from the mirror."""
        for ticket in tickets:
            self.changed = True
            self.snapshot.drop_ticket(ticket)

    def finish_tickets(self, tickets: Sequence[int]) -> None:
        """Remove settled tickets from the snapshot; only their archiving is left to do."""
        self.finished_tickets.update(tickets)
        self.forget_tickets(tickets)
