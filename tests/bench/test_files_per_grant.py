"""A grant passes few files, so that its way can be read."""

from pathlib import Path

from tests.bench.files_per_grant import files_per_grant

MOST = 32


def test_a_grant_passes_no_more_files_than_it_did(tmp_path: Path) -> None:
    """Given a waiting spare, when a ticket is granted, then the measurement sees its way, and that is not longer."""
    files = files_per_grant(tmp_path)
    assert {"functions/timed/reconcile.py", "functions/policy/plan/plan.py", "state/files/store.py"} <= {*files}
    assert len(files) <= MOST, files
