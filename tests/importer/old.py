"""Databases of the old server, for tests: its real schema in SQLite or PostgreSQL, and rows put into it."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SCHEMA = "9d9d3a7f7c8f"
TABLES = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
CREATE TABLE pools (
    name VARCHAR NOT NULL PRIMARY KEY,
    last_start FLOAT,
    cleaning_unknown_resources {time} DEFAULT (CURRENT_TIMESTAMP),
    max INTEGER,
    last_successful_start FLOAT,
    last_attempt_to_start FLOAT,
    startup_success_rate FLOAT,
    startup_time_avg FLOAT
);
CREATE TABLE tickets (
    id {serial} PRIMARY KEY,
    resource_id INTEGER,
    state VARCHAR,
    tid VARCHAR,
    sandbox VARCHAR
);
CREATE INDEX ix_not_closed_tickets ON tickets (state);
CREATE TABLE resources (
    id {serial} PRIMARY KEY,
    name VARCHAR,
    "user" VARCHAR,
    data {bytes},
    pool VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    check_last_time FLOAT,
    check_failed_count INTEGER,
    released_at FLOAT,
    releases_counter INTEGER,
    sandbox VARCHAR,
    sandboxed_since FLOAT,
    ticket_id INTEGER,
    CONSTRAINT uq_ticket_id UNIQUE (ticket_id)
);
CREATE TABLE ticket_tags (id VARCHAR NOT NULL, ticket_id INTEGER NOT NULL, PRIMARY KEY (id, ticket_id));
CREATE TABLE resource_tags (
    id VARCHAR NOT NULL,
    resource_id INTEGER NOT NULL,
    priority INTEGER,
    PRIMARY KEY (id, resource_id)
);
CREATE TABLE ids_within_pool (
    resource_id INTEGER NOT NULL PRIMARY KEY,
    pool_name VARCHAR,
    id INTEGER,
    UNIQUE (id, pool_name)
);
CREATE TABLE named_counters (
    resource_id INTEGER NOT NULL,
    value INTEGER,
    counter_name VARCHAR,
    PRIMARY KEY (counter_name, value)
);
"""


class Old:
    """One database. `url` is what the command line takes."""

    def __init__(self, connection: Any, url: str, placeholder: str) -> None:
        self.connection = connection
        self.url = url
        self._placeholder = placeholder

    def put(self, table: str, **values: object) -> None:
        """Insert one row."""
        self.put_all(table, list(values), [tuple(values.values())])

    def put_all(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        names = ", ".join(f'"{column}"' for column in columns)
        marks = ", ".join([self._placeholder] * len(columns))
        cursor = self.connection.cursor()
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
        self.connection.commit()

    def run(self, statement: str) -> None:
        self.connection.execute(statement)
        self.connection.commit()

    def pool(self, name: str, **values: object) -> None:
        self.put("pools", name=name, **{"last_start": 0.0, "cleaning_unknown_resources": None} | values)

    def ticket(self, id: int, state: str = "OPEN", tags: Sequence[str] = (), **values: object) -> None:
        self.put("tickets", id=id, state=state, **values)
        for tag in tags:
            self.put("ticket_tags", id=tag, ticket_id=id)

    def resource(
        self,
        id: int,
        state: str = "UP",
        tags: dict[str, int | None] | None = None,
        number: int | None = 0,
        **values: Any,
    ) -> None:
        """A resource, with `number` as its id within the pool (None: no row)."""
        defaults = {"name": f"vm_{id:08d}", "pool": "vm", "releases_counter": 0, "check_failed_count": 0}
        self.put("resources", id=id, state=state, **defaults | values)
        for tag, priority in (tags or {}).items():
            self.put("resource_tags", id=tag, resource_id=id, priority=priority)
        if number is not None and state != "ENDED":
            pool = values.get("pool", "vm")
            self.put("ids_within_pool", resource_id=id, pool_name=pool, id=number)


def new_sqlite(path: Path, schema: str = SCHEMA) -> Old:
    """A new SQLite database in WAL mode, held open as a running server would."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(TABLES.format(time="DATETIME", serial="INTEGER NOT NULL", bytes="BLOB"))
    old = Old(connection, str(path), "?")
    old.put("alembic_version", version_num=schema)
    return old


def new_postgres(folder: Path, name: str) -> Old:
    """A new database of the PostgreSQL server whose socket is in `folder`."""
    import psycopg

    with psycopg.connect(f"postgresql://test@/postgres?host={folder}", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = f"postgresql://test@/{name}?host={folder}"
    old = Old(psycopg.connect(url), url, "%s")
    old.run(TABLES.format(time="TIMESTAMP WITHOUT TIME ZONE", serial="SERIAL", bytes="BYTEA"))
    old.put("alembic_version", version_num=SCHEMA)
    return old
