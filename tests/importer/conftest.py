"""Databases of the old server: one in SQLite for each test, and a private PostgreSQL server."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.importer.old import Old, new_postgres, new_sqlite

SECONDS = 60
"""How long each step of starting and stopping PostgreSQL may take."""
_databases = count(1)


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Old]:
    """An empty SQLite database that a running server has open."""
    old = new_sqlite(tmp_path / "db.sqlite")
    yield old
    old.connection.close()


@pytest.fixture
def old_in_postgres(postgres_folder: Path) -> Iterator[Old]:
    """An empty database in a real PostgreSQL server."""
    old = new_postgres(postgres_folder, f"resalloc{next(_databases)}")
    yield old
    old.connection.close()


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """The folder of the socket of a PostgreSQL server; its user `test` needs no password."""
    pytest.importorskip("psycopg", reason="POSTGRESQL IS NOT TESTED: install the extra postgres (psycopg)")
    programs = _programs()
    if programs is None:
        pytest.skip("POSTGRESQL IS NOT TESTED: install the Debian package postgresql")
    # A short path, for that of a socket may have 107 bytes only; not pytest's, which other users cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="resalloc-pg-", dir="/tmp"))
    as_user = _as_other_user(folder)
    data, log = str(folder / "data"), str(folder / "log")
    server = f"-k {folder} -c listen_addresses='' -c fsync=off"

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), "-D", data, *arguments]
        # Files instead of pipes: the server inherits them and would keep a pipe open.
        with open(folder / "output", "ab") as output:
            done = subprocess.run(command, check=False, stdout=output, stderr=output, cwd=folder, timeout=SECONDS)
        assert done.returncode == 0, (folder / "output").read_text()

    try:
        run("initdb", "-U", "test", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        run("pg_ctl", "start", "-w", "-t", str(SECONDS // 2), "-l", log, "-o", server)
        try:
            yield folder
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


def _programs() -> Path | None:
    """The folder of `initdb` and the other programs of the server."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


def _as_other_user(folder: Path) -> list[str]:
    """What to put before a command, as PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    user = "nobody"
    shutil.chown(folder, user)
    return ["runuser", "-u", user, "--"]
