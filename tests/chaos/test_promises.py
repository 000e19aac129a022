"""A process makes what another one wrote durable before it reports it."""

from pathlib import Path

import pytest

from config.settings import Settings
from functions.app import create_app
from state.documents import Ticket
from state.files.store import FileStore
from state.store import Batch, Put
from tests.chaos.disk import meddled
from tests.chaos.faults import Injector

GRANTED = Ticket(id=1, tags=("A",), resource=1, resource_name="vm", pool="p", output=b"10.0.0.1\n", assigned_at=1.0)


@pytest.mark.parametrize("path", ["/tickets/1", "/tickets/1/output", "/tickets/1/wait"])
def test_a_grant_is_synced_before_it_is_reported(path: str, tmp_path: Path) -> None:
    """Given a grant that is not synced yet, when a client asks for it, then it is synced before the reply."""
    store = FileStore(tmp_path / "state")
    store.commit(Batch([Put(GRANTED)]))
    settings = Settings(
        config_dir=tmp_path, pools_file=tmp_path / "pools.yaml", state_dir=store.root, log_dir=tmp_path / "log"
    )
    client = create_app(settings, store).test_client()
    asked = Injector()
    with meddled(store.root, asked):
        assert client.get(path).status_code == 200
    synced = [operation.path for operation in asked.operations if operation.name == "fsync"]
    assert str(store.tickets.folder) in synced
