import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from config.settings import Settings
from functions.app import create_app
from state.documents import PoolRecord, Resource, ResourceState, Ticket, TicketState
from state.files.store import FileStore
from state.store import Batch, Put


class Scheduler:
    """Changes documents as the leading scheduler would."""

    def __init__(self, store: FileStore) -> None:
        self.store = store

    def put(self, *documents: Any) -> None:
        self.store.commit(Batch([Put(document) for document in documents]))

    def resource(self, number: int = 1, **fields: Any) -> Resource:
        defaults = {"name": f"p_{number:08d}", "pool": "p", "state": ResourceState.UP, "data": b"10.0.0.1\n"}
        resource = Resource(id=number, **{**defaults, **fields})
        self.put(resource)
        return resource

    def ended(self, number: int, **fields: Any) -> None:
        self.resource(number, state=ResourceState.ENDED, **fields)
        self.store.resources.archive_all([number])

    def record(self, name: str = "p", **fields: Any) -> None:
        self.put(PoolRecord(name=name, **fields))

    def assign(self, ticket: int, output: bytes = b"10.0.0.1\n", resource: int = 1, **fields: Any) -> Ticket:
        changes = {"resource": resource, "resource_name": f"p_{resource:08d}", "pool": "p", "output": output}
        return self.store.tickets.update(ticket, lambda found: found.replace(**changes | {"assigned_at": 5.0} | fields))

    def fail(self, ticket: int, reason: str = "its resource died") -> Ticket:
        return self.store.tickets.update(
            ticket, lambda found: found.replace(state=TicketState.FAILED, failed_at=6.0, reason=reason)
        )

    def settle(self, ticket: int) -> None:
        self.store.tickets.archive_all([ticket])

    def show_pools(self, *pools: dict[str, Any], **fields: Any) -> None:
        shown = {"at": 1.0, "leader": {"pid": 1, "since": 1.0}, "pools": pools, **fields}
        self.store.show("pools.json", msgspec.json.encode(shown))

    def show_waiting(self, *groups: dict[str, Any], at: float | None = None, **fields: Any) -> None:
        """Each group has `tags`, `ids` and the fields of its case (`why`, `pools`, ...); `at` is now by default."""
        cases = [
            {"brief": group.get("why", ""), **{name: group[name] for name in group.keys() - {"tags", "ids"}}}
            for group in groups
        ]
        shown = [{"tags": group["tags"], "ids": group["ids"], "case": case} for case, group in enumerate(groups)]
        view = {"at": time.time() if at is None else at, "cases": cases, "groups": shown, **fields}
        self.store.show("waiting.json", msgspec.json.encode(view))

    def show_metrics(self, *families: list[Any], **fields: Any) -> None:
        self.store.show("metrics.json", msgspec.json.encode({"families": families, **fields}))

    @contextmanager
    def leading(self) -> Iterator[None]:
        lease = self.store.lead()
        lease.acquire()
        try:
            yield
        finally:
            lease.release()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        config_dir=tmp_path, pools_file=tmp_path / "pools.yaml", state_dir=tmp_path / "state", log_dir=tmp_path / "log"
    )


@pytest.fixture
def store(settings: Settings) -> FileStore:
    return FileStore(settings.state_dir)


@pytest.fixture
def app(settings: Settings, store: FileStore) -> Flask:
    return create_app(settings, store)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def scheduler(store: FileStore) -> Scheduler:
    return Scheduler(store)


@pytest.fixture
def ticket(client: FlaskClient) -> int:
    """A new ticket with the tag A."""
    return int(client.post("/tickets", data={"tag": "A"}).text)
